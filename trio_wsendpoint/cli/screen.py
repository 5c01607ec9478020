"""The terminal, or the pipe, that the command writes to: colours, and when to use none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TextIO

from trio_wsendpoint.cli.output import DescriptorSink, Form, Output, Sink

__all__ = ["Color", "Screen", "make_output"]

Color = Literal["auto", "always", "never"]

#: The colour of a line by its sign, which says the same without colour.
STYLES = {"*": "dim", "<": "green", "!": "bold red", ">": "cyan"}


@dataclass(frozen=True, slots=True)
class Screen:
    """What the process has for input and output."""

    is_input_terminal: bool
    is_output_terminal: bool
    is_error_terminal: bool
    is_dumb: bool
    is_colourless: bool

    @classmethod
    def of_process(cls, environment: Mapping[str, str] = os.environ) -> Screen:
        """Return that of this process."""
        return cls(
            is_input_terminal=sys.stdin is not None and sys.stdin.isatty(),
            is_output_terminal=sys.stdout.isatty(),
            is_error_terminal=sys.stderr.isatty(),
            is_dumb=environment.get("TERM", "") == "dumb",
            is_colourless=bool(environment.get("NO_COLOR")),
        )

    @property
    def is_interactive(self) -> bool:
        """Whether there can be a prompt."""
        return self.is_input_terminal and self.is_output_terminal and not self.is_dumb

    def has_colour(self, wanted: Color, *, is_terminal: bool) -> bool:
        """Tell whether lines are coloured."""
        if wanted != "auto":
            return wanted == "always"
        return is_terminal and not self.is_dumb and not self.is_colourless


class _ScreenSink:
    """Writes lines to the screen at once; `write` takes text."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    async def write(self, data: bytes) -> None:
        for line in data.decode(errors="replace").splitlines():
            self._write(line)


def make_output(screen: Screen, form: Form, color: Color) -> Output:
    """Return the output for the process: messages to stdout, all else to stderr."""
    note = line_writer(
        lambda: sys.stderr, screen.has_colour(color, is_terminal=screen.is_error_terminal)
    )
    sink: Sink = DescriptorSink(1)
    if form.is_terminal and not form.is_json:
        colour = screen.has_colour(color, is_terminal=True)
        sink = _ScreenSink(line_writer(lambda: sys.stdout, colour))
        note = line_writer(lambda: sys.stdout, colour) if screen.is_error_terminal else note
    return Output(sink, note, form)


def line_writer(stream: Callable[[], TextIO], colour: bool) -> Callable[[str], object]:
    """Return a function that writes a line; `stream` is asked for each: a prompt replaces it."""

    def plain(line: str) -> None:
        encoding = stream().encoding or "utf-8"
        stream().write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream().flush()

    if not colour:
        return plain
    from rich.console import Console  # noqa: PLC0415 - slow to import, and often not needed
    from rich.text import Text  # noqa: PLC0415

    def coloured(line: str) -> None:
        console = Console(
            file=stream(), force_terminal=True, soft_wrap=True, highlight=False, markup=False
        )
        console.print(Text(line, style=STYLES.get(line[:1], "")))

    return coloured

"""Where the command writes: messages and events to one place, notes and warnings to another.

In a pipe the first is stdout, which has nothing but messages; all else is on stderr.  On a
terminal both are the screen.  An `Output` never waits where it is told something: `pump`, a task
of the run, writes; `room` holds back a program that tells too much.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import trio

from trio_wsendpoint.cli.escaping import shortened
from trio_wsendpoint.cli.outcome import UsageFault

__all__ = ["Binary", "DescriptorSink", "Form", "Output", "Sink", "json_message"]

#: How a binary message is written, and read from a line.
Binary = Literal["text", "hex", "base64", "raw"]
#: Bytes that may wait to be written before `room` waits.
MOST_WAITING = 65536
#: Characters of a message that a terminal shows.
MOST_SHOWN = 2000


class Sink(Protocol):
    """Takes bytes, and may wait until they have gone."""

    async def write(self, data: bytes) -> None:
        """Write all of `data`; raises `BrokenPipeError` if it has no reader."""


class DescriptorSink:
    """Writes to a file descriptor, in a thread, because its reader may be slow.

    If cancelled, a part may have been written, and the rest may still be.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def write(self, data: bytes) -> None:
        """Write all of `data`; raises `BrokenPipeError` if it has no reader."""
        await trio.to_thread.run_sync(self._write, data, abandon_on_cancel=True)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How messages and notes are written.

    `is_terminal`: for eyes, with signs and facts.  `is_json`: an event a line.  `end`: what ends
    a message in a pipe.  `is_quiet`: no notes, only warnings.
    """

    is_terminal: bool = False
    is_json: bool = False
    end: bytes = b"\n"
    binary: Binary = "hex"
    is_quiet: bool = False
    is_verbose: bool = False


class Output:
    """Tells what happens; `note` writes one line for the user, without its line break."""

    def __init__(self, sink: Sink, note: Callable[[str], object], form: Form) -> None:
        self.form = form
        self._sink = sink
        self._note = note
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._has_more = trio.Event()
        self._is_written = trio.Event()  # set when nothing waits

    # ---- notes -------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Tell a fact; `text` is escaped already where it is a peer's."""
        if not self.form.is_quiet:
            self._note(f"* {text}".rstrip())

    def warn(self, text: str) -> None:
        """Tell what went wrong, or how it ended."""
        self._note(f"! {text}")

    # ---- messages and events -----------------------------------------------------------------

    def message(self, value: str | bytes, told: str = "") -> None:
        """Tell a message that was received; `told`: facts about it, for a terminal."""
        form = self.form
        if form.is_json:
            self.event("message", direction="received", **json_message(value))
        elif form.is_terminal:
            text = value if isinstance(value, str) else self._encode(value).decode(errors="replace")
            line = f"< {shortened(text, MOST_SHOWN)}"
            self._put(f"{line:<50} {told}".rstrip().encode(errors="replace") + b"\n")
        else:
            data = value.encode() if isinstance(value, str) else self._encode(value)
            is_raw = form.binary == "raw" and isinstance(value, bytes)
            if form.end == b"\n" and not is_raw and b"\n" in data:
                raise UsageFault(
                    "a message has a line break in it: --null or --json keeps messages apart"
                )
            self._put(data if is_raw else data + form.end)

    def line(self, text: str) -> None:
        """Write one line of a result to where the messages go."""
        self._put(text.encode(errors="replace") + b"\n")

    def event(self, name: str, **facts: object) -> None:
        """Tell an event, if the form is JSON; its `time` is in seconds since the epoch."""
        if self.form.is_json:
            told = {"event": name, "time": round(time.time(), 6), **facts}
            self._put(json.dumps(told, ensure_ascii=True).encode() + b"\n")

    def _encode(self, value: bytes) -> bytes:
        if self.form.binary == "hex":
            return value.hex().encode()
        return base64.b64encode(value) if self.form.binary == "base64" else value

    def _put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._has_more.set()
        if self._is_written.is_set():
            self._is_written = trio.Event()

    # ---- its task ----------------------------------------------------------------------------

    async def pump(self) -> None:
        """Write what is told, until cancelled; raises what the sink raises."""
        while True:
            while self._waiting:
                data = b"".join(self._waiting)
                self._waiting.clear()
                try:
                    await self._sink.write(data)
                finally:
                    self._waiting_bytes -= len(data)
            self._is_written.set()
            await self._has_more.wait()
            self._has_more = trio.Event()

    async def room(self) -> None:
        """Wait while much waits to be written."""
        while self._waiting_bytes > MOST_WAITING:
            await self._is_written.wait()
        await trio.lowlevel.checkpoint()

    async def written(self) -> None:
        """Wait until all that was told is written."""
        while self._waiting_bytes:
            await self._is_written.wait()
        await trio.lowlevel.checkpoint()


def json_message(value: str | bytes) -> dict[str, object]:
    """Return the facts of a message for an event: `type`, and `text` or `base64`."""
    if isinstance(value, str):
        return {"type": "text", "text": value}
    return {"type": "binary", "base64": base64.b64encode(value).decode()}

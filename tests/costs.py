"""What a call costs, counted: the same on every machine, however busy it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import trio_wsendpoint

_LIBRARY = os.path.dirname(trio_wsendpoint.__file__) + os.sep


def lines_of(call: Callable[[], object]) -> int:
    """Return how many lines of the library run while `call` does."""
    count = 0

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        return step if frame.f_code.co_filename.startswith(_LIBRARY) else None

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return step

    tracer = sys.gettrace()  # of what measures coverage
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(tracer)
    return count


@contextmanager
def counted_calls(part: str) -> Iterator[list[str]]:
    """Note the functions of a part of the library that any task of this thread calls meanwhile."""
    names: list[str] = []
    folder = _LIBRARY + part + os.sep

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            names.append(frame.f_code.co_qualname)

    profiler = sys.getprofile()
    sys.setprofile(note)
    try:
        yield names
    finally:
        sys.setprofile(profiler)

"""What a run must leave as it was, or is given for its length: the process around it."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Generator
from typing import Any

__all__ = [
    "interrupts_allowed",
    "note_complaints",
    "note_records",
    "open_descriptors",
    "quiet_collector",
]

#: Where this process's open file descriptors are listed, if anywhere.
DESCRIPTORS = "/proc/self/fd"


def open_descriptors() -> int:
    """Count this process's file descriptors, where the system tells."""
    return len(os.listdir(DESCRIPTORS)) if os.path.isdir(DESCRIPTORS) else 0


@contextlib.contextmanager
def note_records(records: list[logging.LogRecord]) -> Generator[None]:
    """Record what the library logs, and what Trio does about a broken instrument."""
    handler = _Recorder(records)
    loggers = [logging.getLogger("trio_wsendpoint"), logging.getLogger("trio")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


class _Recorder(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@contextlib.contextmanager
def note_complaints(complaints: list[str]) -> Generator[None]:
    """Collect what Python warns of, and what is raised where no code can catch it."""

    def note(unraisable: Any) -> None:  # of a type that exists for type checkers only
        complaints.append(f"unraisable: {unraisable.exc_value!r} in {unraisable.object!r}")

    hook = sys.unraisablehook
    sys.unraisablehook = note
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        complaints.extend(f"{warning.category.__name__}: {warning.message}" for warning in caught)
    finally:
        sys.unraisablehook = hook


@contextlib.contextmanager
def quiet_collector() -> Generator[None]:
    """Exempt what is there already from the garbage collector, so that a run costs little."""
    is_ours = gc.get_freeze_count() == 0
    gc.collect()
    if is_ours:
        gc.freeze()
    try:
        yield
    finally:
        if is_ours:
            gc.unfreeze()


@contextlib.contextmanager
def interrupts_allowed() -> Generator[None]:
    """Let Trio handle SIGINT, which it does only where Python's own handler is set."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)

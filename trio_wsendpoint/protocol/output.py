"""The endpoint's `out`: a filehandle or socket, blocking or not.

`write` writes all of a frame, or notes what is left for `resume`; it never writes a second frame
before the first is written whole.  What the filehandle raises passes, except "would block".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["Output"]


class Output:
    """Writes frames to `out`, which has `send` (a socket) or `write`.

    Whether it blocks is asked of `getblocking()` if it has one (a socket), else of the file
    descriptor that `fileno()` gives; an object with neither is taken to block.
    """

    def __init__(self, out: Any) -> None:  # any object with `send` or `write`
        write: Callable[[memoryview], int | None] | None
        write = getattr(out, "send", None) or getattr(out, "write", None)
        if write is None:
            raise TypeError(f"out needs a write (or send) method, {out!r} has none")
        self._out = out
        self._write = write
        self._flush: Callable[[], object] | None = getattr(out, "flush", None)
        self._rest = memoryview(b"")
        self._must_flush = False

    @property
    def is_blocking(self) -> bool:
        """Whether a write waits until there is room."""
        getblocking = getattr(self._out, "getblocking", None)
        if getblocking is not None:
            return bool(getblocking())
        try:
            return os.get_blocking(self._out.fileno())
        except (AttributeError, OSError):
            # io.BytesIO raises UnsupportedOperation, an OSError.  A descriptor that is closed will
            # raise when it is written to.
            return True

    @property
    def is_partial(self) -> bool:
        """Whether a frame has been written in part, or waits in the filehandle's own buffer."""
        return bool(self._rest) or self._must_flush

    def write(self, data: bytes) -> None:
        """Write a frame: all of it if the filehandle blocks, else what there is room for."""
        self._rest = memoryview(data)
        self._must_flush = self._flush is not None
        self.resume()
        while self.is_partial and self.is_blocking:
            self.resume()

    def resume(self) -> None:
        """Write what there is room for of a frame that was written in part."""
        try:
            if self._rest:
                written = self._write(self._rest)
                if written is None:
                    # Raw I/O returns None when it would block.  Where it blocks, all was written.
                    written = len(self._rest) if self.is_blocking else 0
                self._rest = self._rest[written:]
            if self._flush is not None and not self._rest:
                self._flush()
                self._must_flush = False
        except BlockingIOError as error:
            # A buffered writer has taken a part and says how much; a raw one has taken nothing.
            self._rest = self._rest[getattr(error, "characters_written", 0) :]

    def clear(self) -> None:
        """Forget the rest of a frame: it can no longer be written."""
        self._rest = memoryview(b"")
        self._must_flush = False

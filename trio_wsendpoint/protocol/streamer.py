"""A message made chunk by chunk, as by Net::WebSocket's Streamer.

A `Streamer` makes frames and writes nothing.  It is a context manager: a block that ends without an
error and without `create_final` raises `UnfinishedStream`, where Net::WebSocket warns in a
destructor.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from trio_wsendpoint.errors import LocalError
from trio_wsendpoint.protocol.frames import (
    BinaryFrame,
    Buffer,
    ContinuationFrame,
    DataFrame,
    TextFrame,
)

__all__ = ["Streamer", "UnfinishedStream"]


class UnfinishedStream(LocalError, RuntimeError):
    """A streamed message was left before its final chunk."""


class Streamer:
    """Makes the frames of one message of `kind`: "text", "binary", or a `DataFrame` subclass.

    `make_mask` returns each frame's mask: a client's `Streamer` needs it, a server's does not.
    A chunk of text may be `str`, or `bytes` cut anywhere.

    >>> streamer = Streamer("text")
    >>> streamer.create_chunk("hel"), streamer.create_final("lo")
    (<TextFrame 3 B b'hel', fin=False>, <ContinuationFrame 2 B b'lo'>)
    """

    def __init__(
        self, kind: str | type[DataFrame], make_mask: Callable[[], bytes] = lambda: b""
    ) -> None:
        types = {"text": TextFrame, "binary": BinaryFrame}
        first = types.get(kind) if isinstance(kind, str) else kind
        if first is None or not issubclass(first, DataFrame) or first is ContinuationFrame:
            raise ValueError(f'a message is "text", "binary" or of a DataFrame class, not {kind!r}')
        self._next: type[DataFrame] = first
        self._is_text = first is TextFrame
        self._make_mask = make_mask
        self.is_finished = False

    def create_chunk(self, data: Buffer | str = b"") -> DataFrame:
        """Return the next frame, with more to follow."""
        return self._create(data, fin=False)

    def create_final(self, data: Buffer | str = b"") -> DataFrame:
        """Return the last frame, which may be the only one."""
        return self._create(data, fin=True)

    def _create(self, data: Buffer | str, *, fin: bool) -> DataFrame:
        if self.is_finished:
            raise LocalError("the final chunk of this message has been made")
        if isinstance(data, str):
            if not self._is_text:
                raise TypeError("a chunk of this message must be bytes, not str")
            data = data.encode()
        frame = self._next(data, fin=fin, mask=self._make_mask())
        self._next = ContinuationFrame
        self.is_finished = fin
        return frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None and not self.is_finished:
            raise UnfinishedStream("the message was left without its final chunk")

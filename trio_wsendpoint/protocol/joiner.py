"""A payload that comes in pieces, put together where it will stay.

The bytes are held once, in an `io.BytesIO` whose buffer becomes the payload: a second buffer of a
large message costs more, in page faults, than all else that is done to the message.  Room for what
a header announces is made ahead, so that the buffer need not grow piece by piece.  But a declared
length may be a lie: there is never room for much more than four times what has come, and below
60 KB two and a half times.
"""

from __future__ import annotations

from io import BytesIO

from trio_wsendpoint.protocol.coding import mask_in_place

__all__ = ["Joiner"]

#: From this many bytes on the buffer grows faster.
LARGE = 60000
#: Bytes of room that are worth a read of their own, unless fewer are announced.
MIN_ROOM = 65536


class Joiner:
    """Joins pieces: `size` is the bytes of those that were added.

    `is_last`: nothing will follow the bytes that are announced.
    """

    __slots__ = ("_buffer", "_room", "_view", "is_last", "size")

    def __init__(self, *, is_last: bool) -> None:
        self.is_last = is_last
        self._buffer = BytesIO()
        self._view = memoryview(b"")  # of the buffer: `_room` bytes
        self._room = 0
        self.size = 0

    def add(self, piece: bytes | memoryview, mask: bytes = b"", *, announced: int = 0) -> None:
        """Add `piece`, masked unless `mask` is `b""`; `announced` bytes will follow it."""
        end = self.size + len(piece)
        if end > self._room:
            self._make_room(end, announced)
        self._view[self.size : end] = piece
        self.fill(len(piece), mask)

    def get_room(self, announced: int) -> memoryview | None:
        """Return a place for some of the `announced` bytes that follow; None if it would be small.

        Release the view, then tell `fill` how many bytes were written there, before anything else.
        """
        if self._room - self.size < min(announced, MIN_ROOM):
            if self.size < LARGE:
                return None
            self._make_room(self.size, announced)
        return self._view[self.size : self.size + announced]

    def fill(self, count: int, mask: bytes) -> None:
        """Add the first `count` bytes of the room, masked unless `mask` is `b""`."""
        end = self.size + count
        if mask:
            mask_in_place(self._view, self.size, end, mask)
        self.size = end

    def _make_room(self, end: int, announced: int) -> None:
        # A little more than a round number, so that no small rest makes it grow once more.
        most = 3 * end + (end >> 4) if end >= LARGE else end + (end >> 1)
        if announced > most:
            announced = most
        elif not self.is_last:
            # Grow by an eighth at least, or each of many small frames would copy all before it.
            announced = max(announced, end >> 3)
        room = end + announced
        self._view.release()
        self._buffer.seek(room - 1)
        self._buffer.write(b"\0")
        self._room = room
        self._view = self._buffer.getbuffer()

    def tail(self, count: int) -> bytes:
        """Return the last `count` bytes, or fewer if there are no more."""
        return bytes(self._view[max(self.size - count, 0) : self.size])

    def take(self) -> bytes:
        """Return the payload, uncopied; nothing can be added afterwards."""
        self._view.release()
        if self.size < self._room:
            self._buffer.truncate(self.size)
        return self._buffer.getvalue()

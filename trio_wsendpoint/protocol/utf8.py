"""Text is checked as it comes, so that bad UTF-8 fails at its first byte (RFC 6455 section 8.1).

`Utf8Validator.feed` returns, or raises `InvalidPayload`.  It keeps an unfinished character and
nothing else.
"""

from __future__ import annotations

import codecs

from trio_wsendpoint.errors import InvalidPayload
from trio_wsendpoint.protocol.coding import text_prefix

__all__ = ["Utf8Validator", "incomplete_tail"]


class Utf8Validator:
    """Checks one text that comes in pieces, cut anywhere."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = b""  # of a character that has not come whole

    def feed(self, piece: bytes, *, final: bool = False) -> None:
        """Check the next piece; `final` says that the text ends with it.

        Raises `InvalidPayload` if the text can no longer become valid UTF-8.
        """
        if not self._begun:
            if piece.isascii():
                return
        else:
            piece = self._begun + piece
        end = text_prefix(piece)
        self._begun = begun = piece[end : end + 4]
        if not begun:
            return
        try:
            # CPython's decoder refuses a sequence at the byte that makes it impossible (E0 80,
            # F4 90, C0 ...), and keeps one that may still become a character.
            codecs.utf_8_decode(begun, "strict", final)
        except UnicodeDecodeError as error:
            raise InvalidPayload(f"text is not UTF-8: {error.reason}") from None
        if begun[:1] == b"\xed" and begun[1:2] >= b"\xa0":
            # The decoder keeps the first two bytes of a surrogate too, because some of its error
            # handlers accept one.
            raise InvalidPayload("text is not UTF-8: invalid continuation byte")


def incomplete_tail(data: bytes | bytearray) -> int:
    """Return how many bytes at the end of `data` (valid so far) are an unfinished character."""
    for back, byte in enumerate(reversed(data[-3:]), start=1):
        if byte >= 0xC0:  # a first byte, which tells how many follow
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < size else 0
        if byte < 0x80:
            return 0
    return 0

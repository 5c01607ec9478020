"""Text is checked as it comes, so that bad UTF-8 fails at its first byte (RFC 6455 section 8.1).

`Utf8Validator.feed` returns, or raises `InvalidPayload`; nothing is kept but an unfinished
character, so the memory of a long text is that of its bytes.  Only `defragmenter` and `receiver`
import this module.
"""

from __future__ import annotations

import codecs

from trio_wsendpoint.errors import InvalidPayload

__all__ = ["Utf8Validator", "check_text", "incomplete_tail"]

_new_decoder = codecs.getincrementaldecoder("utf-8")


class Utf8Validator:
    """Checks one text that comes in pieces, cut anywhere."""

    __slots__ = ("_decoder", "_in_character")

    def __init__(self) -> None:
        self._decoder = _new_decoder()
        self._in_character = False

    def feed(self, piece: bytes, *, final: bool = False) -> None:
        """Check the next piece; `final` says that the text ends with it.

        Raises `InvalidPayload` if the text can no longer become valid UTF-8.
        """
        if not self._in_character and piece.isascii():
            return
        try:
            # CPython's decoder refuses a sequence at the byte that makes it impossible (E0 80,
            # F4 90, C0 ...), and keeps one that may still become a character.
            self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise InvalidPayload(f"text is not UTF-8: {error.reason}") from None
        pending = self._decoder.getstate()[0]
        if pending[:1] == b"\xed" and pending[1:2] >= b"\xa0":
            # It keeps the first two bytes of a surrogate as well, for those who let one pass.
            raise InvalidPayload("text is not UTF-8: invalid continuation byte")
        self._in_character = bool(pending)


def check_text(data: bytes) -> None:
    """Check a whole text; raises `InvalidPayload`."""
    if not data.isascii():
        validator = Utf8Validator()
        validator.feed(data)
        validator.feed(b"", final=True)


def incomplete_tail(data: bytes | bytearray) -> int:
    """Return how many bytes at the end of `data` (valid so far) are an unfinished character."""
    for back, byte in enumerate(reversed(data[-3:]), start=1):
        if byte >= 0xC0:  # a first byte, which tells how many follow
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < size else 0
        if byte < 0x80:
            return 0
    return 0

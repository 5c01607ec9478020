"""A small extension of messages that checks that it is called as `protocol/extension.py` says."""

from __future__ import annotations

from trio_wsendpoint.errors import InvalidPayload


class Doubling:
    """On the wire each byte of a message comes once; decoded, `factor` times.

    The coded form of a byte is the byte XOR 0xFF; a coded 0x00 cannot be decoded.  With `rests`,
    every other read brings nothing yet.
    """

    rsv = 0b100

    def __init__(self, factor: int = 1, smallest: int = 1, *, rests: bool = False) -> None:
        self.factor = factor
        self.rests = rests
        self._has_rested = False
        self.smallest = smallest
        self.asked: list[tuple[str, int]] = []
        self.encoded: list[tuple[bool, bool]] = []  # final, flush
        self.fed: list[tuple[bytes, bool]] = []
        self.reads: list[tuple[int, int]] = []  # asked for, given
        self._coded = bytearray()
        self._decoded = bytearray()
        self._must_read = False
        self._is_ended = False

    def wants(self, type: str, size: int) -> bool:
        self.asked.append((type, size))
        return size >= self.smallest

    def encode(
        self, data: bytes | bytearray | memoryview, *, final: bool, flush: bool = False
    ) -> bytes:
        self.encoded.append((final, flush))
        return bytes(byte ^ 0xFF for byte in bytes(data))

    def feed(self, data: bytes, *, final: bool) -> None:
        assert not self._must_read, "another feed before read returned b''"
        self.fed.append((data, final))
        self._coded += data
        self._must_read = True

    def read(self, size: int) -> bytes | None:
        assert size > 0
        assert self.fed, "read before feed"
        self._has_rested = self.rests and not self._has_rested
        if self._has_rested:
            return b""
        while self._coded and len(self._decoded) < size:
            byte = self._coded.pop(0)
            if byte == 0:
                raise InvalidPayload("a zero does not decode")
            self._decoded += bytes([byte ^ 0xFF]) * self.factor
        piece = bytes(self._decoded[:size])
        del self._decoded[:size]
        self.reads.append((size, len(piece)))
        if piece:
            return piece
        self._must_read = False
        return None

    def release(self) -> None:
        raise AssertionError("the endpoint does not release")

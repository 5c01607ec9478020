"""The two DEFLATE libraries behind one interface: zlib, and ISA-L where the user asks for it.

`load_engine` returns an `Engine`, or raises `ImportError` when "isal" is asked for and missing.
This module hides how the two differ:

* ISA-L's errors are not `zlib.error`: catch `engine.error`;
* its levels are 1 to 3 (its 0 writes a Huffman table of some 170 bytes into every message), and
  ours are zlib's 1 to 9;
* it ignores the memory level.  Measured, KiB an object, by window bits:

      zlib   compress 9: 22, 12: 36, 15: 83 (memory level 5)    inflate 9: 7, 12: 11, 15: 39
      isal   compress 93                                        inflate 59

So ISA-L costs three times the memory, compresses 125 bytes no faster and 4 KiB five times faster.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Any, Literal, Protocol

__all__ = ["Compressor", "Decompressor", "Engine", "EngineName", "load_engine"]

EngineName = Literal["auto", "zlib", "isal"]


class Compressor(Protocol):
    """What we use of `zlib.compressobj()`."""

    def compress(self, data: bytes | bytearray | memoryview, /) -> bytes:
        """Compress; output may come with a later call."""
        raise NotImplementedError

    def flush(self, mode: int, /) -> bytes:
        """Return the output that is held back; with `Z_SYNC_FLUSH`, up to a byte boundary."""
        raise NotImplementedError


class Decompressor(Protocol):
    """What we use of `zlib.decompressobj()`."""

    @property
    def eof(self) -> bool:
        """Whether the end of a block with BFINAL=1 has been reached."""
        raise NotImplementedError

    @property
    def unconsumed_tail(self) -> bytes:
        """The input that was not taken, because the output was full."""
        raise NotImplementedError

    @property
    def unused_data(self) -> bytes:
        """The input after the end of a block with BFINAL=1."""
        raise NotImplementedError

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Decompress to at most `max_length` bytes."""
        raise NotImplementedError


class Engine:
    """Makes the compressors and decompressors of one library, for raw DEFLATE (RFC 1951)."""

    __slots__ = ("_module", "error", "name")

    def __init__(self, name: Literal["zlib", "isal"], module: Any) -> None:
        # Any: isal need not be there, neither at run time nor for a type checker.
        self._module = module
        self.name = name
        #: The one class of exceptions that bad data raises.
        self.error: type[Exception] = module.error

    def compressor(self, level: int, window_bits: int, memory_level: int) -> Compressor:
        """Make a compressor; `level` is zlib's, 1 to 9."""
        if self.name == "isal":
            level = (level + 2) // 3
        # A negative number of window bits is zlib's way to say "no header, no checksum".
        made: Compressor = self._module.compressobj(level, 8, -window_bits, memory_level)
        return made

    def decompressor(self, window_bits: int) -> Decompressor:
        """Make a decompressor."""
        made: Decompressor = self._module.decompressobj(-window_bits)
        return made


_ZLIB = Engine("zlib", zlib)


def load_engine(name: EngineName) -> Engine:
    """Return the engine; "auto" is ISA-L where it can be imported, and zlib elsewhere."""
    if name == "zlib":
        return _ZLIB
    try:
        return Engine("isal", importlib.import_module("isal.isal_zlib"))
    except ImportError as error:
        if name == "auto":
            return _ZLIB
        raise ImportError(
            "Deflate.engine is 'isal', but the package isal cannot be imported"
        ) from error

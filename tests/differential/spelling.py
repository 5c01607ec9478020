"""Streams spelled by hand, and strategies that make them.

Frames are spelled by `tests.protocol.wire`, which knows nothing of the library's own writing.
"""

from __future__ import annotations

import functools
import zlib

from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    close_payload,
    frame_bytes,
    from_client,
)

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "MASK",
    "PING",
    "PONG",
    "TEXT",
    "close_payload",
    "deflated",
    "frame_bytes",
    "from_client",
    "from_server",
]

from_server = frame_bytes


@functools.cache
def deflated(payload: bytes, *, final: bool = False, stored: int = 0) -> bytes:
    """Compress a message by itself.

    `final`: with a final block, which ends the DEFLATE stream; `stored`: with empty stored blocks
    before it, of so many bytes or a little more.
    """
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(payload)
    if final:
        return data + compressor.flush()
    data += compressor.flush(zlib.Z_SYNC_FLUSH)
    return b"\x00\x00\x00\xff\xff" * -(-stored // 5) + data[:-4]

"""Last words that arrive: closing a stream without losing what was written to it.

A socket that is closed while bytes of its peer are unread is reset, and a reset overtakes what was
written before.  So a refusal of a client that still sends (a head too large, most of all) would
be lost: our bytes are ended first, and the peer's are read and dropped for a while.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import trio

from trio_wsendpoint.transport.any_tls import layers_of
from trio_wsendpoint.transport.tls import TLSTransport

__all__ = ["close_layers", "end_bytes", "say_and_close"]

#: Bytes that are read and dropped before the stream is closed all the same.
MAX_PASSED = 65536
#: Bytes asked of the stream at a time.
CHUNK = 16384


async def say_and_close(stream: trio.abc.Stream, data: bytes, *, seconds: float) -> None:
    """Write `data`, the last bytes, and close `stream` so that the peer can read them.

    Over TLS too, whose end (close_notify) is said.  Closes at once when the peer has ended its
    bytes, after 64 KiB of them, after `seconds`, or if cancelled.  A stream that breaks is no
    error; whatever else it raises is, and it is closed then as well.
    """
    layers = layers_of(stream)
    try:
        with (
            trio.move_on_after(seconds),
            contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError),
        ):
            if data:
                await stream.send_all(data)
            await _drop_what_comes(await end_bytes(layers))
            await stream.aclose()
    finally:
        await close_layers(layers)


async def end_bytes(layers: Sequence[trio.abc.Stream]) -> trio.abc.Stream:
    """End our bytes over `layers`, without closing; return the one to read the peer's from.

    That is the last one, below TLS, whose end is said first.  Raises what the streams raise.
    """
    for layer in layers:
        await _end(layer)
    return layers[-1]


async def close_layers(layers: Sequence[trio.abc.Stream]) -> None:
    """Close all `layers` at once: after `end_bytes` the first no longer closes the others."""
    try:
        await trio.aclose_forcefully(layers[0])
    finally:
        if len(layers) > 1:
            await close_layers(layers[1:])


async def _end(layer: trio.abc.Stream) -> None:
    """End our bytes, if `layer` can do that without closing."""
    if isinstance(layer, TLSTransport):
        await layer.end()
    elif isinstance(layer, trio.SSLStream):
        # It waits for the peer's end as well, and breaks on data that comes before that: our own
        # has been said by then.
        with contextlib.suppress(trio.BrokenResourceError):
            await layer.unwrap()
    elif isinstance(layer, trio.abc.HalfCloseableStream):
        await layer.send_eof()


async def _drop_what_comes(stream: trio.abc.Stream) -> None:
    passed = 0
    while passed < MAX_PASSED and (data := await stream.receive_some(CHUNK)):
        passed += len(data)

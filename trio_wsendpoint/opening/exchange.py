"""What the openings of both roles do over a stream: the handshake of TLS, and bytes of HTTP."""

from __future__ import annotations

import ssl

import trio

from trio_wsendpoint.errors import BadResponse, TLSFailed
from trio_wsendpoint.transport.any_tls import TLS_STREAMS

__all__ = ["CHUNK", "do_tls", "lost", "send"]

#: Bytes asked of the stream at a time while an HTTP head is read.
CHUNK = 16384
#: What OpenSSL calls it when the first bytes of the peer are not TLS's.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})


async def do_tls(stream: trio.abc.Stream, without_tls: str) -> bool:
    """Do the TLS handshake, if there is TLS; return whether there is.  Raises `TLSFailed`.

    `without_tls`: what to tell of a peer that does not speak TLS.
    """
    if not isinstance(stream, TLS_STREAMS):
        return False
    try:
        await stream.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        cause = error.__cause__ or error
        is_none = isinstance(cause, ssl.SSLEOFError) or getattr(cause, "reason", None) in _NO_TLS
        hint = f"; {without_tls}" if is_none else ""
        raise TLSFailed(f"the TLS handshake failed: {cause}{hint}") from cause
    return True


async def send(stream: trio.abc.Stream, data: bytes) -> None:
    """Send all of `data`; raises `BadResponse` if the connection is lost."""
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise lost(error) from error


def lost(error: Exception) -> BadResponse:
    """Return what to raise when the stream has broken with `error`."""
    why = error.__cause__ or error
    return BadResponse(f"the connection was lost in the opening handshake: {why!r}")

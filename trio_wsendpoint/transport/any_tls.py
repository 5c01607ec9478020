"""TLS over any stream: without waiting where the stream need not wait, else by Trio's own."""

from __future__ import annotations

import ssl
from typing import cast

import trio

from trio_wsendpoint.transport.sockets import non_blocking
from trio_wsendpoint.transport.tls import TLSTransport

__all__ = ["TLS_STREAMS", "AnyTLSStream", "layers_of", "over_tls"]

#: One end of TLS, over a stream of either kind.
AnyTLSStream = TLSTransport | trio.SSLStream[trio.abc.Stream]
#: The same, for `isinstance`.
TLS_STREAMS = (TLSTransport, trio.SSLStream)


def layers_of(stream: trio.abc.Stream) -> list[trio.abc.Stream]:
    """Return `stream` and, while it is TLS, what is below it: the last one is not TLS.

    A `trio.SSLStream` that has been unwrapped no longer knows what is below it: ask before.
    """
    layers = [stream]
    while isinstance(stream, TLS_STREAMS):
        below = cast("trio.abc.Stream | None", stream.transport_stream)
        if below is None:
            break
        layers.append(below)
        stream = below
    return layers


def over_tls(
    stream: trio.abc.Stream,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
) -> AnyTLSStream:
    """Return one end of TLS over `stream`; raises `ValueError` for a context of the other end.

    `server_hostname` is verified and sent (SNI) without the dot that ends a fully qualified name,
    which is none of a certificate's (RFC 6066 section 3).
    """
    if server_hostname is not None:
        server_hostname = server_hostname.removesuffix(".")
    transport = non_blocking(stream)
    if transport is not None:
        return TLSTransport(
            stream, transport, context, server_side=server_side, server_hostname=server_hostname
        )
    # Close frames say where the conversation ends: a missing close_notify takes nothing away.
    return trio.SSLStream(
        stream,
        context,
        server_side=server_side,
        server_hostname=server_hostname,
        https_compatible=True,
    )

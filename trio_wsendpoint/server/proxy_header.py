"""Reads the PROXY header of a stream, before TLS and HTTP."""

from __future__ import annotations

import trio

from trio_wsendpoint.addressing import BadProxyHeader, ProxyHeader, ProxyReader
from trio_wsendpoint.transport.any_tls import layers_of

__all__ = ["read_proxy_header"]


async def read_proxy_header(stream: trio.abc.Stream) -> ProxyHeader:
    """Return the PROXY header with which `stream` begins, below TLS if it is over TLS.

    Not one byte behind the header is read.  Raises `BadProxyHeader` if there is none, or if the
    stream ends or breaks before.  The caller keeps the time; a cancelled one is not to be called
    again.
    """
    stream = layers_of(stream)[-1]
    reader = ProxyReader()
    header: ProxyHeader | None = None
    while header is None:
        try:
            data = bytes(await stream.receive_some(reader.wanted))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise BadProxyHeader(f"the connection broke before a PROXY header: {error}") from error
        if not data:
            reader.receive_eof()
        header = reader.receive_data(data)
    return header

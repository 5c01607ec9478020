"""Listeners that speak TLS: what they accept is a stream as `over_tls` makes it."""

from __future__ import annotations

import ssl

import trio

from trio_wsendpoint.transport.any_tls import AnyTLSStream, over_tls
from trio_wsendpoint.transport.contexts import check_ssl_context

__all__ = ["TLSListener"]


class TLSListener(trio.abc.Listener[AnyTLSStream]):
    """Accepts streams of `transport_listener`, and is the server's end of TLS over each.

    Raises `TypeError` or `ValueError` for a `context` that is not a server's.
    """

    def __init__(
        self, transport_listener: trio.abc.Listener[trio.abc.Stream], context: ssl.SSLContext
    ) -> None:
        check_ssl_context(context, server_side=True)
        self.transport_listener = transport_listener
        self._context = context

    async def accept(self) -> AnyTLSStream:
        """Accept a stream; its TLS handshake is the caller's to do."""
        stream = await self.transport_listener.accept()
        try:
            return over_tls(stream, self._context, server_side=True)
        except BaseException:  # a context that is not a server's, for one
            await trio.aclose_forcefully(stream)
            raise

    async def aclose(self) -> None:
        """Close the listener."""
        await self.transport_listener.aclose()

"""Listeners around other listeners: with TLS over what they accept, or with an end of their own."""

from __future__ import annotations

import ssl

import trio

from trio_wsendpoint.entries.arguments import check_ssl_context
from trio_wsendpoint.transport.any_tls import AnyTLSStream, over_tls

__all__ = ["SocketWrapper", "TLSListener"]


class SocketWrapper(trio.abc.Listener[trio.SocketStream]):
    """The base of listeners that own a socket and more: a file, or a number that was handed over.

    `transport_listener` accepts.  A subclass says what closing does in addition.
    """

    def __init__(self, transport_listener: trio.SocketListener) -> None:
        self.transport_listener = transport_listener

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket that listens."""
        return self.transport_listener.socket

    async def accept(self) -> trio.SocketStream:
        """Accept a stream, as a `trio.SocketListener` does."""
        return await self.transport_listener.accept()

    async def aclose(self) -> None:
        """Close the listener, at once even if cancelled."""
        self.close_nowait()
        await trio.lowlevel.checkpoint()

    def close_nowait(self) -> None:
        """Close the listener, as `aclose()` does, without a checkpoint."""
        self.transport_listener.socket.close()


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
        """Accept a stream; its TLS handshake is the caller's to do.

        If cancelled: none was accepted.
        Raises: as the listener below; what making TLS of the stream raises, and then it is closed.
        """
        stream = await self.transport_listener.accept()
        try:
            return self.over(stream)
        except BaseException:  # a context that is not a server's, for one
            await trio.aclose_forcefully(stream)
            raise

    def over(self, stream: trio.abc.Stream) -> AnyTLSStream:
        """Return the server's end of TLS over `stream`, that `transport_listener` has accepted."""
        return over_tls(stream, self._context, server_side=True)

    async def aclose(self) -> None:
        """Close the listener.

        If cancelled: as the listener below.
        Raises: as the listener below.
        """
        await self.transport_listener.aclose()

    def __repr__(self) -> str:
        return f"<TLSListener over {self.transport_listener!r}>"

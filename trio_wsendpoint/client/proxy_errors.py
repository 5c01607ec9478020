"""The errors of a way that leads through a proxy."""

from __future__ import annotations

from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import Response

__all__ = ["ProxyError", "ProxyRefused"]


class ProxyError(HandshakeError, OSError):
    """There is no way through the proxy; nothing was sent to the server.

    It could not be reached, TLS to it failed, it closed early, or its answer is none: the text
    and `__cause__` tell.  `proxy` is its URL without user and password.
    """

    def __init__(self, message: str, proxy: str) -> None:
        super().__init__(message)
        self.proxy = proxy


class ProxyRefused(ProxyError):
    """The proxy answered that it does not connect to the server.

    `status`: the status of an HTTP proxy's answer, as 407 (it wants other credentials) or 502 (it
    could not connect), or the code of a SOCKS proxy's reply (RFC 1928 section 6), None for a
    SOCKS proxy that takes none of our credentials.  `response`: the answer of an HTTP proxy, with
    its headers and at most the first 64 KiB of its body; None from a SOCKS proxy.
    `is_final`: the same request would be refused again.
    """

    def __init__(
        self,
        message: str,
        proxy: str,
        *,
        status: int | None = None,
        response: Response | None = None,
        is_final: bool = True,
    ) -> None:
        super().__init__(message, proxy)
        self.status = status
        self.response = response
        self.is_final = is_final

"""The options of a client, completed and checked.

`ConnectOptions` is the keyword arguments as a caller writes them; `ConnectSettings`, of the same
fields, is what they become: frozen, with defaults, and checked.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from trio_wsendpoint._version import __version__
from trio_wsendpoint.addressing import TCPAddress, UnixAddress, parse_listen
from trio_wsendpoint.client.proxy_url import Proxy
from trio_wsendpoint.entries.arguments import check_async_function, check_ssl_context
from trio_wsendpoint.handshake import Headers
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.opening.settings import ConnectionOptions, ConnectionSettings
from trio_wsendpoint.protocol.endpoint import ClientEndpoint

__all__ = ["MOST_REDIRECTS", "ConnectOptions", "ConnectSettings", "OpenStream"]

#: Redirects that may be allowed at most.
MOST_REDIRECTS = 5

#: Opens a stream to a host and a port.
OpenStream = Callable[[str, int], Awaitable[trio.abc.Stream]]


class ConnectOptions(ConnectionOptions, total=False):
    """What a client may be told in addition to `ConnectionOptions`.

    `origin`: the Origin header to send, for a client that acts for a web page.
    `host_header`: the Host header to send instead of the URL's, as `name` or `name:port`; where
    to connect, and which certificate to expect, the URL says all the same.
    `user_agent`: the User-Agent header to send, unless `headers` has one; None for none.
    `proxy`: the URL of a proxy, as `http://user:password@host:port` (or `https://`, `socks4://`,
    `socks4a://`, `socks5://`, `socks5h://`: these four need the extra `proxy`), or True for the
    one that the environment names, if it does.
    `proxy_ssl_context`: for TLS to an `https://` proxy; by default one that verifies it.
    `redirects`: how many redirects to follow, at most 5; by default a redirect is a refusal.
    `address`: where to connect instead of the URL's host and port, as `unix:/run/app.sock`,
    `unix:@name` or `tcp:192.0.2.1:8443`; the certificate and the Host header remain the URL's.
    `open_stream`: `await open_stream(host, port)` returns the stream to use instead of TCP, to
    the proxy if there is one; TLS is spoken over it as it would be over TCP.
    """

    origin: str | None
    host_header: str | None
    user_agent: str | None
    proxy: str | bool | None
    proxy_ssl_context: ssl.SSLContext | None
    redirects: int
    address: str | None
    open_stream: OpenStream | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSettings(ConnectionSettings):
    """`ConnectOptions`, complete; `proxy` and `address` are what their texts stand for."""

    origin: str | None = None
    host_header: str | None = None
    user_agent: str | None = f"trio_wsendpoint/{__version__}"
    proxy: Proxy | str | bool | None = field(default=None, repr=False)
    proxy_ssl_context: ssl.SSLContext | None = None
    redirects: int = 0
    address: TCPAddress | UnixAddress | str | None = None
    open_stream: OpenStream | None = None

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self.check_endpoint_class(ClientEndpoint)
        if self.user_agent is not None and not isinstance(self.user_agent, str):
            raise TypeError(f"user_agent must be a str, or None for none, not {self.user_agent!r}")
        headers = Headers(self.headers)
        if self.user_agent is not None and "User-Agent" not in headers:
            named = Headers([*headers.items(), ("User-Agent", self.user_agent)])
            object.__setattr__(self, "headers", named)
        self._make_proxy()
        if isinstance(self.address, str):
            object.__setattr__(self, "address", _parse_address(self.address))
        elif not isinstance(self.address, (TCPAddress, UnixAddress, type(None))):
            raise TypeError(f"address must be a str, not {self.address!r}")
        self._check_way()

    def _make_proxy(self) -> None:
        """Keep the proxy parsed, and False as None."""
        proxy = self.proxy
        if isinstance(proxy, str):
            object.__setattr__(self, "proxy", Proxy.parse(proxy))
        elif proxy is False:
            object.__setattr__(self, "proxy", None)
        elif proxy is not None and proxy is not True and not isinstance(proxy, Proxy):
            # Not its value, which may hold a password.
            raise TypeError(
                f"proxy must be a URL, or True for the environment's, not {type(proxy).__name__}"
            )
        if self.proxy_ssl_context is not None:
            check_ssl_context(self.proxy_ssl_context, server_side=False)
            chosen = self.proxy
            if not (chosen is True or (isinstance(chosen, Proxy) and chosen.scheme == "https")):
                raise ValueError("proxy_ssl_context is for an https:// proxy, and this is none")

    def _check_way(self) -> None:
        redirects = self.redirects
        if isinstance(redirects, bool) or not isinstance(redirects, int):
            raise TypeError(f"redirects must be an int, not {redirects!r}")
        if not 0 <= redirects <= MOST_REDIRECTS:
            raise ValueError(f"redirects must be 0 to {MOST_REDIRECTS}, not {redirects}")
        if self.open_stream is not None:
            check_async_function("open_stream", self.open_stream, "host", "port")
        if self.address is not None and self.open_stream is not None:
            raise ValueError("address and open_stream both say where to connect: leave one out")
        if self.address is not None and self.proxy is not None:
            raise ValueError("address and proxy both say where to connect: leave one out")


def _parse_address(text: str) -> TCPAddress | UnixAddress:
    """Return where to connect; raises `ValueError`."""
    if not text.startswith(("tcp:", "unix:")):
        expected = "expected 'tcp:HOST:PORT', 'unix:/PATH' or 'unix:@NAME'"
        raise ValueError(f"address {quoted(text)}: {expected}")
    try:
        address = parse_listen(text)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("listening ")) from None
    if isinstance(address, TCPAddress) and address.port == 0:
        raise ValueError(f"address {quoted(text)}: the port must be 1 to 65535, not 0")
    if not isinstance(address, (TCPAddress, UnixAddress)):
        raise TypeError(f"address {quoted(text)} is no place to connect to")
    return address

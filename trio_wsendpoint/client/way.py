"""The way from a client to a server: TCP, a Unix socket, a proxy, TLS, or a stream of the app's.

A `Way` is made of the options, once, and opens the stream of each connection.  What makes no sense
it refuses when it is made, before anything is done.
"""

from __future__ import annotations

import os
import ssl
from ipaddress import AddressValueError, IPv6Address

import trio

from trio_wsendpoint.addressing import TCPAddress, UnixAddress
from trio_wsendpoint.client.default_context import default_client_context
from trio_wsendpoint.client.dialing import open_tcp, open_unix, place
from trio_wsendpoint.client.environment import proxy_from_environment
from trio_wsendpoint.client.http_tunnel import open_http_tunnel
from trio_wsendpoint.client.proxy_errors import ProxyError
from trio_wsendpoint.client.proxy_url import Proxy
from trio_wsendpoint.client.settings import ConnectSettings
from trio_wsendpoint.client.socks_tunnel import check_python_socks, open_socks_tunnel
from trio_wsendpoint.client.stopwatch import Stopwatch
from trio_wsendpoint.entries.arguments import check_ssl_context, check_stream
from trio_wsendpoint.errors import TLSFailed
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.opening.exchange import do_tls
from trio_wsendpoint.transport.any_tls import over_tls

__all__ = ["Way"]


class Way:
    """How the stream to a server is opened.

    `stream` and `ssl_context` are as for `connect_endpoint`.  Raises `ValueError` and `TypeError`
    for options that exclude each other.
    """

    def __init__(
        self,
        settings: ConnectSettings,
        *,
        stream: trio.abc.Stream | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if ssl_context is not None:
            check_ssl_context(ssl_context, server_side=False)
        if stream is not None:
            check_stream("stream", stream)
            for name in ("open_stream", "address", "proxy", "redirects"):
                if getattr(settings, name):
                    raise ValueError(f"stream is connected already: leave out {name}=")
        self._settings = settings
        self._stream = stream
        self._ssl_context = ssl_context

    def check(self, target: WebSocketURL) -> None:
        """Raise unless there may be a way to `target`.

        Raises `ValueError`, for an environment that names no proxy too, and `ModuleNotFoundError`
        for a proxy that needs the extra `proxy`.
        """
        if self._ssl_context is not None and not target.secure and not self._settings.redirects:
            raise ValueError("ssl_context is for wss:// URLs: this one is ws://")
        self._proxy_for(target)

    def _proxy_for(self, target: WebSocketURL) -> Proxy | None:
        """Return the proxy on the way to `target`; raises as `check`."""
        chosen = self._settings.proxy
        proxy = proxy_from_environment(target, os.environ) if chosen is True else chosen
        if not isinstance(proxy, Proxy):
            return None
        if "%" in target.host:
            raise ValueError("a zone of an IPv6 address is this machine's: a proxy has none of it")
        if proxy.scheme in {"socks4", "socks4a"} and _is_ipv6(target.host):
            raise ValueError(f"a {proxy.scheme}:// proxy knows no IPv6: use socks5://")
        check_python_socks(proxy)
        return proxy

    async def open(self, target: WebSocketURL, watch: Stopwatch) -> trio.abc.Stream:
        """Return a stream to `target`, over which the TLS handshake is still to be done.

        Raises `OSError`, `ProxyError`, and what `open_stream` raises.  If cancelled, or if it
        raises, what it has opened is closed.
        """
        server = place(target.host, target.port)
        if self._settings.address is not None:
            server += f" at {self._settings.address}"
        watch.head_for(server)
        context = self._ssl_context if target.secure else None
        if self._stream is None and target.secure and context is None:
            context = await self._default_context()
        stream = self._stream
        if stream is None:
            stream = await self._dial(target, watch)
            watch.head_for(server)
        if context is None:
            return stream
        try:
            return over_tls(stream, context, server_hostname=target.server_name)
        except BaseException:  # a context that is not a client's, for one
            await trio.aclose_forcefully(stream)
            raise

    async def _default_context(self) -> ssl.SSLContext:
        # A stream of the app's own may be one in memory, under a clock that waits for no thread.
        return await default_client_context(in_thread=self._settings.open_stream is None)

    async def _dial(self, target: WebSocketURL, watch: Stopwatch) -> trio.abc.Stream:
        address = self._settings.address
        if isinstance(address, UnixAddress):
            return await open_unix(address, watch)
        proxy = self._proxy_for(target)
        if proxy is not None:
            return await self._tunnel(proxy, target, watch)
        if isinstance(address, TCPAddress):
            return await self._open(address.host, address.port, watch)
        return await self._open(target.host, target.port, watch)

    async def _open(self, host: str, port: int, watch: Stopwatch) -> trio.abc.Stream:
        open_stream = self._settings.open_stream
        if open_stream is None:
            return await open_tcp(host, port, watch)
        watch.begin("tcp")
        stream = await open_stream(host, port)
        check_stream("what open_stream returned", stream)
        watch.end()
        return stream

    async def _tunnel(
        self, proxy: Proxy, target: WebSocketURL, watch: Stopwatch
    ) -> trio.abc.Stream:
        """Return a stream that leads through `proxy` to `target`; raises `ProxyError`."""
        watch.head_for(f"the proxy {proxy}")
        try:
            stream = await self._open(proxy.host, proxy.port, watch)
        except OSError as error:
            raise ProxyError(f"no way to {proxy}: {error.strerror or error}", str(proxy)) from error
        watch.begin("proxy")
        try:
            if proxy.scheme == "https":
                stream = await self._speak_tls(proxy, stream)
            if proxy.is_http:
                await open_http_tunnel(stream, proxy, target.host, target.port, self._settings)
            else:
                await open_socks_tunnel(stream, proxy, target.host, target.port)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        watch.end()
        return stream

    async def _speak_tls(self, proxy: Proxy, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Return TLS to `proxy` over `stream`, its handshake done; raises `ProxyError`."""
        context = self._settings.proxy_ssl_context or await self._default_context()
        secure = over_tls(stream, context, server_hostname=proxy.host)
        try:
            await do_tls(secure, "does the proxy speak TLS on this port, or is its URL http://?")
        except TLSFailed as error:
            raise ProxyError(f"no way through {proxy}: {error}", str(proxy)) from error
        return secure


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True

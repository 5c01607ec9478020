"""The options of a server, completed and checked.

`AcceptOptions` and `ServeOptions` are the keyword arguments as a caller writes them; the
`...Settings` of the same fields are what they become: frozen, with defaults, and checked.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import trio

from trio_wsendpoint.addressing import Forwarding, TrustedProxies
from trio_wsendpoint.entries.arguments import check_async_function, check_ssl_context
from trio_wsendpoint.handshake import OriginPolicy, Origins, Response
from trio_wsendpoint.http import HttpLimits
from trio_wsendpoint.opening.settings import ConnectionOptions, ConnectionSettings
from trio_wsendpoint.options import ServerLimits
from trio_wsendpoint.protocol.endpoint import ServerEndpoint
from trio_wsendpoint.server.access_log import AccessLog
from trio_wsendpoint.server.answering import HttpHandler
from trio_wsendpoint.server.listen import Listen, as_listens
from trio_wsendpoint.server.opening import Opening

__all__ = ["AcceptOptions", "AcceptSettings", "ProcessRequest", "ServeOptions", "ServeSettings"]

#: Looks at a request before it is accepted: returns None to go on, a `Response` to answer it.
ProcessRequest = Callable[[Opening], Awaitable[Response | None]]


class AcceptOptions(ConnectionOptions, total=False):
    """What a server may be told in addition to `ConnectionOptions`.

    `process_request`: an async function that is given an `Opening` for each request before it is
    answered; a `Response` that it returns, or the one of a `BadRequest` that it raises, is the
    answer, None goes on.  It has `Timeouts.process` seconds, and is cancelled if the client goes.
    `origins`: which Origins may connect; by default those of the same host and port, and clients
    that send none.  See `OriginPolicy`.
    `wall_clock`: returns the time of day in seconds since the epoch, for the Date of each answer;
    all else goes by Trio's clock.
    `trusted_proxies`: the proxies in front, as `["10.0.0.0/8", "unix:"]`: IP addresses, networks,
    and "unix:" for all that connects to a Unix socket.
    `forwarded`: which of their headers are believed: `X-Forwarded-For`, `-Proto`, `-Host` and
    `-Port`, or `Forwarded` alone.  Name those that the nearest proxy writes on every request:
    others are the client's to write.
    `proxy_protocol`: each connection begins with a PROXY header (version 1 or 2), before TLS; one
    without it, or from an address that is not in `trusted_proxies`, is dropped.
    """

    process_request: ProcessRequest | None
    origins: Origins | OriginPolicy
    wall_clock: Callable[[], float]
    trusted_proxies: Sequence[str]
    forwarded: Sequence[str]
    proxy_protocol: bool


class ServeOptions(AcceptOptions, total=False):
    """What `serve_endpoint` and `run_endpoint` may be told in addition to `AcceptOptions`.

    `host`: which addresses to listen on; by default this machine only, None for all.
    `ssl_context`: speak TLS with this one, as `ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)`
    returns after `load_cert_chain(...)`.
    `backlog`: connections that the system lets wait until they are accepted.
    `listeners`: use these instead of opening a port; they are closed at the end.
    `listen`: listen on these addresses instead of a port: `"tcp:0.0.0.0:8443"`,
    `"unix:/run/app.sock"`, `"systemd:"`, `"fd:3"`, or `Listen` objects; on all of them, or none.
    `server_limits`: how many connections to take on, see `ServerLimits`.
    `on_handler_error`: "log" logs the error of a handler once, and goes on; "raise" closes the
    server gracefully and lets the error out of its block.
    `access_log`: writes a line for each connection that has ended and for each request that was
    answered otherwise; see `AccessLog`.  None writes none.
    `http_handler`: an async function that is given each `HttpRequest` that asks for no WebSocket,
    and returns a `Response` or a `StreamedResponse`.  Without one GET and HEAD get 426, others 405.
    `http`: how much such a request may bring, and how long it may take; see `HttpLimits`.
    """

    host: str | None
    ssl_context: ssl.SSLContext | None
    backlog: int | None
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None
    listen: Sequence[str | Listen] | None
    server_limits: ServerLimits
    on_handler_error: Literal["log", "raise"]
    access_log: AccessLog | None
    http_handler: HttpHandler | None
    http: HttpLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptSettings(ConnectionSettings):
    """`AcceptOptions`, complete."""

    process_request: ProcessRequest | None = None
    origins: Origins | OriginPolicy = "same"
    wall_clock: Callable[[], float] = field(default=time.time, metadata={"default": "time.time"})
    trusted_proxies: Sequence[str] = ()
    forwarded: Sequence[str] = ("X-Forwarded-For",)
    proxy_protocol: bool = False

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self._check_proxies()
        self.check_endpoint_class(ServerEndpoint)
        if not callable(self.wall_clock):
            raise TypeError(f"wall_clock is a function, as time.time, not {self.wall_clock!r}")
        if self.process_request is not None:
            check_async_function("process_request", self.process_request, "opening")

    def _check_proxies(self) -> None:
        """Raise `ValueError` or `TypeError` for options that name no proxies, or no headers."""
        self.make_tuple("trusted_proxies", "addresses and networks")
        self.make_tuple("forwarded", "names of headers")
        trusted = TrustedProxies(self.trusted_proxies)
        Forwarding(trusted, self.forwarded)
        value: object = self.proxy_protocol
        if not isinstance(value, bool):
            raise TypeError(f"proxy_protocol is a bool, not {value!r}")
        if value and not trusted:
            raise ValueError(
                "proxy_protocol=True reads headers of trusted_proxies alone: name the proxies there"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings(AcceptSettings):
    """`ServeOptions`, complete."""

    host: str | None = "localhost"
    ssl_context: ssl.SSLContext | None = None
    backlog: int | None = None
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None
    listen: Sequence[str | Listen] | None = None
    server_limits: ServerLimits = field(default_factory=ServerLimits)
    on_handler_error: Literal["log", "raise"] = "log"
    access_log: AccessLog | None = None
    http_handler: HttpHandler | None = None
    http: HttpLimits = field(default_factory=HttpLimits)

    def __post_init__(self) -> None:
        AcceptSettings.__post_init__(self)
        if self.ssl_context is not None:
            check_ssl_context(self.ssl_context, server_side=True)
        if self.listeners is not None:
            self._make_listeners()
        if self.listen is not None:
            object.__setattr__(self, "listen", as_listens(self.listen))
        if not isinstance(self.server_limits, ServerLimits):
            raise TypeError(f"server_limits must be ServerLimits(...), not {self.server_limits!r}")
        if self.on_handler_error not in {"log", "raise"}:
            raise ValueError(f'on_handler_error is "log" or "raise", not {self.on_handler_error!r}')
        if self.access_log is not None and not isinstance(self.access_log, AccessLog):
            raise TypeError(f"access_log must be AccessLog(...), not {self.access_log!r}")
        if self.http_handler is not None:
            check_async_function("http_handler", self.http_handler, "request")
        if not isinstance(self.http, HttpLimits):
            raise TypeError(f"http must be HttpLimits(...), not {self.http!r}")

    @property
    def listens(self) -> tuple[Listen, ...] | None:
        """`listen`, each entry a `Listen`; None if a port or listeners were given."""
        return None if self.listen is None else as_listens(self.listen)

    def _make_listeners(self) -> None:
        """Keep the listeners as a tuple: they may come from an iterator."""
        value: object = self.listeners
        if isinstance(value, trio.abc.Listener):
            raise TypeError("listeners must be a list: put the listener in []")
        entries = list(cast("Iterable[object]", value)) if isinstance(value, Iterable) else [value]
        for entry in entries:
            if not isinstance(entry, trio.abc.Listener):
                raise TypeError(f"listeners must be a list of trio.abc.Listener, not of {entry!r}")
        object.__setattr__(self, "listeners", tuple(entries))

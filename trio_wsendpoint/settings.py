"""The keywords of the functions that open connections, each written down once.

`ConnectionOptions`, `AcceptOptions` and `ConnectOptions` are what a user may pass (for type
checkers and editors); the `...Settings` of the same fields are what they become: frozen, with
defaults, and checked.  A test holds the two together.
Imported by `opening`, `server` and `client`.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

import trio

from trio_wsendpoint.extensions import Deflate
from trio_wsendpoint.handshake import HeaderItems, OriginPolicy, Origins, Request, Response
from trio_wsendpoint.instruments import Instrument, check_instruments
from trio_wsendpoint.options import Heartbeat, Limits, ServerLimits, Timeouts
from trio_wsendpoint.protocol.endpoint import ClientEndpoint, Endpoint, ServerEndpoint
from trio_wsendpoint.protocol.extension import ExtensionNegotiator
from trio_wsendpoint.protocol.frames import ControlFrame, DataFrame

__all__ = [
    "AcceptOptions",
    "AcceptSettings",
    "ConnectOptions",
    "ConnectSettings",
    "ConnectionOptions",
    "Logger",
    "ProcessRequest",
    "ServeOptions",
    "ServeSettings",
]

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
#: Looks at a request before it is accepted: returns None to go on, a `Response` to answer it.
ProcessRequest = Callable[[Request], Awaitable[Response | None]]


class ConnectionOptions(TypedDict, total=False):
    """What every connection may be told.

    `limits`, `timeouts`, `heartbeat`: see these groups; `heartbeat=None` sends no pings.
    `deflate`: a `Deflate` group turns on compression (RFC 7692) if the peer agrees.
    `subprotocols`: those we speak; a client prefers the first, a server takes the client's
    order.
    `headers`: further headers for our side of the opening handshake.
    `unrecognized_pong`, `on_data_frame`, `before_send_frame`, `random_bytes`: as for `Endpoint`,
    except that a pong that nobody asked for is ignored by default (RFC 6455 section 5.5.3).
    `endpoint_class`: a subclass of `ServerEndpoint` or `ClientEndpoint` to use instead.
    `logger`: where the connections' own loggers write to.
    `instruments`: who is told what the connections do; see `Instrument`.
    """

    limits: Limits
    timeouts: Timeouts
    heartbeat: Heartbeat | None
    deflate: Deflate | None
    subprotocols: Sequence[str]
    headers: HeaderItems
    unrecognized_pong: Literal["close", "ignore"]
    on_data_frame: Callable[[DataFrame], DataFrame | None] | None
    before_send_frame: Callable[[ControlFrame], object] | None
    random_bytes: Callable[[int], bytes]
    endpoint_class: type[Endpoint] | None
    logger: Logger
    instruments: Sequence[Instrument]


class AcceptOptions(ConnectionOptions, total=False):
    """What a server may be told beside.

    `process_request`: an async function that is given each `Request`, WebSocket or not, before
    it is accepted; a `Response` that it returns is the answer, None goes on.
    `origins`: which Origins may connect; by default those of the same host and port, and clients
    that send none.  See `OriginPolicy`.
    """

    process_request: ProcessRequest | None
    origins: Origins | OriginPolicy


class ServeOptions(AcceptOptions, total=False):
    """What `serve_endpoint` and `run_endpoint` may be told beside.

    `host`: which addresses to listen on; by default this machine only, None for all.
    `ssl_context`: speak TLS.  `backlog`: connections that the system lets wait.
    `listeners`: use these instead of opening a port; they are closed at the end.
    `server_limits`: how many connections to take on, see `ServerLimits`.
    `on_handler_error`: "log" logs the error of a handler once, and goes on; "raise" closes the
    server gracefully and lets the error out of its block.
    """

    host: str | None
    ssl_context: ssl.SSLContext | None
    backlog: int | None
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None
    server_limits: ServerLimits
    on_handler_error: Literal["log", "raise"]


class ConnectOptions(ConnectionOptions, total=False):
    """What a client may be told beside: `origin`, the Origin header to send."""

    origin: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """`ConnectionOptions`, complete."""

    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat: Heartbeat | None = field(default_factory=Heartbeat)
    deflate: Deflate | None = None
    subprotocols: Sequence[str] = ()
    headers: HeaderItems = ()
    unrecognized_pong: Literal["close", "ignore"] = "ignore"
    on_data_frame: Callable[[DataFrame], DataFrame | None] | None = None
    before_send_frame: Callable[[ControlFrame], object] | None = None
    random_bytes: Callable[[int], bytes] = os.urandom
    endpoint_class: type[Endpoint] | None = None
    logger: Logger = field(default_factory=lambda: logging.getLogger("trio_wsendpoint"))
    instruments: Sequence[Instrument] = ()

    def __post_init__(self) -> None:
        check_instruments(self.instruments)
        groups = {
            "limits": Limits,
            "timeouts": Timeouts,
            "heartbeat": Heartbeat,
            "deflate": Deflate,
        }
        for name, group in groups.items():
            value = getattr(self, name)
            optional = name in {"heartbeat", "deflate"}
            if not isinstance(value, group) and not (value is None and optional):
                raise TypeError(f"{name} must be {group.__name__}(...), not {value!r}")
        if self.unrecognized_pong not in {"close", "ignore"}:
            raise ValueError(
                f'unrecognized_pong is "close" or "ignore", not {self.unrecognized_pong!r}'
            )

    def _check_endpoint_class(self, base: type[Endpoint]) -> None:
        made = self.endpoint_class
        if made is not None and not (isinstance(made, type) and issubclass(made, base)):
            raise TypeError(f"endpoint_class must be a subclass of {base.__name__}, not {made!r}")

    @property
    def extensions(self) -> tuple[ExtensionNegotiator, ...]:
        """What may be negotiated."""
        return () if self.deflate is None else (self.deflate,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptSettings(ConnectionSettings):
    """`AcceptOptions`, complete."""

    process_request: ProcessRequest | None = None
    origins: Origins | OriginPolicy = "same"

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self._check_endpoint_class(ServerEndpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings(AcceptSettings):
    """`ServeOptions`, complete."""

    host: str | None = "localhost"
    ssl_context: ssl.SSLContext | None = None
    backlog: int | None = None
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None
    server_limits: ServerLimits = field(default_factory=ServerLimits)
    on_handler_error: Literal["log", "raise"] = "log"

    def __post_init__(self) -> None:
        AcceptSettings.__post_init__(self)
        if not isinstance(self.server_limits, ServerLimits):
            raise TypeError(f"server_limits must be ServerLimits(...), not {self.server_limits!r}")
        if self.on_handler_error not in {"log", "raise"}:
            raise ValueError(f'on_handler_error is "log" or "raise", not {self.on_handler_error!r}')


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSettings(ConnectionSettings):
    """`ConnectOptions`, complete."""

    origin: str | None = None

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self._check_endpoint_class(ClientEndpoint)

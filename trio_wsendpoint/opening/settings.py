"""The keywords of the functions that open connections, each written down once.

`ConnectionOptions`, `AcceptOptions` and `ConnectOptions` are what a user may pass (for type
checkers and editors); the `...Settings` of the same fields are what they become: frozen, with
defaults, and checked.  A test holds the two together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict, cast

from trio_wsendpoint.connection.instruments import Instrument, check_instruments
from trio_wsendpoint.entries.arguments import check_plain_function
from trio_wsendpoint.extensions import Deflate
from trio_wsendpoint.handshake import HeaderItems, Headers
from trio_wsendpoint.options import Heartbeat, Limits, Timeouts
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.extension import ExtensionNegotiator
from trio_wsendpoint.protocol.frames import ControlFrame, DataFrame
from trio_wsendpoint.session.session import Logger

__all__ = [
    "ConnectionOptions",
    "ConnectionSettings",
    "Logger",
]


class ConnectionOptions(TypedDict, total=False):
    """What every connection may be told.

    `limits`: how much the connection may hold; see `Limits`.
    `timeouts`: how long it waits; see `Timeouts`.
    `heartbeat`: when it pings a silent peer; see `Heartbeat`.  None sends no pings.
    `deflate`: a `Deflate` group turns on compression (RFC 7692) if the peer agrees.
    `subprotocols`: those we speak; a client prefers the first, a server takes the client's
    order.
    `subprotocol_required`: without one in common there is no connection; a server refuses with
    400 and the list.
    `headers`: further headers for our side of the opening handshake.
    `unrecognized_pong`: "close" or "ignore": what to do about a pong that answers no ping
    (RFC 6455 section 5.5.3 allows it).
    `on_data_frame`: called with each data frame that comes; a frame that it returns takes its
    place.
    `before_send_frame`: called with each ping, pong and close before it leaves.
    `random_bytes`: called with a number of bytes to draw, for masks, keys and pings.
    `endpoint_class`: a subclass of `ServerEndpoint` or `ClientEndpoint` to use instead.
    `logger`: where the connections' own loggers write to.
    `instruments`: objects that are told what the connections do; see `Instrument`.
    """

    limits: Limits
    timeouts: Timeouts
    heartbeat: Heartbeat | None
    deflate: Deflate | None
    subprotocols: Sequence[str]
    subprotocol_required: bool
    headers: HeaderItems
    unrecognized_pong: Literal["close", "ignore"]
    on_data_frame: Callable[[DataFrame], DataFrame | None] | None
    before_send_frame: Callable[[ControlFrame], object] | None
    random_bytes: Callable[[int], bytes]
    endpoint_class: type[Endpoint] | None
    logger: Logger
    instruments: Sequence[Instrument]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """`ConnectionOptions`, complete."""

    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    heartbeat: Heartbeat | None = field(default_factory=Heartbeat)
    deflate: Deflate | None = None
    subprotocols: Sequence[str] = ()
    subprotocol_required: bool = False
    headers: HeaderItems = field(default=(), repr=False)
    unrecognized_pong: Literal["close", "ignore"] = "ignore"
    on_data_frame: Callable[[DataFrame], DataFrame | None] | None = None
    before_send_frame: Callable[[ControlFrame], object] | None = None
    random_bytes: Callable[[int], bytes] = field(
        default=os.urandom, metadata={"default": "os.urandom"}
    )
    endpoint_class: type[Endpoint] | None = None
    logger: Logger = field(
        default_factory=lambda: logging.getLogger("trio_wsendpoint"),
        metadata={"default": 'logging.getLogger("trio_wsendpoint")'},
    )
    instruments: Sequence[Instrument] = ()

    def __post_init__(self) -> None:
        self._check_groups()
        self.make_tuple("subprotocols", "tokens")
        self.make_tuple("instruments", "Instrument objects")
        check_instruments(self.instruments)
        self._make_headers()
        for name in ("on_data_frame", "before_send_frame"):
            if getattr(self, name) is not None:
                check_plain_function(name, getattr(self, name))
        check_plain_function("random_bytes", self.random_bytes)
        if self.unrecognized_pong not in {"close", "ignore"}:
            raise ValueError(
                f'unrecognized_pong is "close" or "ignore", not {self.unrecognized_pong!r}'
            )
        if not isinstance(self.logger, (logging.Logger, logging.LoggerAdapter)):
            raise TypeError(f"logger must be a logging.Logger or an adapter, not {self.logger!r}")

    def _check_groups(self) -> None:
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

    def make_tuple(self, name: str, of: str) -> None:
        """Keep the option `name`, a list, as a tuple: it may have been an iterator."""
        value: object = getattr(self, name)
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            instead = "" if value is not None else ": leave it out, or write []"
            raise TypeError(f"{name} must be a list of {of}, not {value!r}{instead}")
        object.__setattr__(self, name, tuple(cast("Iterable[object]", value)))

    def _make_headers(self) -> None:
        """Keep the headers checked, so that the first peer is not the first to need them."""
        headers: object = self.headers
        if isinstance(headers, (str, bytes)) or not isinstance(headers, Iterable):
            # Not its value, which may hold a secret.
            found = "None: leave it out, or write {}" if headers is None else type(headers).__name__
            raise TypeError(f"headers must be a mapping or a list of (name, value), not {found}")
        object.__setattr__(self, "headers", Headers(self.headers))

    def check_endpoint_class(self, base: type[Endpoint]) -> None:
        """Raise `TypeError` unless `endpoint_class` is a subclass of `base`."""
        made = self.endpoint_class
        if made is not None and not (isinstance(made, type) and issubclass(made, base)):
            raise TypeError(f"endpoint_class must be a subclass of {base.__name__}, not {made!r}")

    @property
    def extensions(self) -> tuple[ExtensionNegotiator, ...]:
        """What may be negotiated."""
        return () if self.deflate is None else (self.deflate,)

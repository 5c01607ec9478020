"""The other end of a stream: its address, for the log and for counting.

The address is asked for once, while the stream is there, and made into text when a record is
written, if one is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, MutableMapping
from ipaddress import AddressValueError, IPv6Address
from typing import Any, cast

import trio

from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.transport.any_tls import AnyTLSStream
from trio_wsendpoint.transport.streams import AcceptedSocket
from trio_wsendpoint.transport.tls import TLSTransport

__all__ = ["ConnectionLogger", "make_logger", "peer_address", "plain_address", "socket_address"]

#: What a stream over a socket has for an address when its peer is gone already.
_GONE = "a peer that has gone"
_UNNAMED = "a unix socket"


class ConnectionLogger(logging.LoggerAdapter[logging.Logger]):
    """Writes to the library's logger, and puts the connection's peer and id before each record.

    `id` tells the connections of one program apart; see `Connection.id`.
    """

    def __init__(self, logger: Logger, stream: trio.abc.Stream, address: object, id: str) -> None:
        # Not the base's, which makes a dict for each.  An adapter may wrap another one,
        # which then adds to the record as well.
        self.logger = cast("logging.Logger", logger)
        self.id = id
        self._address = type(stream) if address is None else address

    @property
    def address(self) -> str | None:
        """The IP address of the peer, or None if it has none; see `peer_address`."""
        return peer_address(self._address)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[str, MutableMapping[str, Any]]:
        """Put peer and id before the message; called only for a record that is written."""
        return f"[{self.peer} #{self.id}] {msg}", kwargs

    @property
    def peer(self) -> str:
        """The address of the peer as `host:port`, or what the stream calls itself."""
        address = self._address
        if isinstance(address, tuple):
            host, port = cast("tuple[str, int]", address[:2])
            # Without a zone, as in fe80::1%eth0: logging would take what follows % for a format.
            host = plain_address(host.partition("%")[0])
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if isinstance(address, type):
            return address.__name__
        # A unix socket's path is the peer's to choose; it is bytes if it is an abstract one.
        path = os.fsdecode(address) if isinstance(address, bytes) else str(address)
        return ascii(path)[1:-1].replace("%", "\\x25")[:200]


def make_logger(
    stream: trio.abc.Stream, logger: Logger, random_bytes: Callable[[int], bytes]
) -> ConnectionLogger:
    """Return the logger of the connection over `stream`, with an id drawn for it."""
    return ConnectionLogger(logger, stream, socket_address(stream), random_bytes(4).hex())


def peer_address(address: object) -> str | None:
    """Return the IP address in what `socket_address` returned, or None if it has none.

    A peer that came by IPv4 has an IPv4 address, through a socket of both families too.
    """
    return plain_address(cast("str", address[0])) if isinstance(address, tuple) else None


def plain_address(address: str) -> str:
    """Return the IPv4 address that an IPv4-mapped one stands for (RFC 4291 section 2.5.5.2).

    Any other address, and what is none, comes back as it is.
    """
    if ":" not in address:
        return address
    try:
        mapped = IPv6Address(address).ipv4_mapped
    except AddressValueError:
        return address
    return address if mapped is None else str(mapped)


def socket_address(stream: trio.abc.Stream) -> object:
    """Return what `getpeername()` says; None if the stream is not over a socket."""
    transport: Any = stream  # a Trio stream of any kind, which may wrap another
    if type(transport) is not AcceptedSocket:  # as most of a server's are
        while isinstance(transport, (TLSTransport, trio.SSLStream)):
            transport = cast("AnyTLSStream", transport).transport_stream
        if not isinstance(transport, trio.SocketStream):
            return None
    try:
        address: object = transport.socket.getpeername()
    except OSError:
        return _GONE
    return address or _UNNAMED

"""Who is at the other end of a stream: for the log, and for counting by address.

Imported by `opening` and `server`.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, cast

import trio

from trio_wsendpoint.settings import Logger

__all__ = ["logger_for", "peer_address", "peer_name"]


class ConnectionLogger(logging.LoggerAdapter[logging.Logger]):
    """Writes to the library's logger, and names the connection's peer before each record."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[str, MutableMapping[str, Any]]:
        """Put the peer before the message."""
        return f"[{(self.extra or {}).get('peer')}] {msg}", kwargs


def logger_for(stream: trio.abc.Stream, logger: Logger) -> Logger:
    """Return the logger of the connection over `stream`."""
    # An adapter may stand on another one, which then has its say too.
    return ConnectionLogger(cast("logging.Logger", logger), {"peer": peer_name(stream)})


def peer_name(stream: trio.abc.Stream) -> str:
    """Return the address of the peer as `host:port`, or what the stream calls itself."""
    address = _socket_address(stream)
    if isinstance(address, tuple):
        host, port = cast("tuple[str, int]", address[:2])
        # Without a zone, as in fe80::1%eth0: logging would take what follows the % for a format.
        host = host.partition("%")[0]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return type(stream).__name__ if address is None else str(address)


def peer_address(stream: trio.abc.Stream) -> str | None:
    """Return the IP address of the peer, or None if it has none."""
    address = _socket_address(stream)
    return cast("str", address[0]) if isinstance(address, tuple) else None


def _socket_address(stream: trio.abc.Stream) -> object:
    """Return what `getpeername()` says; None if the stream is not over a socket."""
    transport: Any = stream  # a Trio stream of any kind, which may wrap another
    while isinstance(transport, trio.SSLStream):
        transport = cast("trio.SSLStream[trio.abc.Stream]", transport).transport_stream
    if not isinstance(transport, trio.SocketStream):
        return None
    try:
        address: object = transport.socket.getpeername()
    except OSError:
        return "a peer that has gone"
    return address or "a unix socket"

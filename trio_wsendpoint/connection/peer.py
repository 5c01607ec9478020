"""The two ends of a stream, and the logger that names the other one."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, cast

import trio

from trio_wsendpoint.addressing.ends import GONE, Ends
from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.transport.accepted_socket import AcceptedSocket
from trio_wsendpoint.transport.any_tls import layers_of

__all__ = ["ConnectionLogger", "ends_of", "make_logger", "socket_names"]


class ConnectionLogger(logging.LoggerAdapter[logging.Logger]):
    """Writes to the library's logger, and puts the connection's peer and id before each record.

    `ends` are those of its stream.  `id` tells the connections of one program apart; see
    `Connection.id`.
    """

    def __init__(self, logger: Logger, ends: Ends, id: str) -> None:
        # Not the base's, which makes a dict for each.  An adapter may wrap another one,
        # which then adds to the record as well.
        self.logger = cast("logging.Logger", logger)
        self.ends = ends
        self.id = id

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[str, MutableMapping[str, Any]]:
        """Put peer and id before the message; called only for a record that is written."""
        # logging would take what follows % for a format, as in the zone of fe80::1%eth0.
        peer = repr(self.ends.peer).replace("%", "\\x25")
        return f"[{peer} #{self.id}] {msg}", kwargs


def ends_of(stream: trio.abc.Stream) -> Ends:
    """Return the two ends of `stream`, which is asked for their names now."""
    return Ends(*socket_names(stream))


def make_logger(
    stream: trio.abc.Stream, logger: Logger, random_bytes: Callable[[int], bytes]
) -> ConnectionLogger:
    """Return the logger of the connection over `stream`, with an id drawn for it."""
    return ConnectionLogger(logger, ends_of(stream), random_bytes(4).hex())


def socket_names(stream: trio.abc.Stream) -> tuple[object, object]:
    """Return what `getpeername()` and `getsockname()` say; None twice without a socket."""
    # Most of a server's are no more than an accepted socket.
    lowest = stream if type(stream) is AcceptedSocket else layers_of(stream)[-1]
    try:
        if isinstance(lowest, AcceptedSocket):
            return lowest.names()
        if isinstance(lowest, trio.SocketStream):
            return lowest.socket.getpeername(), lowest.socket.getsockname()
        return None, None
    except OSError:
        return GONE, None

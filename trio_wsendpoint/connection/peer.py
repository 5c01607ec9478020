"""The two ends of a stream, and the logger that names the other one.

The socket is asked once, while it is there.  Values and texts are made when they are asked for.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any, cast

import trio

from trio_wsendpoint.addressing import Peer, SocketAddress
from trio_wsendpoint.addressing.naming import address_named, peer_named, tls_of
from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.transport.accepted_socket import AcceptedSocket
from trio_wsendpoint.transport.any_tls import TLS_STREAMS, layers_of

__all__ = ["ConnectionLogger", "Ends", "make_logger", "socket_names"]

#: What a socket has for a name when its peer has gone already.
_GONE = (None, None)


class Ends:
    """The two ends of `stream`: `local`, and `peer` as far as it is known.

    What a PROXY header, TLS and forwarding headers tell of the peer is told here with `find` and
    `find_tls`, by the part that reads it.
    """

    __slots__ = ("_local", "_peer")

    def __init__(self, stream: trio.abc.Stream) -> None:
        # A name as the socket tells it, until a value is asked for.
        self._peer, self._local = socket_names(stream)

    @property
    def peer(self) -> Peer:
        """The other end."""
        peer = self._peer
        if not isinstance(peer, Peer):
            peer = self._peer = peer_named(peer)
        return peer

    @property
    def local(self) -> SocketAddress | None:
        """Our end; None if the stream is not over a socket."""
        local = self._local
        if local is not None and not isinstance(local, SocketAddress):
            local = self._local = address_named(local)
        return local

    @property
    def is_secure(self) -> bool:
        """Whether something has told that the other end came over TLS."""
        return isinstance(self._peer, Peer) and self._peer.tls is not None

    def find(self, peer: Peer, local: SocketAddress | None = None) -> None:
        """Take `peer` for the other end from now on, and `local`, unless it is None, for ours."""
        self._peer = peer
        if local is not None:
            self._local = local

    def find_tls(self, stream: trio.abc.Stream) -> None:
        """Note what TLS tells of the peer; `stream` has done its handshake, if it is TLS."""
        if isinstance(stream, TLS_STREAMS):
            self._peer = replace(self.peer, tls=tls_of(cast("ssl.SSLObject", stream)))


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


def make_logger(
    stream: trio.abc.Stream, logger: Logger, random_bytes: Callable[[int], bytes]
) -> ConnectionLogger:
    """Return the logger of the connection over `stream`, with an id drawn for it."""
    return ConnectionLogger(logger, Ends(stream), random_bytes(4).hex())


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
        return _GONE, None

"""The ends of a connection, from the names that a socket has for them, and from TLS."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from trio_wsendpoint.addressing.peer import Peer, PeerTLS, SocketAddress

__all__ = ["GONE", "Ends", "path_named"]

#: What a socket has for a name when its peer has gone already.
GONE = (None, None)


class Ends:
    """The two ends of a connection: `local`, and `peer` as far as it is known.

    `peer_name` is what `getpeername()` calls it, None without a socket, `GONE` when it has gone
    already; `local_name` is what `getsockname()` calls our end.  What a PROXY header, TLS and
    forwarding headers tell of the peer is told here with `find` and `find_tls`, by the part that
    reads it.
    """

    __slots__ = ("_local", "_peer")

    def __init__(self, peer_name: object, local_name: object) -> None:
        # Values are made when they are asked for.
        self._peer, self._local = peer_name, local_name

    @property
    def peer(self) -> Peer:
        """The other end."""
        peer = self._peer
        if not isinstance(peer, Peer):
            peer = self._peer = _peer_named(peer)
        return peer

    @property
    def local(self) -> SocketAddress | None:
        """Our end; None if the stream is not over a socket."""
        local = self._local
        if local is not None and not isinstance(local, SocketAddress):
            local = self._local = _address_named(local)
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

    def find_tls(self, end: Any) -> None:
        """Note what our `end` of TLS, which has what an `ssl.SSLObject` has, tells of the peer."""
        self._peer = replace(self.peer, tls=_tls_of(end))


def _peer_named(name: object) -> Peer:
    if name is None:
        return Peer(address=None, transport="stream")
    if isinstance(name, tuple):
        host, port = cast("tuple[str | None, int | None]", name[:2])
        return Peer(address=host, port=port)
    return Peer(address=path_named(name), transport="unix")


def _address_named(name: object) -> SocketAddress:
    if isinstance(name, tuple):
        host, port = cast("tuple[str, int]", name[:2])
        return SocketAddress(host, port)
    return SocketAddress(path_named(name), family="unix")


def path_named(name: object) -> str:
    """Return the path of a Unix socket; an abstract name begins with `@`."""
    path = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    return f"@{path[1:]}" if path.startswith("\0") else path


def _tls_of(end: ssl.SSLObject) -> PeerTLS:
    """Return what our `end` of TLS tells of the peer, after its handshake."""
    cipher = end.cipher()
    # Empty unless the certificate was verified.
    details = cast("Mapping[str, Any] | None", end.getpeercert()) or None
    return PeerTLS(
        version=end.version(),
        cipher=None if cipher is None else cipher[0],
        common_name=None if details is None else _common_name(details),
        certificate=None if details is None else end.getpeercert(True),
        details=details,
    )


def _common_name(details: Mapping[str, Any]) -> str | None:
    subject = cast("Sequence[Sequence[tuple[str, str]]]", details.get("subject", ()))
    return next((value for part in subject for key, value in part if key == "commonName"), None)

"""The ends of a connection, from the names that a socket has for them, and from TLS."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, cast

from trio_wsendpoint.addressing.peer import Peer, PeerTLS, SocketAddress

__all__ = ["address_named", "path_named", "peer_named", "tls_of"]


def peer_named(name: object) -> Peer:
    """Return the peer that `getpeername()` calls `name`; None is that of no socket."""
    if name is None:
        return Peer(address=None, transport="stream")
    if isinstance(name, tuple):
        host, port = cast("tuple[str | None, int | None]", name[:2])
        return Peer(address=host, port=port)
    return Peer(address=path_named(name), transport="unix")


def address_named(name: object) -> SocketAddress:
    """Return our end, which `getsockname()` calls `name`."""
    if isinstance(name, tuple):
        host, port = cast("tuple[str, int]", name[:2])
        return SocketAddress(host, port)
    return SocketAddress(path_named(name), family="unix")


def path_named(name: object) -> str:
    """Return the path of a Unix socket; an abstract name begins with `@`."""
    path = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    return f"@{path[1:]}" if path.startswith("\0") else path


def tls_of(end: ssl.SSLObject) -> PeerTLS:
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

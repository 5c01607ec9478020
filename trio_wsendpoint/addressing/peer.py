"""Tells the other end of a connection, as a value that a log line can show.

`Peer` holds what was found out: from the socket, from TLS, from a PROXY header, from the
forwarding headers of trusted proxies.  It is immutable; each further finding makes a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from trio_wsendpoint.addressing.ip import normal_host
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["Peer", "PeerTLS", "SocketAddress"]

_set = object.__setattr__  # of a frozen object that is still being made
_MAX_PATH = 108  # bytes of sun_path


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """One end of a connection: host and port of TCP, or the path of a Unix socket.

    `host` of an IPv4-mapped address is the IPv4 address.  An abstract Unix name begins with `@`,
    an unnamed one is empty.  `str()` is printable ASCII, as `192.0.2.1:80`, `[::1]:80` or
    `unix:/run/app.sock`.
    """

    host: str
    port: int | None = None
    family: Literal["tcp", "unix"] = "tcp"

    def __post_init__(self) -> None:
        if self.family == "tcp":
            _set(self, "host", normal_host(self.host))

    def __str__(self) -> str:
        return _shown(self.host, self.port, self.family)


@dataclass(frozen=True, slots=True)
class PeerTLS:
    """What TLS told of a peer.

    `version` is as `TLSv1.3`, `cipher` is OpenSSL's name.  `common_name` and `certificate` (DER)
    are the client's, and None unless its certificate was verified.  `details` is what
    `SSLSocket.getpeercert()` returned, None if a proxy spoke TLS; comparisons leave it out.
    """

    version: str | None = None
    cipher: str | None = None
    common_name: str | None = None
    certificate: bytes | None = field(default=None, repr=False)
    details: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        facts = [part for part in (self.version or "TLS", self.cipher) if part]
        shown = " ".join(quoted(fact)[1:-1] for fact in facts)
        return shown if self.common_name is None else f"{shown} CN={quoted(self.common_name)}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Peer:
    """The other end of a connection, or the client of one request that a proxy handed on.

    `address`: an IP address (an IPv4-mapped one becomes IPv4), the path of a Unix socket, or
    None if a proxy hid it.  `port`: None if there is none, or none is known.
    `transport`: `tcp`, `unix`, or `stream` for a stream that is no socket.
    `tls`: what TLS told, None without TLS.
    `proxies`: the hops between the client and us, the one nearest to the client first.

    `repr()` is what a log line wants: `192.0.2.1:4711 TLSv1.3 via 10.0.0.1`, printable ASCII.
    """

    address: str | None
    port: int | None = None
    transport: Literal["tcp", "unix", "stream"] = "tcp"
    tls: PeerTLS | None = None
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.transport == "tcp" and self.address is not None:
            _set(self, "address", normal_host(self.address))

    @property
    def kind(self) -> Literal["tcp", "unix", "tls", "stream"]:
        """How the peer came: `tls` whatever is below it, else the transport."""
        return self.transport if self.tls is None else "tls"

    @property
    def counted_as(self) -> str | None:
        """The text by which limits count this peer: its address; the nearest hop if that is hidden.

        None if there is neither: such a peer has come through a Unix socket, or a stream that is
        no socket, and is not told apart from others.
        """
        if self.transport == "tcp" and self.address is not None:
            return self.address
        return self.proxies[0] if self.proxies else None

    def __repr__(self) -> str:
        if self.address is None:
            shown = "stream:" if self.transport == "stream" else "unknown"
        else:
            shown = _shown(self.address, self.port, self.transport)
        if self.tls is not None:
            shown += f" {self.tls}"
        return f"{shown} via {', '.join(self.proxies)}" if self.proxies else shown


def _shown(host: str, port: int | None, family: str) -> str:
    # An escape has more characters than what it stands for: `quoted` leaves room for them.
    text = quoted(host, _MAX_PATH)[1:-1]
    if family != "tcp":
        return f"{family}:{text}"
    if port is None:
        return text
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"

"""Finds the client, the scheme and the host of one request behind trusted proxies.

Proxies pass on the forwarding headers that they do not write, so a client can write those itself.
What is believed therefore depends on the configuration, and on the hop that wrote it:

1. Only the headers that are named in `Forwarding` are looked at; never both families.
2. Only what a trusted hop says is believed.  Nothing has an effect if the peer is not trusted.
3. The lines of a header are joined in order, and its elements walked from the right, hop by hop,
   to the first one that is not trusted: that is the client.  The rest is not looked at.
4. What is malformed at the walk is refused with 400.  A hidden client is unknown; the walk never
   goes past it.

The client belongs to the request: a proxy sends those of many clients over one connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from trio_wsendpoint.addressing.forwarded import parse_forwarded
from trio_wsendpoint.addressing.nodes import (
    Node,
    parse_forwarded_node,
    parse_node,
    parse_proxy_port,
)
from trio_wsendpoint.addressing.peer import Peer
from trio_wsendpoint.addressing.trusted import TrustedProxies
from trio_wsendpoint.handshake.abnf import OWS
from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["BadForwarding", "Client", "Forwarding"]

#: Hops that are looked at; over it, 400.
MAX_HOPS = 32

_FOR, _PROTO, _HOST, _PORT = (
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
)
_FORWARDED = "forwarded"
_KNOWN = (_FOR, _PROTO, _HOST, _PORT, _FORWARDED)
# A WebSocket's scheme is told either way (Traefik says wss).
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_DEFAULT_PORTS = {"http": 80, "https": 443}


class BadForwarding(BadRequest):
    """A forwarding header that is malformed where it matters: a trusted proxy has sent it."""


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request, its scheme, and the host that it asked for.

    `peer` is the client, with the hops it came through.  `scheme` is `http` or `https`, also for
    a WebSocket.  `host` is as a Host header has it, None if the request has none.
    """

    peer: Peer
    scheme: str
    host: str | None


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a walk ended: the client, None for the peer itself; and its place from the right."""

    node: Node | None
    hops: tuple[str, ...]
    place: int
    count: int


class Forwarding:
    """Finds the client of a request, by the headers that the proxies in front are known to write.

    `trusted`: the proxies.  `headers`: which of their headers are believed: `X-Forwarded-For`,
    `-Proto`, `-Host` and `-Port`, or `Forwarded` alone.  Name a header only if the nearest proxy
    writes it on every request: else the client does.
    Raises `ValueError` for other names, and for names of both families.
    """

    __slots__ = ("_headers", "_trusted")

    def __init__(
        self, trusted: TrustedProxies, headers: Iterable[str] = ("X-Forwarded-For",)
    ) -> None:
        if isinstance(headers, str):
            raise TypeError(f"forwarding headers come as a list of names, not as {headers!r}")
        names = frozenset(name.lower() for name in headers)
        if unknown := names.difference(_KNOWN):
            known = "X-Forwarded-For, -Proto, -Host, -Port and Forwarded"
            raise ValueError(f"{quoted(min(unknown))} is no forwarding header: known are {known}")
        if _FORWARDED in names and len(names) > 1:
            raise ValueError("Forwarded and X-Forwarded headers cannot both be believed")
        self._trusted = trusted
        self._headers = names

    def client_of(self, headers: Headers, peer: Peer, *, scheme: str, host: str | None) -> Client:
        """Return the client of a request with `headers` that came from `peer`.

        `scheme` and `host` are those of the request itself, and hold where no trusted proxy says
        otherwise.  Raises `BadRequest` (400) for a header that is malformed where it matters; its
        message has the address of the hop that sent it, its response has not.
        """
        if not self._trusted.trusts_peer(peer):
            return Client(peer, scheme, host)
        try:
            if _FORWARDED in self._headers:
                return self._by_forwarded(headers, peer, scheme, host)
            return self._by_x_forwarded(headers, peer, scheme, host)
        except ValueError as error:
            response = Response(400, body="bad request: a malformed forwarding header\n")
            raise BadForwarding(f"a forwarding header from {peer!r}: {error}", response) from None

    def _by_forwarded(self, headers: Headers, peer: Peer, scheme: str, host: str | None) -> Client:
        elements = parse_forwarded(headers.get_all(_FORWARDED))
        found = self._walk(_for_nodes(elements), len(elements), peer)
        if found.place:
            element = elements[-found.place]
            if (text := element.get("proto")) is not None:
                scheme = _parse_scheme(text)
            if (text := element.get("host")) is not None:
                host = _parse_host(text)
        return Client(_peer_at(found, peer), scheme, host)

    def _by_x_forwarded(
        self, headers: Headers, peer: Peer, scheme: str, host: str | None
    ) -> Client:
        elements = self._elements(headers, _FOR)
        nodes = (parse_node(element) for element in reversed(elements))
        found = self._walk(nodes, len(elements), peer)
        if (text := self._element_at(headers, _PROTO, found)) is not None:
            scheme = _parse_scheme(text)
        if (text := self._element_at(headers, _HOST, found)) is not None:
            host = _parse_host(text)
        if (text := self._element_at(headers, _PORT, found)) is not None:
            host = _with_port(host, parse_proxy_port(text), scheme)
        return Client(_peer_at(found, peer), scheme, host)

    def _elements(self, headers: Headers, name: str) -> list[str]:
        """Return the elements of a header that is believed; none of one that is not."""
        if name not in self._headers:
            return []
        joined = ",".join(headers.get_all(name))
        return [text for element in joined.split(",") if (text := element.strip(OWS))]

    def _element_at(self, headers: Headers, name: str, found: _Found) -> str | None:
        """Return the element that belongs to the client's, else the rightmost; None if empty.

        Some proxies append to these headers, others set them: only with one element for each hop
        does it belong to the hop.
        """
        elements = self._elements(headers, name)
        if not elements:
            return None
        return elements[-found.place if len(elements) == found.count else -1]

    def _walk(self, nodes: Iterable[Node], count: int, peer: Peer) -> _Found:
        """Walk from the right to the first hop that is not trusted, or to the leftmost one."""
        node: Node | None = None
        hops = [_shown_hop(peer)]
        place = 0
        for node in nodes:
            place += 1
            if node.address is None or not self._trusted.trusts(node.address) or place == count:
                break
            if place == MAX_HOPS:
                raise ValueError(f"more than {MAX_HOPS} hops")
            hops.append(str(node.address))
        # Without an element, the proxy speaks for itself: a health check.
        return _Found(node, tuple(reversed(hops)), place, count)


def _for_nodes(elements: Sequence[dict[str, str]]) -> Iterable[Node]:
    """Yield the node of each element from the right; one that does not say `for` hides it."""
    for element in reversed(elements):
        text = element.get("for")
        yield Node(None) if text is None else parse_forwarded_node(text)


def _peer_at(found: _Found, peer: Peer) -> Peer:
    if found.node is None:
        return peer
    address = None if found.node.address is None else str(found.node.address)
    proxies = (*found.hops, *peer.proxies)
    return replace(
        peer, address=address, port=found.node.port, transport="tcp", tls=None, proxies=proxies
    )


def _shown_hop(peer: Peer) -> str:
    return peer.address or "" if peer.transport == "tcp" else f"{peer.transport}:"


def _parse_scheme(text: str) -> str:
    scheme = _SCHEMES.get(text.lower())
    if scheme is None:
        raise ValueError(f"{quoted(text)} is not a scheme (http, https, ws, wss)")
    return scheme


def _parse_host(text: str) -> str:
    parse_authority(text)
    return text


def _with_port(host: str | None, port: int, scheme: str) -> str | None:
    """Return `host` with `port`, unless it has one, or the port is the scheme's own."""
    if host is None or port == _DEFAULT_PORTS[scheme]:
        return host
    return f"{host}:{port}" if parse_authority(host)[1] is None else host

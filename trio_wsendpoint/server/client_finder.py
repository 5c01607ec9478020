"""Finds the client behind a stream, and behind each of its requests; and lets limits count it."""

from __future__ import annotations

import logging

import trio

from trio_wsendpoint.addressing import BadProxyHeader, Client, Peer, ProxyHeader
from trio_wsendpoint.connection.peer import ConnectionLogger
from trio_wsendpoint.handshake import Request, Response
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.server.host import Host
from trio_wsendpoint.server.rules import Rules

__all__ = ["ClientFinder"]


class ClientFinder:
    """What is known of the other end of one stream; `logger` names it.

    `rules` say whom to believe; `host` lets limits count the client.  `retry_after`: of the
    answer to one that limits have no room for.
    """

    __slots__ = ("_hop", "_host", "_logger", "_retry_after", "_rules")

    def __init__(
        self, logger: ConnectionLogger, rules: Rules, host: Host, retry_after: int | None
    ) -> None:
        self._logger = logger
        self._rules = rules
        self._host = host
        self._retry_after = retry_after
        self._hop: Peer | None = None  # of which requests have told other clients

    @property
    def is_secure(self) -> bool:
        """Whether the client came over TLS, of ours or of a proxy in front."""
        if self._hop is not None:
            return self._hop.tls is not None
        return self._logger.ends.is_secure

    def check_proxy(self) -> None:
        """Raise `BadProxyHeader` unless the peer is a proxy that may send a PROXY header."""
        if not self._rules.trusts(self._logger.ends.peer):
            raise BadProxyHeader("a PROXY header is taken from trusted_proxies alone")

    def find_by_header(self, header: ProxyHeader) -> None:
        """Take the client from a PROXY header; raises `BadRequest` (503) as limits demand."""
        ends = self._logger.ends
        ends.find(header.peer_behind(ends.peer), header.destination)
        self._let_count(ends.peer, is_opening=True)

    def find_by_tls(self, stream: trio.abc.Stream) -> None:
        """Take from TLS what it tells of the peer."""
        self._logger.ends.find_tls(stream)

    def client_of(self, request: Request, *, is_opening: bool = True) -> Client | None:
        """Return the client of `request`; None if no proxy is trusted, so that it is the peer.

        Raises `BadRequest`: 400 for a malformed forwarding header, 503 as limits demand.
        """
        if self._rules.forwarding is None:
            return None
        ends = self._logger.ends
        hop = self._hop = self._hop or ends.peer
        ends.find(hop)
        client = self._rules.client_of(request, hop, is_secure=self.is_secure)
        if client.peer is not hop:
            ends.find(client.peer)
        elif self._logger.isEnabledFor(logging.DEBUG) and self._rules.is_forwarded(request):
            self._logger.debug("forwarding headers of this address are not believed")
        self._let_count(client.peer, is_opening=is_opening)
        return client

    def client_or_peer(self, client: Client | None, request: Request) -> Client:
        """Return `client`, or what there is if it is None."""
        peer = self._logger.ends.peer
        return client or self._rules.client_of(request, peer, is_secure=self.is_secure)

    def forget(self) -> None:
        """Go back to the peer: the request whose client was found has been answered."""
        if self._hop is not None:
            self._logger.ends.find(self._hop)
            self._let_count(self._hop, is_opening=False)

    def _let_count(self, peer: Peer, *, is_opening: bool) -> None:
        why = self._host.count(self._rules.counted_as(peer), is_opening=is_opening)
        if why is not None:
            headers = {} if self._retry_after is None else {"Retry-After": str(self._retry_after)}
            raise BadRequest(why, Response(503, headers, f"{why}\n"))

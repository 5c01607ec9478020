"""What decides about the requests of one server, made once from its options."""

from __future__ import annotations

from trio_wsendpoint.addressing import Client, Forwarding, Peer, TrustedProxies
from trio_wsendpoint.handshake import Request, ServerHandshake
from trio_wsendpoint.http import HttpDate
from trio_wsendpoint.server.settings import AcceptSettings

__all__ = ["Rules"]


_FORWARDING = ("X-Forwarded-For", "Forwarded")


class Rules:
    """The rules of all requests: the handshake's, and which proxies are believed.

    `forwarding` is None if no proxy is trusted.  `date`: of all answers.
    Raises `ValueError` or `TypeError` for options that could make no answer.
    """

    def __init__(self, settings: AcceptSettings) -> None:
        self.handshake = ServerHandshake(
            subprotocols=settings.subprotocols,
            subprotocol_required=settings.subprotocol_required,
            origins=settings.origins,
            headers=settings.headers,
            extensions=settings.extensions,
            limits=settings.limits,
        )
        self.date = HttpDate(settings.wall_clock)
        self._trusted = TrustedProxies(settings.trusted_proxies)
        self.forwarding = Forwarding(self._trusted, settings.forwarded) if self._trusted else None

    def trusts(self, peer: Peer) -> bool:
        """Tell whether `peer` is a trusted proxy."""
        return self.forwarding is not None and self._trusted.trusts_peer(peer)

    def is_forwarded(self, request: Request) -> bool:
        """Tell whether `request` has a header by which a proxy tells of its client."""
        return any(name in request.headers for name in _FORWARDING)

    def client_of(self, request: Request, peer: Peer, *, is_secure: bool) -> Client:
        """Return the client of a request that came from `peer`, `is_secure` if over TLS.

        Raises `BadRequest` as `Forwarding.client_of`.
        """
        scheme = "https" if is_secure else "http"
        if self.forwarding is None:
            return Client(peer, scheme, request.host)
        return self.forwarding.client_of(request.headers, peer, scheme=scheme, host=request.host)

    def counted_as(self, peer: Peer) -> str | None:
        """Return what limits count `peer` as: None for a trusted proxy, whose clients are counted.

        Also None for a peer without an address; see `Peer.counted_as`.
        """
        return None if self.trusts(peer) else peer.counted_as

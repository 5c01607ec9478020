"""A plain request, as `http_handler` is given it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from trio_wsendpoint.addressing import Peer, SocketAddress
from trio_wsendpoint.handshake.http import Request
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.http import BodyTooLarge
from trio_wsendpoint.server.exchange import Exchange

__all__ = ["HttpRequest"]

_set = object.__setattr__


class HttpRequest(Request):
    """A `Request` with its body, and what is known of its client.

    `peer`: the client; `local`: our end of the connection.  `state`: the app's, at first a
    namespace without attributes.  `is_secure`: whether it came over TLS, as a trusted proxy tells,
    if one does.  `exchange`: what the request and its answer go through; most handlers return a
    response and need it not.
    """

    __slots__ = ("exchange", "is_secure", "local", "peer", "state")

    def __init__(
        self,
        exchange: Exchange,
        *,
        peer: Peer,
        local: SocketAddress | None = None,
        state: Any = None,
        is_secure: bool = False,
    ) -> None:
        head = exchange.head.request
        # Its parts are fit: they were checked as they came.
        _set(self, "target", head.target)
        _set(self, "headers", head.headers)
        _set(self, "method", head.method)
        _set(self, "http_version", head.http_version)
        self.exchange = exchange
        self.peer = peer
        self.local = local
        self.is_secure = is_secure
        self.state: Any = SimpleNamespace() if state is None else state

    async def read(self, limit: int | None = None) -> bytes:
        """Return the body, or what has not been read of it; empty if there is none.

        `limit`: bytes; None leaves it at `HttpLimits.body_size`.  A client that waits for a 100
        gets it now, unless its body is over the limit.

        If cancelled: what was read so far is gone.
        Raises: as `read_some`; `BodyTooLarge` over `limit`.
        """
        exchange = self.exchange
        pieces: list[bytes] = []
        size = exchange.head.framing.length  # 0 of a body that comes in chunks
        is_known = size > 0
        while limit is None or size <= limit:
            data = await exchange.read_some()
            if not data:
                return b"".join(pieces)
            pieces.append(data)
            size += 0 if is_known else len(data)
        error = BodyTooLarge(limit)
        exchange.note(error)
        raise error

    async def read_some(self) -> bytes:
        """Return the next bytes of the body; empty at its end.

        If cancelled: nothing was taken.
        Raises: `BodyTooLarge`, `BodyCutShort`, `OutOfTime` or another `BadRequest` for what is
            wrong with the body; `ClientGone`.  A handler may let them pass: the client is told.
        """
        return await self.exchange.read_some()

    # Two requests are never one, whatever they ask for; and the app may set attributes.
    __setattr__ = object.__setattr__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __repr__(self) -> str:
        return f"<HttpRequest {quoted(self.method)} {quoted(self.raw_path)} {self.peer!r}>"

"""A request before it is answered, as `process_request` is given it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from trio_wsendpoint.addressing import Client, Peer, SocketAddress
from trio_wsendpoint.connection.app_state import AppState
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.handshake import Headers, Request
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.server import checked_for_101

__all__ = ["Opening"]


class Opening:
    """A request for a WebSocket, before its 101.

    `request` is what was asked: its `path`, `query`, `cookies`, `headers`.  `peer` is the client
    and `local` our end, as `Connection.peer` and `Connection.local`.  `host` is what the client
    asked for, and `is_secure` tells whether it came over TLS: both as a trusted proxy tells, if
    one does.

    What the app sets here is for this request alone:

    * `state`: anything; later it is `Connection.state`.  A namespace without attributes at first.
    * `subprotocol`: one that the client has offered, or None; at first what the server's
      `subprotocols=` say.
    * `add_header`: a further header of the 101.

    An app that runs before, during and after the 101 in one task calls `accept`, which writes the
    101 and returns the open connection:

        async def process_request(opening: Opening) -> None:
            connection = await opening.accept()
            await connection.aclose(4401, "log in first")    # browsers show this code, but no 401

    As long as it has not returned, the server takes it for the handler of that connection: its
    failure closes the connection with 1011, and it is cancelled when the server's grace is over.
    If the connection is open when it returns, the handler goes on with it.  So an adapter for
    another interface runs its whole application in `process_request`, in one task, which the
    `Opening` hands to the connection.
    """

    __slots__ = (
        "_accept",
        "_connection",
        "_headers",
        "_is_subprotocol_required",
        "_subprotocol",
        "host",
        "is_secure",
        "local",
        "peer",
        "request",
        "state",
    )

    def __init__(
        self,
        request: Request,
        client: Client,
        local: SocketAddress | None,
        *,
        subprotocol: str | None,
        is_subprotocol_required: bool,
        accept: Callable[[], Awaitable[Connection]],
    ) -> None:
        self.request = request
        self.peer: Peer = client.peer
        self.local = local
        self.host = client.host
        self.is_secure = client.scheme == "https"
        self.state: Any = AppState()
        self._subprotocol = subprotocol
        self._is_subprotocol_required = is_subprotocol_required
        self._headers = Headers()
        self._accept = accept
        self._connection: Connection | None = None

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the 101 will name.

        Setting it raises `ValueError` for one that the client has not offered, and for None where
        the server's `subprotocol_required` is set.
        """
        return self._subprotocol

    @subprotocol.setter
    def subprotocol(self, value: str | None) -> None:
        self._check_unanswered()
        offered = self.request.subprotocols
        if value is None and self._is_subprotocol_required:
            raise ValueError("subprotocol is None, and subprotocol_required=True")
        if value is not None and value not in offered:
            told = ", ".join(map(quoted, offered)) or "none"
            shown = quoted(value) if isinstance(value, str) else repr(value)
            raise ValueError(f"subprotocol {shown} was not offered by the client: it has {told}")
        self._subprotocol = value

    @property
    def headers(self) -> Headers:
        """The headers that `add_header` has added to the 101."""
        return self._headers

    def add_header(self, name: str, value: str) -> None:
        """Add a header to the 101, as a Set-Cookie; a name may be added more than once.

        Raises `ValueError` for what may not go on the wire, and for a header that the handshake
        writes itself.
        """
        self._check_unanswered()
        self._headers = checked_for_101([*self._headers.items(), (name, value)])

    @trio.lowlevel.enable_ki_protection
    async def accept(self) -> Connection:
        """Write the 101 and return the connection, which is open.

        If cancelled: there is no connection.
        Raises: `HandshakeError` if the request can no longer be accepted, because the client has
            gone or the server stops: let it pass.  `RuntimeError` for a request that asks for no
            WebSocket, and for a second call.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_unanswered()
        if not self.request.is_upgrade:
            raise RuntimeError("the request asks for no WebSocket: it cannot be accepted")
        self._connection = await self._accept()
        return self._connection

    @property
    def connection(self) -> Connection | None:
        """The connection, once the request has been accepted."""
        return self._connection

    def _check_unanswered(self) -> None:
        if self._connection is not None:
            raise RuntimeError("the request has been accepted already")

    def __repr__(self) -> str:
        path = quoted(self.request.raw_path)
        return f"<Opening {self.peer!r} {path}{'' if self._connection is None else ' accepted'}>"

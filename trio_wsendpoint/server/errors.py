"""What can go wrong in an exchange of plain HTTP over a stream, beyond what `http.errors` has."""

from __future__ import annotations

import trio

from trio_wsendpoint.errors import WebSocketError

__all__ = ["ClientGone"]


class ClientGone(WebSocketError, trio.BrokenResourceError):
    """The client of a plain request is gone: nothing of it can be read, nothing reaches it.

    `__cause__` says how: what the stream raised, or `PeerTooSlow`.
    """

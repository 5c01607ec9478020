"""What both roles check of their own options before any handshake.

Pure functions; they raise `ValueError` or `TypeError` to our own caller, at construction, so that
nothing of it is left to fail in the middle of a handshake.  For `server.py` and `client.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_wsendpoint.handshake.abnf import is_token
from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["checked_headers", "checked_subprotocols"]

_FRAMING = frozenset({"content-length", "transfer-encoding"})


def checked_subprotocols(subprotocols: Sequence[str]) -> tuple[str, ...]:
    """Return them, each a token and each but once (RFC 6455 section 4.1, item 10)."""
    if isinstance(subprotocols, str):
        # Or "chat" would offer "c", "h", "a" and "t".
        raise TypeError(f"subprotocols: a list of tokens, not the str {quoted(subprotocols)}")
    seen: set[str] = set()
    for subprotocol in subprotocols:
        if not is_token(subprotocol):
            raise ValueError(f"subprotocol {quoted(subprotocol)} is not a token")
        if subprotocol in seen:
            raise ValueError(f"subprotocol {quoted(subprotocol)} is listed twice")
        seen.add(subprotocol)
    return tuple(subprotocols)


def checked_headers(items: HeaderItems, reserved: Collection[str]) -> Headers:
    """Return the extra headers, none of which the handshake writes itself.

    `reserved`: names in lower case, besides Sec-WebSocket-* and what frames a body.
    """
    headers = Headers(items)
    for name in headers:
        if name in reserved or name in _FRAMING or name.startswith("sec-websocket-"):
            raise ValueError(f"header {name}: the handshake writes it itself")
    return headers

"""What both roles check of their own options before any handshake.

Pure functions; they raise `ValueError` or `TypeError` to our own caller, at construction, so that
nothing of it is left to fail in the middle of a handshake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_wsendpoint.handshake.abnf import is_token
from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.hosts import ascii_authority
from trio_wsendpoint.handshake.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["checked_headers", "checked_host", "checked_subprotocols"]

_FRAMING = frozenset({"content-length", "transfer-encoding"})
_INSTEAD = {
    "sec-websocket-extensions": "deflate=",
    "sec-websocket-protocol": "subprotocols=",
}


def checked_subprotocols(
    subprotocols: Sequence[str], *, is_required: bool = False
) -> tuple[str, ...]:
    """Return them, each a token and each but once (RFC 6455 section 4.1, item 10).

    `is_required`: the option `subprotocol_required`, which makes no sense without any.
    """
    if not isinstance(is_required, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"subprotocol_required is a bool, not {type(is_required).__name__}")
    if is_required and not subprotocols:
        raise ValueError("subprotocol_required: there are no subprotocols to choose from")
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


def checked_headers(items: HeaderItems, reserved: Mapping[str, str]) -> Headers:
    """Return the extra headers, none of which the handshake writes itself.

    `reserved`: names in lower case, in addition to those of `Sec-WebSocket-` and those that frame
    a body, and what to use instead, or the empty string.
    """
    headers = Headers(items)
    for name in headers:
        if name in reserved or name in _FRAMING or name.startswith("sec-websocket-"):
            instead = reserved.get(name) or _INSTEAD.get(name)
            hint = f": use {instead}" if instead else ""
            raise ValueError(f"header {name}: the handshake writes it itself{hint}")
    return headers


def checked_host(text: str) -> str:
    """Return the value of a Host header that the app has chosen, in ASCII.

    `text` is `host` or `host:port`; an IPv6 address stands in brackets.
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"host_header is a str or None, not {type(text).__name__}")
    try:
        value = text if text.isascii() else ascii_authority(text)
        parse_authority(value)
    except ValueError as error:
        raise ValueError(f"host_header: {error}") from None
    return value

"""Makes the scopes of ASGI: what an application is told of a connection before any event.

Each call returns a fresh dict with lists of its own, because frameworks write into it.  Text is
`str`, the rest bytes, as the specification has it (www.rst 2.5, lifespan.rst 2.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

from trio_wsendpoint.addressing.peer import Peer, SocketAddress
from trio_wsendpoint.asgi.tls import tls_extension
from trio_wsendpoint.handshake.http import Request
from trio_wsendpoint.http import RequestHead

__all__ = ["Scope", "Surroundings", "http_extensions", "http_scope", "websocket_scope"]

Scope: TypeAlias = dict[str, Any]

#: The versions of the specification that applications are told.  From 2.4 on, Starlette waits for
#: no `http.disconnect` beside a streamed answer: an answer that waits for news would never end.
HTTP_VERSION = "2.3"
WEBSOCKET_VERSION = "2.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the scopes of one application have in common.

    `root_path` is put before each path, for an application behind a proxy that takes it off.
    `state` is the lifespan's, of which each scope gets a copy; None without a lifespan.
    `http_version` is the version of the specification that the scope of a request tells.
    """

    root_path: str = ""
    state: Mapping[str, Any] | None = None
    http_version: str = HTTP_VERSION


def http_scope(
    request: Request,
    peer: Peer,
    local: SocketAddress | None,
    around: Surroundings,
    extensions: Mapping[str, Any] | None = None,
    *,
    is_secure: bool | None = None,
) -> Scope:
    """Return the scope of a request for anything but a WebSocket.

    `is_secure`: what a trusted proxy says of TLS; None leaves it to `peer`.
    """
    scope = _scope(request, peer, local, around, dict(extensions or {}))
    scope["type"] = "http"
    scope["asgi"] = {"version": "3.0", "spec_version": around.http_version}
    scope["method"] = request.method
    scope["scheme"] = "https" if _is_secure(peer, is_secure) else "http"
    return scope


def http_extensions(head: RequestHead) -> dict[str, Any]:
    """Return the extensions that an answer to this request may use: hints, and trailers.

    HTTP/1.0 has neither; trailers are for a client that says that it reads them.
    """
    if head.request.http_version != "1.1":
        return {}
    offers: dict[str, Any] = {"http.response.early_hint": {}}
    if head.takes_trailers:
        offers["http.response.trailers"] = {}
    return offers


def websocket_scope(
    request: Request,
    peer: Peer,
    local: SocketAddress | None,
    around: Surroundings,
    extensions: Mapping[str, Any] | None = None,
    *,
    is_secure: bool | None = None,
) -> Scope:
    """Return the scope of an opening that the handshake would accept; as `http_scope`."""
    offers: dict[str, Any] = {"websocket.http.response": {}, **(extensions or {})}
    scope = _scope(request, peer, local, around, offers)
    scope["type"] = "websocket"
    scope["asgi"] = {"version": "3.0", "spec_version": WEBSOCKET_VERSION}
    scope["scheme"] = "wss" if _is_secure(peer, is_secure) else "ws"
    scope["subprotocols"] = list(request.subprotocols)
    return scope


def _scope(
    request: Request,
    peer: Peer,
    local: SocketAddress | None,
    around: Surroundings,
    offers: dict[str, Any],
) -> Scope:
    root_path, raw_path = around.root_path, request.raw_path
    if peer.tls is not None:
        offers["tls"] = tls_extension(peer.tls)
    scope: Scope = {
        "http_version": request.http_version,
        # What is no UTF-8 becomes U+FFFD: `raw_path` has the bytes.
        "path": root_path + (unquote(raw_path) if "%" in raw_path else raw_path),
        "raw_path": (root_path + raw_path).encode(),
        "query_string": request.target.partition("?")[2].encode(),
        "root_path": root_path,
        "headers": [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in request.headers.items()
        ],
        "client": _client(peer),
        "server": _server(local),
        "extensions": offers,
    }
    if around.state is not None:
        scope["state"] = dict(around.state)
    return scope


def _is_secure(peer: Peer, told: bool | None) -> bool:
    return peer.tls is not None if told is None else told


def _client(peer: Peer) -> tuple[str, int] | None:
    """Return the client's address; behind a trusted proxy that told no port, the port is 0."""
    if peer.transport != "tcp" or peer.address is None:
        return None
    return peer.address, peer.port or 0


def _server(local: SocketAddress | None) -> tuple[str, int | None] | None:
    return None if local is None else (local.host, local.port)

"""The opening handshake, without I/O: both roles, from bytes to an agreed connection.

`ServerHandshake` and `ClientHandshake` decide by headers alone; `RequestReader`, `ResponseReader`
and the `serialize_` functions put them on the wire as HTTP/1.1.  What goes wrong is an error of
`trio_wsendpoint.errors`: a server's `BadRequest` carries the answer to write, a client gets
`BadResponse` or `HandshakeRefused`.  Nothing here imports Trio.
"""

from __future__ import annotations

from trio_wsendpoint._public import publish
from trio_wsendpoint.handshake.client import ClientHandshake
from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.http1 import (
    RequestReader,
    ResponseReader,
    serialize_request,
    serialize_response,
)
from trio_wsendpoint.handshake.key import accept_key
from trio_wsendpoint.handshake.origin import OriginPolicy, Origins
from trio_wsendpoint.handshake.server import ServerHandshake
from trio_wsendpoint.handshake.url import WebSocketURL

__all__ = [
    "ClientHandshake",
    "HeaderItems",
    "Headers",
    "OriginPolicy",
    "Origins",
    "Request",
    "RequestReader",
    "Response",
    "ResponseReader",
    "ServerHandshake",
    "WebSocketURL",
    "accept_key",
    "serialize_request",
    "serialize_response",
]

publish(globals(), __all__)

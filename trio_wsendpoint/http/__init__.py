"""Plain HTTP/1.x on a WebSocket server's port, without I/O.

`HttpConnection` is one connection as its server sees it: bytes in, requests and bytes out.
`Routes` finds the handler of a request, `basic_auth` and `bearer_token` its user.
"""

from __future__ import annotations

from trio_wsendpoint._public import publish
from trio_wsendpoint.http.answers import HttpDate, answer_without_handler
from trio_wsendpoint.http.authentication import (
    Unauthorized,
    are_equal,
    basic_auth,
    basic_credentials,
    bearer_token,
)
from trio_wsendpoint.http.connection import HttpConnection
from trio_wsendpoint.http.errors import (
    BodyCutShort,
    BodyMismatch,
    BodyTooLarge,
    OutOfTime,
    WrongOrder,
)
from trio_wsendpoint.http.heads import RequestHead
from trio_wsendpoint.http.phases import Phase
from trio_wsendpoint.http.routes import Match, Routes
from trio_wsendpoint.http.settings import HttpLimits
from trio_wsendpoint.http.streamed import StreamedResponse

__all__ = [
    "BodyCutShort",
    "BodyMismatch",
    "BodyTooLarge",
    "HttpConnection",
    "HttpDate",
    "HttpLimits",
    "Match",
    "OutOfTime",
    "Phase",
    "RequestHead",
    "Routes",
    "StreamedResponse",
    "Unauthorized",
    "WrongOrder",
    "answer_without_handler",
    "are_equal",
    "basic_auth",
    "basic_credentials",
    "bearer_token",
]

publish(globals(), __all__)

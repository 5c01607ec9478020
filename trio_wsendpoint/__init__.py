"""WebSocket endpoints for Trio: cancel-safe, bounded, deterministic.

Start with `serve_endpoint` and `connect_endpoint`; a `Connection` is a Trio channel of messages.
`accept_endpoint` and `run_endpoint` are for servers that are driven by others.  The layers below
need no Trio: `protocol` (endpoints, frames, messages), `handshake`, `extensions`.
`trio_wsendpoint.testing` has what tests need.
"""

from trio_wsendpoint._public import publish
from trio_wsendpoint._version import __version__
from trio_wsendpoint.addressing import Peer, PeerTLS, SocketAddress
from trio_wsendpoint.channels import (
    Codec,
    JSONCodec,
    MessageByteStream,
    MessageChannel,
    UndecodableMessage,
    UnexpectedText,
)
from trio_wsendpoint.client.attempts import (
    Attempt,
    GaveUp,
    NotConnected,
    ReconnectStatistics,
    Retry,
)
from trio_wsendpoint.client.backoff import Backoff
from trio_wsendpoint.client.codes import Codes
from trio_wsendpoint.client.connecting import connect_endpoint
from trio_wsendpoint.client.opening import HandshakeTimeout
from trio_wsendpoint.client.proxy_errors import ProxyError, ProxyRefused
from trio_wsendpoint.client.reconnecting import reconnecting_endpoint
from trio_wsendpoint.client.reconnecting_connection import ReconnectingConnection
from trio_wsendpoint.client.redirects import RedirectRefused
from trio_wsendpoint.client.retries import Row
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.client.states import ReconnectState
from trio_wsendpoint.connection.broadcasting import PassedBy, broadcast
from trio_wsendpoint.connection.closed import (
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    ConnectionLost,
    PingTimeout,
)
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import Instrument
from trio_wsendpoint.connection.streams import ReceiveStream, SendStream
from trio_wsendpoint.connection.timings import Timings
from trio_wsendpoint.errors import (
    BadResponse,
    EndpointClosed,
    HandshakeError,
    InvalidCloseCode,
    InvalidFrame,
    InvalidPayload,
    InvalidURL,
    LocalError,
    MessageTooBig,
    PeerError,
    PeerTooSlow,
    PolicyViolation,
    ProtocolError,
    RateExceeded,
    TLSFailed,
    UnexpectedEOF,
    WebSocketError,
)
from trio_wsendpoint.extensions import Deflate
from trio_wsendpoint.handshake import Headers, Request, Response
from trio_wsendpoint.handshake.errors import (
    BadRequest,
    BadUpgrade,
    HandshakeRefused,
    RequestAnswered,
    UnexpectedProxyHeader,
)
from trio_wsendpoint.http import (
    BodyCutShort,
    BodyTooLarge,
    HttpLimits,
    OutOfTime,
    StreamedResponse,
)
from trio_wsendpoint.options import Heartbeat, Limits, ServerLimits, Timeouts
from trio_wsendpoint.protocol import (
    BinaryFrame,
    ClientEndpoint,
    CloseCause,
    CloseCode,
    CloseFrame,
    ContinuationFrame,
    ControlFrame,
    DataFrame,
    Endpoint,
    Frame,
    Message,
    Parser,
    PingFrame,
    PingStore,
    PongFrame,
    Progress,
    ServerEndpoint,
    State,
    Streamer,
    TextFrame,
    UnfinishedStream,
)
from trio_wsendpoint.protocol.coding import codec_kind
from trio_wsendpoint.server.access_log import AccessLog, AccessRecord
from trio_wsendpoint.server.answering import HttpHandler
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.server.listen import Listen
from trio_wsendpoint.server.listeners import open_listeners
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.server.routing import Routes
from trio_wsendpoint.server.server import EndpointServer, Handler
from trio_wsendpoint.server.serving import accept_endpoint, run_endpoint, serve_endpoint
from trio_wsendpoint.server.settings import AcceptOptions, ProcessRequest, ServeOptions
from trio_wsendpoint.session.statistics import (
    ConnectionStatistics,
    ServerStatistics,
    TrafficStatistics,
)

__all__ = [
    "AcceptOptions",
    "AccessLog",
    "AccessRecord",
    "Attempt",
    "Backoff",
    "BadRequest",
    "BadResponse",
    "BadUpgrade",
    "BinaryFrame",
    "BodyCutShort",
    "BodyTooLarge",
    "ClientEndpoint",
    "ClientGone",
    "CloseCause",
    "CloseCode",
    "CloseFrame",
    "Codec",
    "Codes",
    "ConnectOptions",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedLocally",
    "ConnectionEnded",
    "ConnectionLost",
    "ConnectionStatistics",
    "ContinuationFrame",
    "ControlFrame",
    "DataFrame",
    "Deflate",
    "Endpoint",
    "EndpointClosed",
    "EndpointServer",
    "Frame",
    "GaveUp",
    "Handler",
    "HandshakeError",
    "HandshakeRefused",
    "HandshakeTimeout",
    "Headers",
    "Heartbeat",
    "HttpHandler",
    "HttpLimits",
    "HttpRequest",
    "Instrument",
    "InvalidCloseCode",
    "InvalidFrame",
    "InvalidPayload",
    "InvalidURL",
    "JSONCodec",
    "Limits",
    "Listen",
    "LocalError",
    "Message",
    "MessageByteStream",
    "MessageChannel",
    "MessageTooBig",
    "NotConnected",
    "Opening",
    "OutOfTime",
    "Parser",
    "PassedBy",
    "Peer",
    "PeerError",
    "PeerTLS",
    "PeerTooSlow",
    "PingFrame",
    "PingStore",
    "PingTimeout",
    "PolicyViolation",
    "PongFrame",
    "ProcessRequest",
    "Progress",
    "ProtocolError",
    "ProxyError",
    "ProxyRefused",
    "RateExceeded",
    "ReceiveStream",
    "ReconnectState",
    "ReconnectStatistics",
    "ReconnectingConnection",
    "RedirectRefused",
    "Request",
    "RequestAnswered",
    "Response",
    "Retry",
    "Routes",
    "Row",
    "SendStream",
    "ServeOptions",
    "ServerEndpoint",
    "ServerLimits",
    "ServerStatistics",
    "SocketAddress",
    "State",
    "StreamedResponse",
    "Streamer",
    "TLSFailed",
    "TextFrame",
    "Timeouts",
    "Timings",
    "TrafficStatistics",
    "UndecodableMessage",
    "UnexpectedEOF",
    "UnexpectedProxyHeader",
    "UnexpectedText",
    "UnfinishedStream",
    "WebSocketError",
    "__version__",
    "accept_endpoint",
    "broadcast",
    "codec_kind",
    "connect_endpoint",
    "open_listeners",
    "reconnecting_endpoint",
    "run_endpoint",
    "serve_endpoint",
]

publish(globals(), __all__)

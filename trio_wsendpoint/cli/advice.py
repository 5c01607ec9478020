"""What to change when an opening fails: tables from what was seen to what helps."""

from __future__ import annotations

from trio_wsendpoint.errors import TLSFailed
from trio_wsendpoint.handshake import Response

__all__ = ["advice_for_status", "advice_for_tls"]

#: What OpenSSL says of a certificate -> what to change; the first text that is in it.
_TLS = (
    ("certificate has expired", "renew the server's certificate"),
    ("not yet valid", "compare the clocks of both machines, or wait"),
    ("Hostname mismatch", "use a name that the certificate is for, or --servername NAME"),
    ("IP address mismatch", "use a name that the certificate is for, or --servername NAME"),
    (
        "self-signed",
        "trust its authority with --cacert FILE, or get a certificate from a public one",
    ),
    (
        "unable to get local issuer",
        "send the whole chain from the server, or trust its authority with --cacert FILE",
    ),
    ("WRONG_VERSION_NUMBER", "the port speaks no TLS: use ws://, or the port that does"),
    ("CERTIFICATE_REQUIRED", "the server wants a certificate of ours: --cert FILE"),
    ("UNSUPPORTED_PROTOCOL", "turn on TLS 1.2 or 1.3 in the server"),
)

#: Status -> what to change.
_STATUSES = {
    200: "this path answers with a page: use the one of the WebSocket (Socket.IO and the like"
    " have their own, as /socket.io/?EIO=4&transport=websocket)",
    400: "look whether a proxy removes Upgrade or Connection: nginx needs proxy_http_version 1.1"
    " and both headers set",
    401: "send credentials: --bearer @FILE, -u USER:@FILE, or -H 'Cookie: @FILE'",
    403: "send credentials (--bearer @FILE), or the Origin of a page that may connect"
    " (--origin URL), or allow this client in the server",
    404: "check the path of the URL",
    405: "check the path of the URL: nothing there takes a WebSocket",
    407: "send credentials to the proxy: --proxy http://USER:PASSWORD@HOST",
    426: "look whether a proxy removes Upgrade or Connection",
    429: "try later, or less often",
    502: "the proxy cannot reach the server behind it: look whether that runs",
    503: "try later: the server has no room, or is starting",
    504: "the server behind the proxy does not answer: look whether that runs",
}


def advice_for_tls(error: TLSFailed) -> str | None:
    """Return what to change, if that is known."""
    text = str(error)
    return next((advice for word, advice in _TLS if word in text), None)


def advice_for_status(response: Response) -> str | None:
    """Return what to change, if that is known."""
    if 300 <= response.status < 400:
        return "follow the redirect with -L, or use the URL that it names"
    return _STATUSES.get(response.status)

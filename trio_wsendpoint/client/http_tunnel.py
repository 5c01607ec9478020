"""Opens a tunnel through an HTTP proxy (RFC 9110 section 9.3.6): CONNECT, and its answer.

The answer is read as that of a server is, within the same limits.  A proxy is no server: what it
says is a `ProxyError` or a `ProxyRefused`, and shows none of our credentials, whatever it repeats.
"""

from __future__ import annotations

from base64 import b64encode

import trio

from trio_wsendpoint.client.dialing import place
from trio_wsendpoint.client.proxy_errors import ProxyError, ProxyRefused
from trio_wsendpoint.client.proxy_url import Proxy
from trio_wsendpoint.client.responses import exchange
from trio_wsendpoint.client.settings import ConnectSettings
from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.handshake import (
    Headers,
    Request,
    Response,
    ResponseReader,
    serialize_request,
)
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.secrecy import hide_secrets, secrets_of

__all__ = ["open_http_tunnel"]

#: Statuses of a proxy that did not connect for now: the next request may be answered otherwise.
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


async def open_http_tunnel(
    stream: trio.abc.Stream, proxy: Proxy, host: str, port: int, settings: ConnectSettings
) -> None:
    """Ask the HTTP proxy at the other end of `stream` to connect to a host and a port.

    When it returns, what is sent over `stream` goes there.  Raises `ProxyRefused` for an answer
    other than 2xx, and `ProxyError`.  The caller closes the stream after an error, or if
    cancelled.
    """
    request = _request(proxy, host, port, Headers(settings.headers).get("User-Agent"))
    secrets = secrets_of("", request.headers.items())
    reader = ResponseReader(settings.limits, is_plain=proxy.scheme == "http", to_connect=True)
    try:
        response = await exchange(stream, serialize_request(request), reader, settings)
    except BadResponse as error:
        text = hide_secrets(str(error), secrets)
        raise ProxyError(f"no way through {proxy}: {text}", str(proxy)) from error
    if not 200 <= response.status < 300:
        text = f"{proxy} answered {response.status:03} {response.reason_phrase}"
        raise ProxyRefused(
            f"{text} to CONNECT {request.target}{_said(response, secrets)}",
            str(proxy),
            status=response.status,
            response=response,
            is_final=response.status not in _LATER,
        )
    if reader.trailing:
        size = len(reader.trailing)
        text = f"it sent {size} bytes behind its answer, before the server could have"
        raise ProxyError(f"no way through {proxy}: {text}", str(proxy))


def _request(proxy: Proxy, host: str, port: int, user_agent: str | None) -> Request:
    target = place(host, port)
    fields = [("Host", target)]
    if user_agent is not None:
        fields.append(("User-Agent", user_agent))
    if proxy.user is not None:
        pair = proxy.user + b":" + (proxy.password or b"")
        fields.append(("Proxy-Authorization", f"Basic {b64encode(pair).decode('ascii')}"))
    return Request(target, fields, method="CONNECT")


def _said(response: Response, secrets: frozenset[str]) -> str:
    """Return what the proxy asks for, and the beginning of the body, to put behind a status."""
    text = ""
    challenge = response.headers.get("Proxy-Authenticate")
    if challenge is not None:
        text += f", Proxy-Authenticate: {quoted(hide_secrets(challenge, secrets))[1:-1]}"
    if response.body:
        body = hide_secrets(response.body.decode("utf-8", "replace"), secrets)
        text += f": {quoted(body, 120)}"
    return text

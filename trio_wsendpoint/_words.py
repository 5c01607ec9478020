"""Names that this library does not have, and what to write instead.

Users bring the words of other libraries: `max_size=` of `websockets`, `recv()`, `close()`.
`unknown_options` makes the text of an error; an option that no table has is compared with those
that exist.  Nothing of options is looked up before an error is certain.  `tell_wrong_names` gives
a class attributes that tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NoReturn, TypeVar

__all__ = [
    "ACCEPT_WORDS",
    "CLIENT_WORDS",
    "CONNECTION_WORDS",
    "GROUP_WORDS",
    "SERVER_WORDS",
    "tell_wrong_names",
    "unknown_options",
]

_Class = TypeVar("_Class", bound=type)

_MESSAGE_SIZE = "write limits=Limits(message_size=...)"
_RECEIVE_BUFFER = "write limits=Limits(receive_buffer=...), in bytes"
_SEND_BUFFER = "write limits=Limits(send_buffer=...), in bytes"
_OPEN = "write timeouts=Timeouts(open=...)"
_CLOSE = "write timeouts=Timeouts(close=...)"
_DEFLATE = "write deflate=Deflate(), or deflate=None for no compression"
_HEADERS = "write headers="
_INTERVAL = "write heartbeat=Heartbeat(interval=...), or heartbeat=None for no pings"
_GIVE_UP = (
    "write heartbeat=Heartbeat(interval=..., max_pings=...): "
    "a silent peer is given up after interval * (max_pings + 1) seconds"
)
_TIMEOUT = "write timeouts=Timeouts(open=..., write=..., close=...)"
_TLS = "write ssl_context=, which takes an ssl.SSLContext"
_CERTIFICATE = f"{_TLS}; load_cert_chain() of that reads the certificate and its key"
_NO_LOOP = "leave it out: Trio has one loop"
_ENDPOINT_CLASS = "write endpoint_class=, or instruments= to be told what connections do"

#: What both a server and a client are asked for.
_SHARED = {
    "auto_ping_idle_timeout": _INTERVAL,
    "autoping": "leave it out: each ping is answered",
    "close_timeout": _CLOSE,
    "compress": _DEFLATE,
    "compression": _DEFLATE,
    "connect_timeout": _OPEN,
    "create_connection": _ENDPOINT_CLASS,
    "create_protocol": _ENDPOINT_CLASS,
    "disconnect_timeout": _CLOSE,
    "enable_auto_ping": _INTERVAL,
    "extensions": "write deflate=Deflate()",
    "extra_headers": _HEADERS,
    "handshake_timeout": _OPEN,
    "keepalive": _INTERVAL,
    "klass": _ENDPOINT_CLASS,
    "loop": _NO_LOOP,
    "max_frame_size": _MESSAGE_SIZE,
    "max_message_size": _MESSAGE_SIZE,
    "max_msg_size": _MESSAGE_SIZE,
    "max_payload": _MESSAGE_SIZE,
    "max_queue": _RECEIVE_BUFFER,
    "max_size": _MESSAGE_SIZE,
    "message_queue_size": _RECEIVE_BUFFER,
    "open_timeout": _OPEN,
    "perMessageDeflate": _DEFLATE,
    "per_message_deflate": _DEFLATE,
    "ping_interval": _INTERVAL,
    "ping_timeout": _GIVE_UP,
    "protocols": "write subprotocols=",
    "read_limit": _RECEIVE_BUFFER,
    "receive_buffer_size": _RECEIVE_BUFFER,
    "receive_timeout": "write `with trio.fail_after(...)` around receive()",
    "ssl": _TLS,
    "timeout": _TIMEOUT,
    "websocket_handshake_timeout": _OPEN,
    "write_limit": _SEND_BUFFER,
    "writer_limit": _SEND_BUFFER,
}

_CLIENTS = "leave it out: connect_endpoint() has this option"

#: What `serve_endpoint` and `run_endpoint` are asked for.
SERVER_WORDS: Mapping[str, str] = {
    **_SHARED,
    "bind": 'write listen=["tcp:0.0.0.0:8080"], or host= and a port',
    "address": _CLIENTS,
    "certfile": _CERTIFICATE,
    "forwarded_allow_ips": "write trusted_proxies=",
    "proxy_headers": "write trusted_proxies=, and forwarded=, the headers that they write",
    "check_origin": "write origins=",
    "fd": 'write listen=["fd:3"]',
    "handler_nursery": "leave it out: leaving the block of the server ends the handlers",
    "host_header": "leave it out: it is the Host header that a client sends",
    "keyfile": _CERTIFICATE,
    "nursery": "write `await nursery.start(run_endpoint, handler, port)`",
    "open_stream": _CLIENTS,
    "origin": "write origins=, a list of those that may connect",
    "path": 'write listen=["unix:/run/app.sock"]',
    "process_response": "write headers=, or process_request=",
    "reuse_port": 'write listen=["fd:3"] for a socket that several processes share',
    "routes": "write serve_endpoint(routes, port), whose handler is an object of Routes",
    "proxy": _CLIENTS,
    "proxy_ssl_context": _CLIENTS,
    "redirects": _CLIENTS,
    "select_subprotocol": "write subprotocols=: the first one of the client's list is chosen",
    "server_header": 'write headers={"Server": ...}',
    "sock": "write listeners=[trio.SocketListener(...)]",
    "ssl_certfile": _CERTIFICATE,
    "ssl_keyfile": _CERTIFICATE,
    "stream": "write accept_endpoint(stream)",
    "task_status": "write `await nursery.start(run_endpoint, ...)`",
    "uds": 'write listen=["unix:/run/app.sock"]',
    "url": "write host= and a port",
    "user_agent": 'leave it out: clients send it; a server has headers={"Server": ...}',
    "ws_handler": "write serve_endpoint(handler, port)",
}

_ONE_STREAM = "leave it out: accept_endpoint() takes one stream; serve_endpoint() has this option"
_WRAP = "write accept_endpoint(trio.SSLStream(stream, ssl_context, server_side=True))"

#: What `accept_endpoint` is asked for.
ACCEPT_WORDS: Mapping[str, str] = {
    **{word: advice for word, advice in SERVER_WORDS.items() if word != "stream"},
    "access_log": _ONE_STREAM,
    "backlog": _ONE_STREAM,
    "bind": _ONE_STREAM,
    "fd": _ONE_STREAM,
    "handler": _ONE_STREAM,
    "host": _ONE_STREAM,
    "http": _ONE_STREAM,
    "http_handler": _ONE_STREAM,
    "listen": _ONE_STREAM,
    "listeners": _ONE_STREAM,
    "nursery": "write `async with accept_endpoint(stream) as connection:` in a task of the nursery",
    "on_handler_error": _ONE_STREAM,
    "path": _ONE_STREAM,
    "port": _ONE_STREAM,
    "reuse_port": _ONE_STREAM,
    "server_limits": _ONE_STREAM,
    "sock": "write accept_endpoint(trio.SocketStream(...))",
    "ssl": _WRAP,
    "ssl_context": _WRAP,
    "uds": _ONE_STREAM,
    "url": "leave it out: the stream is connected already",
    "task_status": "write `async with accept_endpoint(stream) as connection:` in an async function",
    **dict.fromkeys(("certfile", "keyfile", "ssl_certfile", "ssl_keyfile"), _WRAP),
}

_IN_URL = "write it in the URL"
_PROXY = "write proxy='http://host:port'"
_UNIX = "write address='unix:/path'"
_SERVERS = "leave it out: serve_endpoint() has this option"

#: What `connect_endpoint` is asked for.
CLIENT_WORDS: Mapping[str, str] = {
    **_SHARED,
    "access_log": _SERVERS,
    "additional_headers": _HEADERS,
    "allow_redirects": "write redirects=5, the most that it takes",
    "auth": 'write headers={"Authorization": ...}, or wss://user:password@host/ as the URL',
    "backlog": _SERVERS,
    "cookie": 'write headers={"Cookie": ...}',
    "handler": _SERVERS,
    "header": _HEADERS,
    "host": _IN_URL,
    "http": _SERVERS,
    "http_handler": _SERVERS,
    "listen": _SERVERS,
    "http_proxy_host": _PROXY,
    "http_proxy_port": _PROXY,
    "listeners": _SERVERS,
    "max_redirects": "write redirects=",
    "nursery": "write `async with connect_endpoint(url) as connection:` in a task of the nursery",
    "on_handler_error": _SERVERS,
    "origins": "write origin=, the one to send",
    "path": _IN_URL,
    "port": _IN_URL,
    "process_request": _SERVERS,
    "proxy_auth": "write it in the URL of the proxy: proxy='http://user:password@host:port'",
    "resource": _IN_URL,
    "server_hostname": _IN_URL,
    "server_limits": _SERVERS,
    "sock": "write stream=trio.SocketStream(...)",
    "sslopt": _TLS,
    "socket_path": _UNIX,
    "task_status": "write `async with connect_endpoint(url) as connection:` in an async function",
    "unix": _UNIX,
    "unix_socket": _UNIX,
    "uri": "write connect_endpoint(url)",
    "use_ssl": "write wss:// in the URL",
    "wall_clock": _SERVERS,
    "forwarded": _SERVERS,
    "proxy_protocol": _SERVERS,
    "trusted_proxies": _SERVERS,
    "user_agent_header": "write user_agent=",
}

#: What the groups of options are asked for, by the name of the group.
GROUP_WORDS: Mapping[str, Mapping[str, str]] = {
    "Limits": {
        "max_frame_size": "write message_size=",
        "max_message_size": "write message_size=",
        "max_msg_size": "write message_size=",
        "max_queue": "write receive_buffer=, in bytes",
        "max_size": "write message_size=",
        "message_queue_size": "write receive_buffer=, in bytes",
        "read_limit": "write receive_buffer=",
        "write_limit": "write send_buffer=",
        "connections": "write server_limits=ServerLimits(connections=...)",
    },
    "Timeouts": {
        "close_timeout": "write close=",
        "connect": "write open=",
        "connect_timeout": "write open=",
        "disconnect_timeout": "write close=",
        "handshake": "write open=",
        "open_timeout": "write open=",
        "ping_interval": _INTERVAL,
        "ping_timeout": _GIVE_UP,
        "read": "write `with trio.fail_after(...)` around receive()",
        "receive": "write `with trio.fail_after(...)` around receive()",
        "send": "write write=",
    },
    "Heartbeat": {
        "ping_timeout": "write max_pings=: a silent peer is given up after "
        "interval * (max_pings + 1) seconds",
        "timeout": "write max_pings=: a silent peer is given up after "
        "interval * (max_pings + 1) seconds",
    },
    "Deflate": {
        "client_max_window_bits": "write window_bits= in a client, peer_window_bits= in a server",
        "client_no_context_takeover": "write context_takeover=False in a client, "
        "peer_context_takeover=False in a server",
        "compress_level": "write level=",
        "server_max_window_bits": "write window_bits= in a server, peer_window_bits= in a client",
        "server_no_context_takeover": "write context_takeover=False in a server, "
        "peer_context_takeover=False in a client",
    },
    "ServerLimits": {
        "max_clients": "write connections=",
        "max_connections": "write connections=",
    },
}

_RECEIVE = "write `await connection.receive()`, which returns str for text and bytes for binary"
_SEND = "write `await connection.send(message)`: str is sent as text, bytes as binary"
_CLOSED = "code and reason are those of the ConnectionClosed that receive() and send() raise"
_JSON = "write `json.loads(await connection.receive())`"

#: What a `Connection` is asked for.
CONNECTION_WORDS: Mapping[str, str] = {
    "accept": "leave it out: the connection is open already",
    "close": "write `await connection.aclose(code, reason)`",
    "close_code": _CLOSED,
    "close_reason": _CLOSED,
    "close_rcvd": _CLOSED,
    "close_sent": _CLOSED,
    "closed": "write `connection.is_open`, or `connection.endpoint.state`",
    "drain": "leave it out: `await connection.send(message)` waits for room",
    "fail_connection": "write `await connection.aclose(code, reason)`",
    "get_message": _RECEIVE,
    "headers": "write `connection.request.headers`, or `connection.response.headers`",
    "iter_bytes": "write `async for message in connection`",
    "iter_text": "write `async for message in connection`",
    "local_address": "write `connection.local`",
    "open": "write `connection.is_open`",
    "path": "write `connection.request.path`",
    "peername": "write `connection.peer`",
    "pong": "leave it out: each ping is answered; `await connection.ping()` tells the round trip",
    "protocol": "write `connection.subprotocol`",
    "query_params": "write `connection.request.query`",
    "read": _RECEIVE,
    "read_message": _RECEIVE,
    "receive_json": _JSON,
    "receive_some": f"{_RECEIVE}; receive_stream() receives one message in pieces",
    "receive_str": _RECEIVE,
    "recv": _RECEIVE,
    "recv_bytes": _RECEIVE,
    "recv_messages": "write `async for message in connection`",
    "recv_str": _RECEIVE,
    "recv_streaming": "write `async with connection.receive_stream() as chunks:`",
    "remote": "write `connection.peer`",
    "remote_address": "write `connection.peer`",
    "request_headers": "write `connection.request.headers`",
    "response_headers": "write `connection.response.headers`",
    "send_all": f"{_SEND}; send_stream() sends one message in pieces",
    "send_binary": _SEND,
    "send_bytes": _SEND,
    "send_json": "write `await connection.send(json.dumps(value))`",
    "send_message": _SEND,
    "send_ping": "write `await connection.ping()`",
    "send_str": _SEND,
    "send_text": _SEND,
    "wait_close": "write `await connection.wait_closed()`",
    "write": _SEND,
    "write_message": _SEND,
}


def unknown_options(
    owner: str,
    options: Iterable[str],
    known: Collection[str],
    words: Mapping[str, str],
) -> str | None:
    """Return what to raise `TypeError` with for the `options` not in `known`; None if all are.

    `owner`: the function or class that got them, as the caller spells it.  `words`: what to write
    instead of names that are none of `known`.
    """
    faults = [
        f"{name!a}: {_advice(name, known, words) or 'it has ' + ', '.join(sorted(known))}"
        for name in options
        if name not in known
    ]
    return f"{owner} has no option {'; nor '.join(faults)}" if faults else None


def _advice(name: str, known: Collection[str], words: Mapping[str, str]) -> str | None:
    """Return what to write instead of `name`; None if nothing is near."""
    if name in words:
        return words[name]
    from difflib import get_close_matches  # noqa: PLC0415 - an error is the only use of it

    near = get_close_matches(name, [*known, *words], n=1)
    if not near:
        return None
    return words.get(near[0]) or f"is it {near[0]!r}?"


class _WrongName:
    """An attribute that no object has: getting it raises `AttributeError`, with what to write."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(self._text)


def tell_wrong_names(words: Mapping[str, str]) -> Callable[[_Class], _Class]:
    """Tell what to write instead, where an object of the class is asked for one of `words`.

    `__getattr__` would do so for every name.  But with it the interpreter looks up all attributes
    of the object in its slow way, `connection.send` too.
    """

    def decorate(kind: _Class) -> _Class:
        for name, advice in words.items():
            text = f"a {kind.__name__} has no attribute {name!a}: {advice}"
            setattr(kind, name, _WrongName(text))
        return kind

    return decorate

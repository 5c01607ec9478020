"""Two connections over memory streams, and two endpoints on a fake wire."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, NamedTuple, cast

import trio
import trio.testing

from trio_wsendpoint._words import ACCEPT_WORDS, CLIENT_WORDS
from trio_wsendpoint.client.opening import open_as_client
from trio_wsendpoint.client.settings import ConnectOptions, ConnectSettings
from trio_wsendpoint.client.stopwatch import Stopwatch
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.context import ConnectionContext
from trio_wsendpoint.connection.peer import make_logger
from trio_wsendpoint.entries.option_texts import check_options
from trio_wsendpoint.handshake import (
    ClientHandshake,
    HeaderItems,
    Headers,
    Request,
    Response,
    WebSocketURL,
)
from trio_wsendpoint.opening.making import make_endpoint, make_tasks
from trio_wsendpoint.opening.settings import ConnectionSettings
from trio_wsendpoint.protocol.endpoint import ClientEndpoint, Endpoint, ServerEndpoint
from trio_wsendpoint.server.one_stream import open_as_server
from trio_wsendpoint.server.settings import AcceptOptions, AcceptSettings
from trio_wsendpoint.testing.seeds import seeded_bytes
from trio_wsendpoint.transport.sockets import non_blocking

__all__ = [
    "ConnectionPair",
    "EndpointPair",
    "connect_without_handshake",
    "connection_pair",
    "endpoint_pair",
]

#: The URL that the client of a pair asks for.
URL = "ws://example.test/"


class ConnectionPair(NamedTuple):
    """The two ends of one conversation."""

    client: Connection
    server: Connection


def connection_pair(
    *,
    handshake: bool = False,
    streams: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
    url: str = URL,
    path: str | None = None,
    headers: HeaderItems = (),
    state: Any = None,
    client: ConnectOptions | None = None,
    server: AcceptOptions | None = None,
) -> AbstractAsyncContextManager[ConnectionPair]:
    """Connect a client to a server for the length of an `async with` block, without sockets.

    `handshake`: go through the opening handshake, rather than begin with an open connection.
    `streams`: what to connect them with, the client's first; by default
    `trio.testing.memory_stream_pair()`, which holds any amount.  `url`: what the client asks for.
    `path`: a path, with a query or without, in place of that of `url`; `headers`: those of the
    request, as a handler finds them in `connection.request`, in addition to what the client sends.
    `state`: what the handler finds in `connection.state`, unless it is None, as if
    `process_request` had put it there.
    `client`, `server`: options as for `connect_endpoint` and `accept_endpoint`; by default their
    `random_bytes` are `seeded_bytes(1)` and `seeded_bytes(2)`, so that each run of a test is the
    same.

    Entering raises what these two raise.  Leaving closes both.
    """
    client = {"random_bytes": seeded_bytes(1), **(client or {})}
    for name in ("address", "open_stream", "proxy", "proxy_ssl_context", "redirects"):
        if name in client:
            raise ValueError(f"the two ends are connected already: leave out {name}=")
    server = {"random_bytes": seeded_bytes(2), **(server or {})}
    check_options("connection_pair(client=...)", client, ConnectSettings, CLIENT_WORDS)
    check_options("connection_pair(server=...)", server, AcceptSettings, ACCEPT_WORDS)
    client["headers"] = [*Headers(client.get("headers", ())).items(), *Headers(headers).items()]
    target = WebSocketURL.parse(url)
    if path is not None:
        asked = WebSocketURL.parse(f"ws://{target.host_header}{_checked_path(path)}")
        target = replace(target, target=asked.target)
    return _ConnectionPairContext(
        handshake=handshake,
        streams=streams or trio.testing.memory_stream_pair(),
        target=target,
        state=state,
        client=ConnectSettings(**client),
        server=AcceptSettings(**server),
    )


def _checked_path(path: str) -> str:
    if not path.startswith(("/", "?")):
        raise ValueError(f"path begins with a /, unlike {path!a}")
    return path


def connect_without_handshake(
    stream: trio.abc.Stream,
    default: type[Endpoint],
    settings: ConnectionSettings,
    request: Request,
    response: Response,
) -> Connection:
    """Return a connection as if `request` and `response` had been exchanged."""
    endpoint = make_endpoint(default, settings, None)
    logger = make_logger(stream, settings.logger, settings.random_bytes)
    tasks = make_tasks(stream, non_blocking(stream), endpoint, settings, logger)
    return Connection(tasks, request=request, response=response, subprotocol=None)


class _ConnectionPairContext(AbstractAsyncContextManager[ConnectionPair]):
    def __init__(
        self,
        *,
        handshake: bool,
        streams: tuple[trio.abc.Stream, trio.abc.Stream],
        target: WebSocketURL,
        state: Any,
        client: ConnectSettings,
        server: AcceptSettings,
    ) -> None:
        self._handshake = handshake
        self._streams = streams
        self._target = target
        self._state = state
        self._client = client
        self._server = server
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> ConnectionPair:
        opened = await self._open()
        if self._state is not None:
            opened.server.state = self._state
        for connection, settings in zip(opened, (self._client, self._server), strict=True):
            await self._stack.enter_async_context(
                ConnectionContext(_Opened(connection), instruments=settings.instruments)
            )
        return opened

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._stack.__aexit__(exc_type, exc, traceback)

    def _request(self) -> Request:
        """Return what the client would have asked for, as far as handlers look at it."""
        fields = [("Host", self._target.host_header), *Headers(self._client.headers).items()]
        return Request(self._target.target, fields)

    async def _open(self) -> ConnectionPair:
        client, server = self._streams
        if not self._handshake:
            request, response = self._request(), Response(101)
            return ConnectionPair(
                connect_without_handshake(client, ClientEndpoint, self._client, request, response),
                connect_without_handshake(server, ServerEndpoint, self._server, request, response),
            )
        opened: dict[str, Connection] = {}
        handshake = ClientHandshake(
            self._target,
            subprotocols=self._client.subprotocols,
            subprotocol_required=self._client.subprotocol_required,
            origin=self._client.origin,
            host_header=self._client.host_header,
            headers=self._client.headers,
            extensions=self._client.extensions,
            random_bytes=self._client.random_bytes,
        )

        async def open_server() -> None:
            opened["server"] = await open_as_server(server, self._server, nursery, None)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(open_server)
                opened["client"] = await open_as_client(
                    client, handshake, self._client, watch=Stopwatch()
                )
        except BaseException as error:
            for stream in self._streams:  # the one whose side was open already, too
                await trio.aclose_forcefully(stream)
            if isinstance(error, BaseExceptionGroup):
                group = cast("BaseExceptionGroup[BaseException]", error)
                if len(group.exceptions) == 1:
                    raise group.exceptions[0] from None
            raise
        return ConnectionPair(opened["client"], opened["server"])


class _Opened:
    """Opens a connection that is open already."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __call__(self, _: ConnectionContext) -> Connection:
        return self._connection


@dataclass
class EndpointPair:
    """A client's and a server's endpoint, and the wire between them."""

    client: ClientEndpoint
    server: ServerEndpoint

    def transfer(self, *, chunk: int | None = None) -> int:
        """Carry all that is queued to the other side, both ways, and return how many bytes.

        `chunk`: how many bytes arrive at a time; by default a whole frame does.  Nothing is
        parsed meanwhile: `get_next_message()` on either side does that.
        """
        return self._carry(self.client, self.server, chunk) + self._carry(
            self.server, self.client, chunk
        )

    @staticmethod
    def _carry(source: Endpoint, sink: Endpoint, chunk: int | None) -> int:
        carried = 0
        while (frame := source.shift_write_queue()) is not None:
            data = frame.to_bytes()
            for start in range(0, len(data), chunk or len(data)):
                sink.receive_data(data[start : start + (chunk or len(data))])
            carried += len(data)
        return carried


def endpoint_pair(
    *, client: dict[str, Any] | None = None, server: dict[str, Any] | None = None
) -> EndpointPair:
    """Return two sans-I/O endpoints on a fake wire; `client`, `server`: keywords for each.

    >>> pair = endpoint_pair()
    >>> pair.client.send_message("hello")
    >>> pair.transfer()
    11
    >>> pair.server.get_next_message()
    <Message text, 5 B in 1 frame(s)>
    """
    return EndpointPair(ClientEndpoint(**(client or {})), ServerEndpoint(**(server or {})))

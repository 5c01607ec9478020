"""The server's opening handshake over a stream, within `Timeouts.open`; and how it says no.

`open_as_server`, or `ServerOpening.run` for a server, which may `drop` it, returns a `Connection`
whose tasks have not been started, or raises `HandshakeError` (a cancelled one, `Cancelled`); then
the stream is closed, and the client was told why.  Whatever else a stream, an option or a callback
raises comes out as it is, and the stream is closed then too.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import partial
from typing import TypeVar, TypeVarTuple, Unpack, cast

import trio

from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.opening import CHUNK, do_tls, lost, make_endpoint, make_tasks, send
from trio_wsendpoint.connection.peer import ConnectionLogger, make_logger
from trio_wsendpoint.errors import HandshakeError, TLSFailed
from trio_wsendpoint.handshake import (
    Request,
    RequestReader,
    Response,
    ServerHandshake,
    serialize_response,
)
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.protocol.endpoint import Endpoint, ServerEndpoint
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.settings import AcceptSettings, ProcessRequest, ServeSettings
from trio_wsendpoint.transport.any_tls import AnyTLSStream
from trio_wsendpoint.transport.lingering import say_and_close
from trio_wsendpoint.transport.streams import AcceptedSocket, non_blocking
from trio_wsendpoint.transport.tls import TLSTransport

__all__ = ["ServerOpening", "make_handshake", "open_as_server", "refuse_stream"]

_WITHOUT_TLS = "does the client speak TLS, or is its URL ws:// instead of wss://?"
#: The answer to a client that speaks plain HTTP where TLS is spoken.
_USE_TLS = Response(400, body="bad request: this port speaks TLS: use wss:// (or https://)\n")

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


async def open_as_server(stream: trio.abc.Stream, settings: AcceptSettings) -> Connection:
    """Read a request from `stream`, and accept it or answer it otherwise."""
    try:
        handshake = make_handshake(settings)
        logger = make_logger(stream, settings.logger, settings.random_bytes)
        # The caller gets the error, so it is the caller's to show.
        opening = ServerOpening(stream, settings, logger, handshake, RefusalLog(is_shown=False))
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return await opening.run()


class _Stage(Enum):
    """How far an opening has come."""

    BEFORE_TLS = auto()  # nothing can be answered yet
    REQUEST = auto()  # its request is being read
    PROCESS = auto()  # its request is complete, and the app looks at it
    ANSWER = auto()  # a part of the 101 has left
    REFUSED = auto()  # it will be no connection; the client is told why


class ServerOpening:
    """One opening over `stream`: `run` it once.

    It knows how far it has come when its time is up, or when the server drops it.  What takes no
    waiting is done in no cancel scope: most requests are here when they are looked for, and there
    is room for the answer.
    """

    __slots__ = (
        "_drop_reason",
        "_handshake",
        "_is_over_limit",
        "_logger",
        "_reader",
        "_refusals",
        "_request",
        "_scope",
        "_settings",
        "_stage",
        "_transport",
        "_until",
        "stream",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        settings: AcceptSettings,
        logger: ConnectionLogger,
        handshake: ServerHandshake,
        refusals: RefusalLog,
    ) -> None:
        self.stream = stream
        self._transport = non_blocking(stream)
        self._settings = settings
        self._logger = logger
        self._handshake = handshake
        self._refusals = refusals
        self._stage = _Stage.BEFORE_TLS
        self._drop_reason: str | None = None  # once the server has dropped it
        self._is_over_limit = False  # the reason is a limit, not the end of the server
        self._reader = RequestReader(settings.limits)
        self._request: Request | None = None  # once it is complete
        self._until = trio.current_time() + settings.timeouts.open
        self._scope: trio.CancelScope | None = None  # while it waits

    @property
    def has_request(self) -> bool:
        """Whether its request is complete and not refused: it waits for us, not for the client."""
        return self._stage in {_Stage.PROCESS, _Stage.ANSWER}

    def drop(self, reason: str = "the server stops", *, is_over_limit: bool = False) -> None:
        """End it with a refusal, unless its answer has left: the server cannot go on with it."""
        if self._drop_reason is None:
            self._drop_reason = reason
            self._is_over_limit = is_over_limit
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> Connection:
        """Read the request, and accept it or answer it otherwise; or raise, as the module says."""
        try:
            return await self._open()
        except BaseException as error:
            try:
                if isinstance(error, HandshakeError):
                    await self._refuse(error)
            finally:
                await trio.aclose_forcefully(self.stream)
            raise

    async def _refuse(self, error: HandshakeError) -> None:
        """Tell the log, the instruments and the client why there will be no connection."""
        self._stage = _Stage.REFUSED
        is_ours = None if self._drop_reason is None else self._is_over_limit
        self._refusals.write(error, self._logger, self._request, is_ours=is_ours)
        tell_refusal(self._settings.instruments, error, self._logger.address, self._logger)
        stream, answer, now = self.stream, b"", self._settings.wall_clock()
        if isinstance(error, (BadRequest, RequestAnswered)):
            answer = serialize_response(error.response, now=now)
        elif not isinstance(error.__cause__, ssl.SSLError):
            return  # the client has gone, or says nothing
        elif error.__cause__.reason == "HTTP_REQUEST" and isinstance(stream, _TLS_STREAMS):
            # TLS has failed, and said nothing of its own: the stream below is as it was.
            stream = cast("AnyTLSStream", stream).transport_stream
            answer = serialize_response(_USE_TLS, now=now)
        try:
            await say_and_close(stream, answer, seconds=self._settings.timeouts.linger)
        except Exception as failure:
            with contextlib.suppress(Exception):
                self._logger.debug("the client could not be told", exc_info=failure)

    async def _open(self) -> Connection:
        settings = self._settings
        await trio.lowlevel.checkpoint_if_cancelled()
        if _is_tls(self.stream):
            await self._wait(do_tls, self.stream, _WITHOUT_TLS)
        self._stage = _Stage.REQUEST
        if self._drop_reason is not None:
            raise self._too_late()
        request = self._request = await self._read_request()
        self._stage = _Stage.PROCESS
        agree = partial(
            self._handshake.agree, request, self._reader.fields, is_secure=_is_tls(self.stream)
        )
        # What makes no sense as a WebSocket is refused before the app is asked; what never
        # claimed to be one is the app's to answer.
        agreed = agree() if request.is_upgrade else None
        if settings.process_request is not None:
            await self._wait(self._process, request, settings.process_request)
        response, subprotocol, extension = agreed or agree()
        endpoint = self._make_endpoint(extension)
        await self._send(serialize_response(response, request, now=settings.wall_clock()))
        # Only now: RFC 6455 section 4.1 has a client wait for the answer.
        endpoint.receive_data(self._reader.trailing)
        tasks = make_tasks(self.stream, self._transport, endpoint, settings, self._logger)
        return Connection(tasks, request=request, response=response, subprotocol=subprotocol)

    async def _wait(self, wait: Callable[[Unpack[_Args]], Awaitable[_T]], *args: *_Args) -> _T:
        """Return what `wait` does; raise if it takes too long, or if the opening is dropped."""
        with trio.CancelScope(deadline=self._until) as self._scope:
            if self._drop_reason is not None:
                self._scope.cancel()
            return await wait(*args)
        raise self._too_late()

    def _make_endpoint(self, extension: MessageExtension | None) -> Endpoint:
        try:
            return make_endpoint(ServerEndpoint, self._settings, extension)
        except Exception as error:
            self._logger.error("the endpoint could not be made", exc_info=error)
            raise BadRequest("the endpoint could not be made", Response(500)) from error

    async def _read_request(self) -> Request:
        request: Request | None = None
        while request is None:
            # While we wait, nothing holds what has come but the reader.
            request = self._reader.receive_data(await self._receive_more())
        return request

    async def _receive_more(self) -> bytes:
        transport = self._transport
        try:
            if transport is None:
                data = bytes(await self._wait(self.stream.receive_some, CHUNK))
            else:
                while (came := transport.receive_nowait(CHUNK)) is None:
                    await self._wait(transport.wait_readable)
                data = came
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise lost(error) from error
        if not data:
            raise HandshakeError("the client closed the connection before its request was read")
        return data

    async def _send(self, data: bytes) -> None:
        if self._drop_reason is not None:
            raise self._too_late()
        self._stage = _Stage.ANSWER
        transport = self._transport
        if transport is not None:
            try:
                sent = transport.send_nowait(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise lost(error) from error
            if sent == len(data):
                return
            data = data[sent:]
        await self._wait(send, self.stream, data)

    async def _process(self, request: Request, process_request: ProcessRequest) -> None:
        """Raise if the app has another answer for `request`, or none that makes sense."""
        try:
            answer = await process_request(request)
            if answer is not None and not isinstance(answer, Response):
                # Its type alone: what it holds may be a cookie.
                raise TypeError(f"process_request returns a Response or None, not {type(answer)}")
            if answer is not None and answer.status < 200:
                # It would be no answer: a client waits for more, or takes a 101 for an upgrade.
                raise ValueError(f"process_request answers 200 to 599, not {answer.status}")
        except Exception as error:
            self._logger.error("process_request failed", exc_info=error)
            raise BadRequest("process_request failed", Response(500)) from error
        if answer is not None:
            raise RequestAnswered(f"process_request answered {answer.status}", answer)

    def _too_late(self) -> HandshakeError:
        """Return what to raise when time is up, or when the server has dropped the opening."""
        within = f"within {self._settings.timeouts.open:g} s"
        dropped = None if self._drop_reason is None else f"dropped: {self._drop_reason}"
        if self._stage is _Stage.BEFORE_TLS:
            return TLSFailed(dropped or f"no TLS {within}")
        if self._stage is _Stage.ANSWER:
            return HandshakeError(dropped or f"the client did not take the answer {within}")
        if dropped is not None:
            return BadRequest(dropped, _unavailable(self._settings))
        if self._stage is _Stage.PROCESS:
            return BadRequest("process_request took too long", _unavailable(self._settings))
        return BadRequest(f"no request {within}", Response(408))


def make_handshake(settings: AcceptSettings) -> ServerHandshake:
    """Return what answers requests; raises `ValueError` or `TypeError` for options."""
    return ServerHandshake(
        subprotocols=settings.subprotocols,
        subprotocol_required=settings.subprotocol_required,
        origins=settings.origins,
        headers=settings.headers,
        extensions=settings.extensions,
        limits=settings.limits,
    )


def _unavailable(settings: AcceptSettings) -> Response:
    """Return the 503 for an opening that was under way; a server says when to come again."""
    if isinstance(settings, ServeSettings):
        return Response(503, {"Retry-After": str(settings.server_limits.retry_after)})
    return Response(503)


async def refuse_stream(
    stream: trio.abc.Stream, response: Response, settings: AcceptSettings
) -> None:
    """Answer `response` to whatever was asked over `stream`, and close it.

    Over TLS, where an answer costs a handshake first, there is none.  A stream that breaks is no
    error; whatever else it raises is.
    """
    if _is_tls(stream):
        await trio.aclose_forcefully(stream)
        return
    data = serialize_response(response, now=settings.wall_clock())
    await say_and_close(stream, data, seconds=settings.timeouts.linger)


_TLS_STREAMS = (TLSTransport, trio.SSLStream)


def _is_tls(stream: trio.abc.Stream) -> bool:
    # The first question is most streams', and costs little.
    return type(stream) is not AcceptedSocket and isinstance(stream, _TLS_STREAMS)

"""The server's opening handshake over a stream, within `Timeouts.open`; and how it says no.

`open_as_server`, or `ServerOpening.run` for a server, which may `drop` it, returns a `Connection`
whose tasks have not been started, or raises `HandshakeError` (a cancelled one, `Cancelled`); then
the stream is closed, and the client was told why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, TypeVarTuple, Unpack

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
from trio_wsendpoint.server.settings import AcceptSettings, ProcessRequest, ServeSettings
from trio_wsendpoint.transport.streams import AcceptedSocket, non_blocking
from trio_wsendpoint.transport.tls import TLSTransport

__all__ = ["ServerOpening", "make_handshake", "open_as_server", "refuse_stream"]

#: Bytes of a refused client that are read and dropped, so that it can read why.
MAX_PASSED = 65536

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


async def open_as_server(stream: trio.abc.Stream, settings: AcceptSettings) -> Connection:
    """Read a request from `stream`, and accept it or answer it otherwise."""
    try:
        handshake = make_handshake(settings)
        opening = ServerOpening(
            stream, settings, make_logger(stream, settings.logger, settings.random_bytes), handshake
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return await opening.run()


class ServerOpening:
    """One opening over `stream`: `run` it once.

    It knows how far it has come when its time is up, or when the server drops it.  What takes no
    waiting is done in no cancel scope: most requests are here when they are looked for, and there
    is room for the answer.
    """

    __slots__ = (
        "_can_answer",
        "_handshake",
        "_is_dropped",
        "_is_processing",
        "_logger",
        "_reader",
        "_scope",
        "_settings",
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
    ) -> None:
        self.stream = stream
        self._transport = non_blocking(stream)
        self._settings = settings
        self._logger = logger
        self._handshake = handshake
        self._can_answer = False
        self._is_processing = False
        self._is_dropped = False
        self._reader = RequestReader(settings.limits)
        self._until = trio.current_time() + settings.timeouts.open
        self._scope: trio.CancelScope | None = None  # while it waits

    def drop(self) -> None:
        """End it with a refusal, unless its answer has left: the server cannot go on with it."""
        self._is_dropped = True
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> Connection:
        """Read the request, and accept it or answer it otherwise; or raise, as the module says."""
        try:
            return await self._open()
        except (BadRequest, RequestAnswered) as error:
            self._logger.debug("no connection: %s", error)
            tell_refusal(self._settings.instruments, error, self._logger.address, self._logger)
            await _answer_and_close(self.stream, error.response, self._settings)
            raise
        except BaseException as error:
            if isinstance(error, HandshakeError):
                tell_refusal(self._settings.instruments, error, self._logger.address, self._logger)
            await trio.aclose_forcefully(self.stream)
            raise

    async def _open(self) -> Connection:
        settings = self._settings
        await trio.lowlevel.checkpoint_if_cancelled()
        if _is_tls(self.stream):
            await self._wait(do_tls, self.stream)
        self._can_answer = True
        request = await self._read_request()
        agree = partial(
            self._handshake._agree, request, self._reader.fields, is_secure=_is_tls(self.stream)
        )
        # What makes no sense as a WebSocket is refused before the app is asked; what never
        # claimed to be one is the app's to answer.
        agreed = agree() if request.is_upgrade else None
        if settings.process_request is not None:
            self._is_processing = True
            await self._wait(self._process, request, settings.process_request)
            self._is_processing = False
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
            if self._is_dropped:
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
        if self._is_dropped:
            raise self._too_late()
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
        if not self._can_answer:
            return TLSFailed("the opening was dropped" if self._is_dropped else f"no TLS {within}")
        if self._is_dropped:
            return BadRequest(
                "the opening was dropped: the server stops, or has too many of them",
                _unavailable(self._settings),
            )
        if self._is_processing:
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
    """Answer `response` to whatever was asked over `stream`, and close it; raises nothing.

    Over TLS, where an answer costs a handshake first, there is none.
    """
    if not _is_tls(stream):
        await _answer_and_close(stream, response, settings)
    await trio.aclose_forcefully(stream)


def _is_tls(stream: trio.abc.Stream) -> bool:
    # The first question is most streams', and costs little.
    return type(stream) is not AcceptedSocket and isinstance(stream, (TLSTransport, trio.SSLStream))


async def _answer_and_close(
    stream: trio.abc.Stream, response: Response, settings: AcceptSettings
) -> None:
    """Write an HTTP answer, wait until the client has read it, and close."""
    try:
        with trio.move_on_after(settings.timeouts.linger):
            await stream.send_all(serialize_response(response, now=settings.wall_clock()))
            if isinstance(stream, trio.abc.HalfCloseableStream):
                # Closing with unread bytes would reset the connection, and the answer with it.
                await stream.send_eof()
                passed = 0
                while passed < MAX_PASSED and (data := await stream.receive_some(CHUNK)):
                    passed += len(data)
            await stream.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(stream)

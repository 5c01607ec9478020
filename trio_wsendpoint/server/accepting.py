"""The server's opening handshake over a stream, within `Timeouts.open`; and how it says no.

`open_as_server`, or `ServerOpening.run` for a server, which may `drop` it, returns a `Connection`
whose tasks have not been started, or raises `HandshakeError` (a cancelled one, `Cancelled`); then
the stream is closed, and the client was told why.  Whatever else a stream, an option or a callback
raises comes out as it is, and the stream is closed then too.
"""

from __future__ import annotations

import contextlib
import logging
import math
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

import trio

from trio_wsendpoint.addressing import BadProxyHeader, Client, Peer
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.opening import CHUNK, do_tls, lost, make_endpoint, make_tasks, send
from trio_wsendpoint.connection.peer import ConnectionLogger, make_logger
from trio_wsendpoint.errors import HandshakeError, TLSFailed
from trio_wsendpoint.handshake import Request, RequestReader, Response, serialize_response
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.handshake.server import Agreement
from trio_wsendpoint.protocol.endpoint import Endpoint, ServerEndpoint
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.server.proxy_header import read_proxy_header
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import AcceptSettings, ProcessRequest, ServeSettings
from trio_wsendpoint.server.watch import Watch
from trio_wsendpoint.transport.any_tls import AnyTLSStream
from trio_wsendpoint.transport.lingering import say_and_close
from trio_wsendpoint.transport.streams import AcceptedSocket, non_blocking
from trio_wsendpoint.transport.tls import TLSTransport

__all__ = ["Hooks", "ServerOpening", "open_as_server", "refuse_stream"]

_WITHOUT_TLS = "does the client speak TLS, or is its URL ws:// instead of wss://?"
#: The answer to a client that speaks plain HTTP where TLS is spoken.
_USE_TLS = Response(400, body="bad request: this port speaks TLS: use wss:// (or https://)\n")

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


@dataclass(frozen=True, slots=True)
class Hooks:
    """What an opening asks of what it opens for: a server, or one block.

    `nursery`: where a task of it may run.  `begin` is called with the connection as soon as its
    101 has left, and starts it; None if it is started later, so that the app cannot accept it
    itself.  `count`: limits count this stream as `key` from now on, instead
    of what they took it for; it returns why not, or None.
    """

    nursery: trio.Nursery
    begin: Callable[[Connection], object] | None
    count: Callable[[str | None], str | None]


async def open_as_server(
    stream: trio.abc.Stream,
    settings: AcceptSettings,
    nursery: trio.Nursery,
    begin: Callable[[Connection], object] | None,
) -> Connection:
    """Read a request from `stream`, and accept it or answer it otherwise."""
    try:
        rules = Rules(settings)
        logger = make_logger(stream, settings.logger, settings.random_bytes)
        hooks = Hooks(nursery, begin, lambda _: None)
        # The caller gets the error, so it is the caller's to show.
        refusals = RefusalLog(is_shown=False)
        opening = ServerOpening(
            stream, settings, logger, rules=rules, refusals=refusals, hooks=hooks
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return await opening.run()


class _Stage(Enum):
    """How far an opening has come."""

    BEFORE_PROXY = auto()  # the PROXY header is being read
    BEFORE_TLS = auto()  # nothing can be answered yet
    REQUEST = auto()  # its request is being read
    PROCESS = auto()  # its request is complete, and the app looks at it
    ANSWER = auto()  # a part of the 101 has left
    ACCEPTED = auto()  # it is a connection
    REFUSED = auto()  # it will be no connection; the client is told why


class _Probe(HandshakeError):
    """The health check of a proxy has ended, and has asked nothing."""


class ServerOpening:
    """One opening over `stream`: `run` it once.

    It knows how far it has come when its time is up, or when the server drops it.  What takes no
    waiting is done in no cancel scope: most requests are here when they are looked for, and there
    is room for the answer.
    """

    __slots__ = (
        "_app_scope",
        "_asked_at",
        "_drop_reason",
        "_failure",
        "_hooks",
        "_is_ours",
        "_is_probe",
        "_is_secure",
        "_logger",
        "_reader",
        "_refusals",
        "_request",
        "_rules",
        "_scope",
        "_settings",
        "_stage",
        "_transport",
        "_until",
        "_watch",
        "is_handled",
        "stream",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        settings: AcceptSettings,
        logger: ConnectionLogger,
        *,
        rules: Rules,
        refusals: RefusalLog,
        hooks: Hooks,
    ) -> None:
        self.stream = stream
        self._transport = non_blocking(stream)
        self._settings = settings
        self._rules = rules
        self._logger = logger
        self._refusals = refusals
        self._hooks = hooks
        self._stage = _Stage.BEFORE_PROXY
        self._drop_reason: str | None = None  # once the server has dropped it
        self._is_ours: bool | None = None  # whether we decided so; None if the error tells
        self._is_probe = False  # a proxy speaks for itself, and has asked nothing yet
        self._is_secure = False  # the client came over TLS, of ours or of a proxy in front
        self._reader = RequestReader(settings.limits)
        self._request: Request | None = None  # once it is complete
        self._until = trio.current_time() + settings.timeouts.open
        self._scope: trio.CancelScope | None = None  # while it waits
        self._app_scope: trio.CancelScope | None = None  # while the app looks at the request
        self._asked_at = self._until  # when it began to
        self._watch: Watch | None = None  # reads on meanwhile
        self._failure: Exception | None = None  # what `accept` has raised
        #: Whether the app has accepted and closed it: there is nothing left to do for a handler.
        self.is_handled = False

    @property
    def request(self) -> Request | None:
        """What is asked, once it is complete."""
        return self._request

    @property
    def has_request(self) -> bool:
        """Whether its request is complete and not refused: it waits for us, not for the client."""
        return self._stage in {_Stage.PROCESS, _Stage.ANSWER}

    @property
    def is_accepted(self) -> bool:
        """Whether it is a connection: what fails now is no failure of the opening."""
        return self._stage is _Stage.ACCEPTED

    def drop(self, reason: str = "the server stops", *, is_over_limit: bool = False) -> None:
        """End it with a refusal, unless its answer has left: the server cannot go on with it."""
        if self.is_accepted:
            return
        if self._drop_reason is None:
            self._drop_reason = reason
            self._is_ours = is_over_limit
        for scope in (self._scope, self._app_scope):
            if scope is not None:
                scope.cancel()

    async def run(self) -> Connection:
        """Read the request, and accept it or answer it otherwise; or raise, as the module says."""
        try:
            return await self._open()
        except BaseException as error:
            if self.is_accepted:
                raise  # the connection is closed by what has begun it
            try:
                if isinstance(error, HandshakeError):
                    await self._refuse(error)
            finally:
                await trio.aclose_forcefully(self.stream)
            raise

    async def _refuse(self, error: HandshakeError) -> None:
        """Tell the log, the instruments and the client why there will be no connection."""
        self._stage = _Stage.REFUSED
        self._refusals.write(error, self._logger, self._request, is_ours=self._is_ours)
        if not isinstance(error, _Probe):
            peer = self._logger.ends.peer
            tell_refusal(self._settings.instruments, error, peer, self._logger)
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
        if settings.proxy_protocol:
            await self._read_proxy_header()
        self._stage = _Stage.BEFORE_TLS
        if _is_tls(self.stream):
            await self._wait(do_tls, self.stream, _WITHOUT_TLS)
            self._logger.ends.find_tls(self.stream)
            self._is_secure = True
        self._stage = _Stage.REQUEST
        if self._drop_reason is not None:
            raise self._too_late()
        request = self._request = await self._read_request()
        self._stage = _Stage.PROCESS
        client = None if self._rules.forwarding is None else self._find_client(request)
        # What makes no sense as a WebSocket is refused before the app is asked; what never
        # claimed to be one is the app's to answer.
        agreed = self._agree(request, client) if request.is_upgrade else None
        process_request = settings.process_request
        if process_request is None:
            return await self._accept(agreed or self._agree(request, client))
        client = client or self._rules.client_of(
            request, self._logger.ends.peer, is_secure=self._is_secure
        )
        opening = Opening(
            request,
            client,
            self._logger.ends.local,
            subprotocol=None if agreed is None else agreed[1],
            is_subprotocol_required=settings.subprotocol_required,
            accept=lambda: self._accept_for(opening, agreed),
        )
        await self._process(opening, process_request)
        return opening.connection or await self._accept_for(opening, agreed)

    # ---- who asks, and for what ----------------------------------------------------------------

    async def _read_proxy_header(self) -> None:
        """Find the peer for whom a trusted proxy speaks; raises `HandshakeError` without one."""
        ends = self._logger.ends
        if not self._rules.trusts(ends.peer):
            self._is_ours = True
            raise HandshakeError("a PROXY header is taken from trusted_proxies alone")
        try:
            header = await self._wait(read_proxy_header, self.stream)
        except BadProxyHeader:
            self._is_ours = True
            raise
        self._is_probe = header.is_local
        ends.find(header.peer_behind(ends.peer), header.destination)
        self._is_secure = header.tls is not None
        self._count(ends.peer)

    def _find_client(self, request: Request) -> Client:
        """Find the client for whom a proxy has sent `request`; raises `BadRequest`."""
        ends = self._logger.ends
        try:
            client = self._rules.client_of(request, ends.peer, is_secure=self._is_secure)
        except BadRequest:
            self._is_ours = True
            raise
        if client.peer is not ends.peer:
            ends.find(client.peer)
            self._count(client.peer)
        elif self._logger.isEnabledFor(logging.DEBUG) and self._rules.is_forwarded(request):
            self._logger.debug("forwarding headers of this address are not believed")
        return client

    def _count(self, peer: Peer) -> None:
        """Let limits count `peer`; raises the 503 if there is no room for it."""
        why = self._hooks.count(self._rules.counted_as(peer))
        if why is not None:
            self._is_ours = True
            if self._stage is _Stage.BEFORE_PROXY and _is_tls(self.stream):
                raise HandshakeError(why)  # to say so costs a TLS handshake first
            raise BadRequest(why, _unavailable(self._settings, f"{why}\n"))

    def _agree(self, request: Request, client: Client | None) -> Agreement:
        if client is None:
            return self._rules.handshake.agree(
                request, self._reader.fields, is_secure=self._is_secure
            )
        return self._rules.handshake.agree(
            request, self._reader.fields, is_secure=client.scheme == "https", host=client.host
        )

    # ---- the app's answer ----------------------------------------------------------------------

    async def _process(self, opening: Opening, process_request: ProcessRequest) -> None:
        """Ask the app; raises if it has another answer, or none that makes sense.

        What it raises after it has accepted is its own, as a handler's.
        """
        answer: object = None
        failure: Exception | None = None
        began = self._asked_at = trio.current_time()
        scope = self._app_scope = trio.CancelScope(deadline=began + self._settings.timeouts.process)
        if opening.request.is_upgrade:
            # A page may be asked for with the end of the client's bytes behind it.
            self._watch = Watch(self._read_on, scope.cancel)
            self._hooks.nursery.start_soon(self._watch.run)
        try:
            with scope:
                answer = await process_request(opening)
                _check_answer(answer, is_accepted=self.is_accepted)
        except Exception as error:  # noqa: BLE001 - it is judged below
            failure = error
        finally:
            await self._stop_asking()
        if self.is_accepted:
            if failure is not None:
                raise failure
            self.is_handled = opening.connection is not None and not opening.connection.is_open
        else:
            self._judge(answer, failure, is_late=scope.cancelled_caught)

    def _judge(self, answer: object, failure: Exception | None, *, is_late: bool) -> None:
        """Raise unless the app lets the request pass: it has returned `answer` or failed."""
        error = self._failure if self._watch is None else self._watch.error or self._failure
        if error is None and is_late:
            error = self._too_late()
        if isinstance(failure, BadRequest) or (failure is not None and self._failure is not None):
            error = error or failure
        elif failure is not None:
            self._logger.error("process_request failed", exc_info=failure)
            error = error or BadRequest("process_request failed", Response(500))
            error.__cause__ = failure
        if error is not None:
            raise error
        if isinstance(answer, Response):
            raise RequestAnswered(f"process_request answered {answer.status}", answer)

    async def _read_on(self) -> None:
        self._reader.receive_data(await self._receive())

    async def _stop_asking(self) -> None:
        """Stop what cancels the app, which has decided."""
        if self._app_scope is None:
            return
        self._app_scope.deadline = math.inf
        self._app_scope = None
        self._until += trio.current_time() - self._asked_at
        if self._watch is not None:
            await self._watch.stop()

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
            data = await self._receive_more()
            self._is_probe = False
            request = self._reader.receive_data(data)
        return request

    async def _receive_more(self) -> bytes:
        if self._transport is not None:
            try:
                came = self._transport.receive_nowait(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise self._lost(error) from error
            if came:
                return came
        return await self._wait(self._receive)

    async def _receive(self) -> bytes:
        """Return what comes next; raises `HandshakeError` if the client has gone."""
        transport = self._transport
        try:
            if transport is None:
                data = bytes(await self.stream.receive_some(CHUNK))
            else:
                while (came := transport.receive_nowait(CHUNK)) is None:
                    await transport.wait_readable()
                data = came
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._lost(error) from error
        if data:
            return data
        what = "before its request was read" if self._request is None else "before its answer"
        kind = _Probe if self._is_probe else HandshakeError
        raise kind(f"the client closed the connection {what}")

    def _lost(self, error: Exception) -> HandshakeError:
        return _Probe("the connection was reset") if self._is_probe else lost(error)

    # ---- the answer ----------------------------------------------------------------------------

    async def _accept_for(self, opening: Opening, agreed: Agreement | None) -> Connection:
        """Accept as the app has chosen, in whichever task it asks for that."""
        if agreed is None:
            agreed = self._agree(opening.request, None)  # which says what is missing
        if self._hooks.begin is None and self._app_scope is not None:
            raise RuntimeError("connection_pair() starts connections itself: return None instead")
        await self._stop_asking()
        try:
            if self._watch is not None and self._watch.error is not None:
                raise self._watch.error
            amended = self._rules.handshake.amend(agreed, opening.subprotocol, opening.headers)
            return await self._accept(amended, opening.state)
        except Exception as error:
            self._failure = error
            raise

    async def _accept(self, agreed: Agreement, state: Any = None) -> Connection:
        """Write the 101; from then on this is a connection."""
        response, subprotocol, extension = agreed
        endpoint = self._make_endpoint(extension)
        request = cast("Request", self._request)
        await self._send(serialize_response(response, request, now=self._settings.wall_clock()))
        # Only now: RFC 6455 section 4.1 has a client wait for the answer.
        endpoint.receive_data(self._reader.trailing)
        tasks = make_tasks(self.stream, self._transport, endpoint, self._settings, self._logger)
        connection = Connection(
            tasks, request=request, response=response, subprotocol=subprotocol, state=state
        )
        self._stage = _Stage.ACCEPTED
        if self._hooks.begin is not None:
            self._hooks.begin(connection)
        return connection

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

    def _too_late(self) -> HandshakeError:
        """Return what to raise when time is up, or when the server has dropped the opening."""
        within = f"within {self._settings.timeouts.open:g} s"
        dropped = None if self._drop_reason is None else f"dropped: {self._drop_reason}"
        if self._stage is _Stage.BEFORE_PROXY:
            return HandshakeError(dropped or f"no PROXY header {within}")
        if self._stage is _Stage.BEFORE_TLS:
            return TLSFailed(dropped or f"no TLS {within}")
        if self._stage is _Stage.ANSWER:
            return HandshakeError(dropped or f"the client did not take the answer {within}")
        if dropped is not None:
            return BadRequest(dropped, _unavailable(self._settings))
        if self._stage is _Stage.PROCESS:
            return BadRequest("process_request took too long", _unavailable(self._settings))
        return BadRequest(f"no request {within}", Response(408))


def _check_answer(answer: object, *, is_accepted: bool) -> None:
    """Raise `TypeError` or `ValueError` for what `process_request` may not return."""
    if answer is None:
        return
    if is_accepted:
        raise TypeError("process_request has accepted, and then it returns None")
    if not isinstance(answer, Response):
        # Its type alone: what it holds may be a cookie.
        raise TypeError(f"process_request returns a Response or None, not {type(answer)}")
    if answer.status < 200:
        # It would be no answer: a client waits for more, or takes a 101 for an upgrade.
        raise ValueError(f"process_request answers 200 to 599, not {answer.status}")


def _unavailable(settings: AcceptSettings, text: str = "") -> Response:
    """Return the 503 for an opening that was under way; a server says when to come again."""
    if isinstance(settings, ServeSettings):
        headers = {"Retry-After": str(settings.server_limits.retry_after)}
        return Response(503, headers, text)
    return Response(503, body=text)


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

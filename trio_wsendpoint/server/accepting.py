"""What happens to an accepted stream until it is a connection, or is closed.

`open_as_server`, or `ServerOpening.run` for a server, which may `drop` it, reads a PROXY header if
one is due, does the TLS handshake, and takes requests: plain ones are answered, and the first one
for a WebSocket becomes a `Connection`.  Or it raises `HandshakeError` (a cancelled one,
`Cancelled`); then the stream is closed, and the client was told why.  Whatever else a stream, an
option or a callback raises comes out as it is, and the stream is closed then too.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

import trio

from trio_wsendpoint.addressing import Client
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.connection.instruments import tell_refusal
from trio_wsendpoint.connection.opening import CHUNK, do_tls, lost, make_endpoint, make_tasks, send
from trio_wsendpoint.connection.peer import ConnectionLogger, make_logger
from trio_wsendpoint.errors import HandshakeError, TLSFailed
from trio_wsendpoint.handshake import (
    Headers,
    Request,
    Response,
    serialize_response,
)
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered
from trio_wsendpoint.handshake.head import BadHead, HeadReader
from trio_wsendpoint.handshake.http1 import parse_request
from trio_wsendpoint.handshake.refusal import refuse, refuse_head
from trio_wsendpoint.handshake.server import Agreement
from trio_wsendpoint.http import HttpLimits
from trio_wsendpoint.protocol.endpoint import Endpoint, ServerEndpoint
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.server.asking import Asking
from trio_wsendpoint.server.client_finder import ClientFinder
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.hooks import Hooks
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.server.plain import PlainRequests
from trio_wsendpoint.server.proxy_header import read_proxy_header
from trio_wsendpoint.server.refusals import RefusalLog
from trio_wsendpoint.server.rules import Rules
from trio_wsendpoint.server.settings import AcceptSettings, ProcessRequest, ServeSettings
from trio_wsendpoint.server.turning_away import is_tls, retry_after_of, turn_away, unavailable
from trio_wsendpoint.transport.lingering import close_layers
from trio_wsendpoint.transport.streams import non_blocking

__all__ = ["ServerOpening", "open_as_server"]

_WITHOUT_TLS = "does the client speak TLS, or is its URL ws:// instead of wss://?"

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


async def open_as_server(
    stream: trio.abc.Stream,
    settings: AcceptSettings,
    nursery: trio.Nursery,
    begin: Callable[[Connection], object] | None,
) -> Connection:
    """Read a request from `stream`, and accept it or answer it otherwise.

    `begin` is called with the connection as soon as its 101 has left; None if it is not started.
    """
    try:
        rules = Rules(settings)
        logger = make_logger(stream, settings.logger, settings.random_bytes)
        # The caller gets the error, so it is the caller's to show.
        opening = ServerOpening(
            stream,
            settings,
            logger,
            rules=rules,
            refusals=RefusalLog(is_shown=False),
            hooks=Hooks(nursery, begin),
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return await opening.run()


class _Stage(Enum):
    """How far an opening has come."""

    BEFORE_PROXY = auto()  # the PROXY header is being read
    BEFORE_TLS = auto()  # nothing can be answered yet
    REQUEST = auto()  # its first request is being read
    PLAIN = auto()  # a plain request has come, and this is no opening, unless one follows
    PROCESS = auto()  # a request for a WebSocket is complete, and the app looks at it
    ANSWER = auto()  # a part of the 101 has left
    ACCEPTED = auto()  # it is a connection
    REFUSED = auto()  # it will be no connection; the client is told why


class _Over(HandshakeError):
    """The stream has ended, and nothing is to be told: a health check, plain requests."""


class ServerOpening:
    """One accepted `stream`, until it is a connection: `run` it once.

    It knows how far it has come when its time is up, or when the server drops it.  What takes no
    waiting is done in no cancel scope: most requests are here when they are looked for, and there
    is room for the answer.  A whole request for a WebSocket is read here, at little cost;
    whatever else comes is an `HttpLink`'s.
    """

    __slots__ = (
        "_asking",
        "_drop_reason",
        "_finder",
        "_hooks",
        "_is_over_limit",
        "_is_probe",
        "_link",
        "_logger",
        "_plain",
        "_reader",
        "_refusal",
        "_refusals",
        "_request",
        "_rules",
        "_scope",
        "_settings",
        "_since",
        "_stage",
        "_transport",
        "_until",
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
        self._finder = ClientFinder(logger, rules, hooks.count, retry_after_of(settings))
        self._reader = HeadReader(settings.limits)
        self._link: HttpLink | None = None  # once something else has come than a whole opening
        # How far it is; moved by its own steps, read when time is up and when the server drops it.
        self._stage = _Stage.BEFORE_PROXY
        self._drop_reason: str | None = None  # once the server has dropped it
        self._is_over_limit = False  # the reason is a limit, not the end of the server
        self._is_probe = False  # a proxy speaks for itself, and has asked nothing yet
        self._refusal: BadRequest | None = None  # that the link has told already
        self._request: Request | None = None  # for a WebSocket, once it is complete
        self._since = trio.current_time()
        self._until = self._since + settings.timeouts.open
        self._scope: trio.CancelScope | None = None  # while it waits
        self._asking: Asking | None = None  # while the app looks at the request
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
        """End it with a refusal, unless its answer has left: the server cannot go on with it.

        A plain request in work is answered first.
        """
        if self.is_accepted or self._stage is _Stage.REFUSED:
            return
        if self._drop_reason is None:
            self._drop_reason = reason
            self._is_over_limit = is_over_limit
        if self._stage is _Stage.PLAIN and self._link is not None:
            self._link.stop()
            return
        if self._scope is not None:
            self._scope.cancel()
        if self._asking is not None:
            self._asking.cancel()

    async def run(self) -> Connection:
        """Take requests, and accept one or answer it otherwise; or raise, as the module says."""
        try:
            return await self._open()
        except BaseException as error:
            if self.is_accepted:
                raise  # the connection is closed by what has begun it
            try:
                if isinstance(error, HandshakeError) and error is not self._refusal:
                    await self._refuse(error)
            finally:
                await close_layers(self.stream)
            raise

    async def _refuse(self, error: HandshakeError) -> None:
        """Tell the log, the instruments and the client why there will be no connection."""
        # Over TLS, an answer would cost a handshake first.
        is_late = isinstance(error, BadRequest) and not is_tls(self.stream)
        is_silent = self._stage is _Stage.BEFORE_PROXY and not is_late
        self._stage = _Stage.REFUSED
        self._tell(error)
        if is_silent:
            return  # it has not begun as agreed
        if self._link is None:
            await turn_away(self.stream, error, self._settings, self._logger)
        elif isinstance(error, (BadRequest, RequestAnswered)):
            with contextlib.suppress(ClientGone):
                await self._link.end_with(error.response)
                await self._link.next_request()  # which lingers until the client has read it

    def _tell(self, error: HandshakeError) -> None:
        """Tell the log and the instruments."""
        is_ours = None if self._drop_reason is None else self._is_over_limit
        if not isinstance(error, _Over):
            peer = self._logger.ends.peer
            self._refusals.write(error, self._logger, self._request, is_ours=is_ours)
            tell_refusal(self._settings.instruments, error, peer, self._logger)

    def _note_refusal(self, error: BadRequest) -> None:
        """Hear that the link refuses a request."""
        if self._stage is not _Stage.REFUSED:
            self._refusal = error
            self._stage = _Stage.REFUSED
            self._tell(error)

    # ---- what comes ----------------------------------------------------------------------------

    async def _open(self) -> Connection:
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._settings.proxy_protocol:
            self._finder.check_proxy()
            header = await self._wait(read_proxy_header, self.stream)
            self._is_probe = header.is_local
            self._finder.find_by_header(header)
        self._stage = _Stage.BEFORE_TLS
        if is_tls(self.stream):
            await self._wait(do_tls, self.stream, _WITHOUT_TLS)
            self._finder.find_by_tls(self.stream)
        self._stage = _Stage.REQUEST
        if self._drop_reason is not None:
            raise self._too_late()
        head = await self._read_head()
        try:
            request, fields = parse_request(head)
        except BadRequest:
            pass  # the link says what is wrong with it, if anything is
        else:
            # A length, if only of 0, is looked at more closely.
            if request.is_upgrade and "content-length" not in fields:
                self._check_pipelined()
                return await self._accept_or_refuse(request, fields)
        data = head + self._reader.trailing
        self._reader = HeadReader(self._settings.limits)
        return await self._open_by_link(data)

    async def _read_head(self) -> bytes:
        """Return the first head; raises `BadRequest` for what is none."""
        head: bytes | None = None
        while head is None:
            # While we wait, nothing holds what has come but the reader.
            try:
                head = self._reader.receive_data(await self._receive_more())
            except BadHead as error:
                raise refuse_head(error) from None
        return head

    def _check_pipelined(self) -> None:
        size = self._settings.limits.pipelined
        if len(self._reader.trailing) > size:
            raise refuse(400, f"more than {size} bytes behind the request (Limits.pipelined)")

    async def _open_by_link(self, data: bytes) -> Connection:
        """Take requests, of which `data` has come, until one opens a WebSocket."""
        settings, hooks = self._settings, self._hooks
        link = self._link = HttpLink(
            self.stream,
            limits=settings.limits,
            http=settings.http if isinstance(settings, ServeSettings) else HttpLimits(),
            timeouts=settings.timeouts,
            date=self._rules.date,
            since=self._since,
            nursery=hooks.nursery,
            on_refusal=self._note_refusal,
        )
        link.http.receive_data(data, trio.current_time())
        plain = PlainRequests(settings, self._rules, self._logger, self._finder, hooks)
        self._until = math.inf  # the link keeps the time
        while (head := await self._wait(link.next_request)) is not None:
            if head.is_opening:
                self._until = trio.current_time() + settings.timeouts.open
                return await self._accept_or_refuse(head.request, head.fields)
            if not hooks.answers_plain:
                raise await plain.refuse(head)
            if self._stage is _Stage.REQUEST:
                self._stage = _Stage.PLAIN
                hooks.keep()
                if self._drop_reason is not None:
                    link.stop()
            await plain.answer(link, head)
        raise self._end_of(link)

    def _end_of(self, link: HttpLink) -> HandshakeError:
        """Return what to raise when the link is over, and closed."""
        if self._refusal is not None:
            return self._refusal
        if link.http.requests:
            return _Over("the client has asked for no WebSocket")
        if link.lost is not None:
            return lost(link.lost)
        return HandshakeError("the client closed the connection before its request was read")

    async def _accept_or_refuse(self, request: Request, fields: dict[str, list[str]]) -> Connection:
        self._stage = _Stage.PROCESS
        self._request = request
        client = self._finder.client_of(request)
        # What makes no sense as a WebSocket is refused before the app is asked.
        agreed = self._agree(request, fields, client)
        process_request = self._settings.process_request
        if process_request is None:
            return await self._accept(agreed)
        opening = Opening(
            request,
            self._finder.client_or_peer(client, request),
            self._logger.ends.local,
            subprotocol=agreed[1],
            is_subprotocol_required=self._settings.subprotocol_required,
            accept=lambda: self._accept_for(opening, agreed),
        )
        await self._ask(process_request, opening)
        return opening.connection or await self._accept_for(opening, agreed)

    def _agree(
        self, request: Request, fields: dict[str, list[str]], client: Client | None
    ) -> Agreement:
        handshake = self._rules.handshake
        if client is None:
            return handshake.agree(request, fields, is_secure=self._finder.is_secure)
        is_secure = client.scheme == "https"
        return handshake.agree(request, fields, is_secure=is_secure, host=client.host)

    async def _ask(self, process_request: ProcessRequest, opening: Opening) -> None:
        timeouts, hooks = self._settings.timeouts, self._hooks
        asking = self._asking = Asking(
            timeouts.process, self._too_late, self._logger, hooks, self._read_on
        )
        if self._drop_reason is not None:
            asking.cancel()
        await asking.ask(process_request, opening)
        self._until += asking.elapsed
        self.is_handled = opening.connection is not None and not opening.connection.is_open

    # ---- bytes in ------------------------------------------------------------------------------

    async def _wait(self, wait: Callable[[Unpack[_Args]], Awaitable[_T]], *args: *_Args) -> _T:
        """Return what `wait` does; raise if it takes too long, or if the opening is dropped."""
        with trio.CancelScope(deadline=self._until) as self._scope:
            if self._drop_reason is not None and self._stage is not _Stage.PLAIN:
                self._scope.cancel()
            return await wait(*args)
        raise self._too_late()

    async def _receive_more(self) -> bytes:
        if self._transport is not None:
            try:
                came = self._transport.receive_nowait(CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise self._lost(error) from error
            if came:
                self._is_probe = False
                return came
        return await self._wait(self._receive)

    async def _receive(self, at_most: int = CHUNK) -> bytes:
        """Return what comes next; raises `HandshakeError` if the client has gone."""
        transport = self._transport
        try:
            if transport is None:
                data = bytes(await self.stream.receive_some(at_most))
            else:
                while (came := transport.receive_nowait(at_most)) is None:
                    await transport.wait_readable()
                data = came
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._lost(error) from error
        if data:
            self._is_probe = False
            return data
        if self._is_probe:
            raise _Over("a health check")
        what = "before its request was read" if self._request is None else "before its answer"
        raise HandshakeError(f"the client closed the connection {what}")

    def _lost(self, error: Exception) -> HandshakeError:
        return _Over("a health check") if self._is_probe else lost(error)

    async def _read_on(self) -> None:
        """Take in what the client sends ahead of its answer; raise if it has gone.

        What is more than `Limits.pipelined` stays where it is.
        """
        link = self._link
        if link is None:
            room = self._settings.limits.pipelined - len(self._reader.trailing)
            if room <= 0:
                await trio.sleep_forever()
            self._reader.receive_data(await self._receive(room))
        elif link.lost is not None:
            raise lost(link.lost)
        elif link.is_gone:
            raise HandshakeError("the client closed the connection before its answer")
        else:
            await link.wait()

    # ---- the answer ----------------------------------------------------------------------------

    async def _accept_for(self, opening: Opening, agreed: Agreement) -> Connection:
        """Accept as the app has chosen, in whichever task it asks for that."""
        asking = self._asking
        if asking is None:
            raise RuntimeError("the request is not the app's to accept")
        if self._hooks.begin is None and asking.is_running:
            raise RuntimeError("connection_pair() starts connections itself: return None instead")
        await asking.stop()
        try:
            if asking.error is not None:
                raise asking.error
            amended = self._rules.handshake.amend(agreed, opening.subprotocol, opening.headers)
            return await self._accept(amended, opening.state)
        except Exception as error:
            asking.fail(error)
            raise

    async def _accept(self, agreed: Agreement, state: Any = None) -> Connection:
        """Write the 101; from then on this is a connection."""
        response, subprotocol, extension = agreed
        endpoint = self._make_endpoint(extension)
        request = cast("Request", self._request)
        if self._drop_reason is not None:
            raise self._too_late()
        self._stage = _Stage.ANSWER
        if self._link is None:
            now = self._settings.wall_clock()
            await self._send(serialize_response(response, request, now=now))
        else:
            await self._wait(self._switch, self._link, response)
        # Only now: RFC 6455 section 4.1 has a client wait for the answer.
        endpoint.receive_data((self._link or self._reader).trailing)
        tasks = make_tasks(self.stream, self._transport, endpoint, self._settings, self._logger)
        connection = Connection(
            tasks, request=request, response=response, subprotocol=subprotocol, state=state
        )
        self._stage = _Stage.ACCEPTED
        if self._hooks.begin is not None:
            self._hooks.begin(connection)
        return connection

    def _make_endpoint(self, extension: MessageExtension | None) -> Endpoint:
        try:
            return make_endpoint(ServerEndpoint, self._settings, extension)
        except Exception as error:
            self._logger.error("the endpoint could not be made", exc_info=error)
            raise BadRequest("the endpoint could not be made", Response(500)) from error

    async def _switch(self, link: HttpLink, response: Response) -> None:
        headers = Headers.of_checked([*response.headers.items(), ("Date", str(self._rules.date))])
        try:
            await link.switch(Response.of_checked(101, headers))
        except ClientGone as error:
            raise lost(error) from error

    async def _send(self, data: bytes) -> None:
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
            return BadRequest(dropped, unavailable(self._settings))
        if self._stage is _Stage.PROCESS:
            return BadRequest("process_request took too long", unavailable(self._settings))
        return BadRequest(f"no request {within}", Response(408))

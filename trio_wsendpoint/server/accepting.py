"""What happens to an accepted stream until it is a connection, or is closed.

`ServerOpening.run`, which a server may `drop`, reads a PROXY header if
one is due, does the TLS handshake, and takes requests: plain ones are answered, and the first one
for a WebSocket becomes a `Connection`.  Or it raises `HandshakeError` (a cancelled one,
`Cancelled`); then the stream is closed, and the client was told why.  Whatever else a stream, an
option or a callback raises comes out as it is, and the stream is closed then too.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar, TypeVarTuple, cast

import trio

from trio_wsendpoint.addressing import Client
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import (
    Headers,
    Request,
    Response,
    serialize_response,
)
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.http1 import parse_request
from trio_wsendpoint.handshake.server import Agreement
from trio_wsendpoint.http import HttpLimits, RequestHead
from trio_wsendpoint.opening.exchange import do_tls, lost
from trio_wsendpoint.opening.making import make_endpoint, make_tasks
from trio_wsendpoint.protocol.endpoint import Endpoint, ServerEndpoint
from trio_wsendpoint.protocol.extension import MessageExtension
from trio_wsendpoint.server.asking import Asking
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.first_bytes import Over
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.lingering import close_layers
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.server.opening_course import OpeningCourse
from trio_wsendpoint.server.plain import PlainRequests
from trio_wsendpoint.server.proxy_header import read_proxy_header
from trio_wsendpoint.server.relay import Relay
from trio_wsendpoint.server.settings import ProcessRequest, ServeSettings
from trio_wsendpoint.server.stages import Stage
from trio_wsendpoint.server.turning_away import is_tls
from trio_wsendpoint.transport.any_tls import layers_of

__all__ = ["ServerOpening"]

_WITHOUT_TLS = "does the client speak TLS, or is its URL ws:// instead of wss://?"

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class ServerOpening(OpeningCourse):
    """One accepted `stream`, until it is a connection: `run` it once.

    It knows how far it has come when its time is up, or when the server drops it.  What takes no
    waiting is done in no cancel scope: most requests are here when they are looked for, and there
    is room for the answer.  A whole request for a WebSocket is read here, at little cost;
    whatever else comes is an `HttpLink`'s.
    """

    __slots__ = ()

    async def run(self) -> Connection:
        """Take requests, and accept one or answer it otherwise; or raise, as the module says."""
        try:
            return await self._open()
        except BaseException as error:
            if self.is_accepted:
                raise  # the connection is closed by what has begun it
            try:
                if isinstance(error, HandshakeError) and self._stage is not Stage.REFUSED:
                    await self._refuse(error)
            finally:
                if self._link is not None:
                    await self._link.aclose()
                else:
                    await close_layers(layers_of(self.stream))
            raise

    # ---- what comes ----------------------------------------------------------------------------

    async def _open(self) -> Connection:
        await trio.lowlevel.checkpoint_if_cancelled()
        is_probe = False
        if self._settings.proxy_protocol:
            self._finder.check_proxy()
            header = await self._wait(read_proxy_header, self.stream)
            is_probe = header.is_local
            self._finder.find_by_header(header)
        self._stage = Stage.BEFORE_TLS
        if is_tls(self.stream):
            await self._wait(do_tls, self.stream, _WITHOUT_TLS)
            self._finder.find_by_tls(self.stream)
        self._stage = Stage.REQUEST
        if self._host.dropped is not None:
            raise self._too_late()
        head = self._first.head_nowait(is_probe=is_probe)
        if head is None:
            head = await self._wait(self._first.head, is_probe)
        try:
            request, fields = parse_request(head)
        except BadRequest:
            pass  # the link says what is wrong with it, if anything is
        else:
            # A length, if only of 0, is looked at more closely.
            is_upgrade = fields.get("upgrade") == ["websocket"] or request.is_upgrade
            if is_upgrade and "content-length" not in fields:
                self._first.check_behind()
                return await self._accept_or_refuse(request, fields)
        data = head + self._first.trailing
        self._first.forget()
        return await self._open_by_link(data)

    async def _open_by_link(self, data: bytes) -> Connection:
        """Take requests, of which `data` has come, until one opens a WebSocket."""
        settings, host = self._settings, self._host
        link = self._link = HttpLink(
            self.stream,
            limits=settings.limits,
            http=settings.http if isinstance(settings, ServeSettings) else HttpLimits(),
            timeouts=settings.timeouts,
            date=self._rules.date,
            since=self._since,
            nursery=host.nursery,
            heartbeat=host.heartbeat,
            on_refusal=self._note_refusal,
        )
        link.http.receive_data(data, trio.current_time())
        plain = PlainRequests(settings, self._rules, self._logger, self._finder, host)
        self._until = math.inf  # the link keeps the time
        head = await self._wait(link.next_request)
        if head is not None and not head.is_opening:
            if not host.answers_plain:
                raise await plain.refuse(head)
            self._stage = Stage.PLAIN
            host.keep()
            if self._host.dropped is not None:
                link.stop()
            head = await self._answer_plain(link, plain, head)
        if head is None:
            raise self._end_of(link)
        self._until = trio.current_time() + settings.timeouts.open
        return await self._accept_or_refuse(head.request, head.fields)

    async def _answer_plain(
        self, link: HttpLink, plain: PlainRequests, first: RequestHead
    ) -> RequestHead | None:
        """Answer requests, from the `first` on; return one that opens a WebSocket, if one comes.

        The link keeps the time, and knows when to stop.
        """
        app, nursery = plain.app, None if plain.app is None else plain.app.nursery
        if app is not None and nursery is not None:
            return await Relay(link, plain, app, nursery).run(first)
        head: RequestHead | None = first
        while head is not None and not head.is_opening:
            request = await plain.take(link, head)
            if request is not None:
                await plain.answer(request)
            head = await link.next_request()
        return head

    def _end_of(self, link: HttpLink) -> HandshakeError:
        """Return what to raise when the link is over, and closed."""
        if self._refusal is not None:
            return self._refusal
        if link.http.requests:
            return Over("the client has asked for no WebSocket")
        if link.lost is not None:
            return lost(link.lost)
        return HandshakeError("the client closed the connection before its request was read")

    async def _accept_or_refuse(self, request: Request, fields: dict[str, list[str]]) -> Connection:
        self._stage = Stage.PROCESS
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
        timeouts, host = self._settings.timeouts, self._host
        asking = self._asking = Asking(
            timeouts.process, self._too_late, self._logger, host, self._read_on
        )
        if self._host.dropped is not None:
            asking.cancel()
        await asking.ask(process_request, opening)
        self._until += asking.elapsed

    # ---- bytes in ------------------------------------------------------------------------------

    async def _read_on(self) -> None:
        """Take in what the client sends ahead of its answer; raise if it has gone."""
        link = self._link
        if link is None:
            await self._first.read_on()
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
        if not self._host.begins and asking.is_running:
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
        if self._host.dropped is not None:
            raise self._too_late()
        self._stage = Stage.ANSWER
        if self._link is None:
            now = self._settings.wall_clock()
            await self._send(serialize_response(response, request, now=now))
        else:
            await self._wait(self._switch, self._link, response)
        # Only now: RFC 6455 section 4.1 has a client wait for the answer.
        endpoint.receive_data((self._link or self._first).trailing)
        tasks = make_tasks(
            self.stream, self._first.transport, endpoint, self._settings, self._logger
        )
        connection = Connection(
            tasks, request=request, response=response, subprotocol=subprotocol, state=state
        )
        self._stage = Stage.ACCEPTED
        if self._host.begins:
            self._host.begin(connection)
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
        sent = self._first.send_nowait(data)
        if sent < len(data):
            await self._wait(self._first.send, data[sent:])

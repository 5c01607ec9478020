"""One call of an ASGI application for one WebSocket, from before its 101 to after its end.

The application runs in a task of the server's.  `process_request` waits for it in `serve`: until
the application has refused the opening, or, once it has accepted, until it has returned.
"""

from __future__ import annotations

from typing import Any

import trio

from trio_wsendpoint.asgi.calls import Call, CallSettings
from trio_wsendpoint.asgi.errors import ClientDisconnected
from trio_wsendpoint.asgi.events import Event
from trio_wsendpoint.asgi.http_course import Head, Piece
from trio_wsendpoint.asgi.websocket_course import (
    Accept,
    Close,
    Deny,
    WebSocketCourse,
    WebSocketPhase,
)
from trio_wsendpoint.connection.closed import ConnectionClosed, ConnectionLost
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.server.opening import Opening
from trio_wsendpoint.transport.waiters import Waiters

__all__ = ["WebSocketCall"]

#: Bytes that the body of a refusal may have: it leaves as a whole.
MAX_DENIAL = 1024 * 1024
_LOST, _NO_CODE, _RESTART = 1006, 1005, 1012


class WebSocketCall(Call):
    """A call for `opening`; run it once, and `serve` it in `process_request`."""

    def __init__(self, opening: Opening, settings: CallSettings) -> None:
        super().__init__(settings)
        self._opening = opening
        self._course = WebSocketCourse(opening.request.subprotocols)
        self._connection: Connection | None = None
        self._is_served = True  # `serve` has not ended: it raises what the application raises
        self._is_told = False  # the application has got `websocket.connect`
        self._ended = trio.Event()  # the application has returned
        self._decided = trio.Event()  # accepted, or refused, or the client has gone
        self._refusal: Response | None = None
        self._denial = bytearray()
        self._is_receiving = False  # a task waits in the connection's `receive`
        self._turn = Waiters()  # where others wait meanwhile
        # What the application is told at the end, once that is known.
        self._disconnect: dict[str, Any] | None = None

    async def serve(self) -> Response | None:
        """Return the application's refusal; None once it has accepted, and has returned.

        Raises what the application has raised.  If cancelled, the client has gone for the
        application, or the server is at the end of its grace.
        """
        try:
            await self._decided.wait()
            if self._connection is not None:
                await self._wait_ended(self._connection)
        finally:
            self._is_served = False
            self.lose()
        if self.failure is not None:
            raise self.failure
        return self._refusal

    async def _wait_ended(self, connection: Connection) -> None:
        """Wait until the application has returned; look whether its client has gone meanwhile.

        To wait for that would keep a reader task at work: an echo costs four times as much then.
        """
        period = max(self.settings.cancel_after / 4, 1)
        while not self._ended.is_set():
            with trio.move_on_after(period):
                await self._ended.wait()
            if not connection.is_open:
                self.lose()

    # ---- what the application calls ------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> dict[str, Any]:
        """Return the next event; `websocket.disconnect` at its end, again and again.

        If cancelled, no message is lost.  Any number of tasks may wait in it.
        """
        if not self._is_told:
            await trio.lowlevel.checkpoint()
            self._is_told = True
            return {"type": "websocket.connect"}
        if self._connection is None and self._disconnect is None:
            await self._decided.wait()
        if self._connection is None or self._has_ended():
            await self.take_turn()
            return dict(self._disconnect or _disconnect(_LOST))
        if self._is_receiving or self._turn.count:
            await self._turn.wait()
            while self._is_receiving:
                await self._turn.wait()
        if not self._has_ended():
            self._is_receiving = True
            try:
                value = await self._connection.receive()
            except ConnectionClosed as error:
                self._end(_disconnect_of(error))
            else:
                self.renew_grace()
                if isinstance(value, str):
                    return {"type": "websocket.receive", "text": value}
                return {"type": "websocket.receive", "bytes": value}
            finally:
                self._is_receiving = False
                if self._turn.count:
                    self._turn.wake_one()
        elif self._turn.count:
            self._turn.wake_one()
        return dict(self._disconnect or _disconnect(_LOST))

    def _has_ended(self) -> bool:
        return self._disconnect is not None

    @trio.lowlevel.enable_ki_protection
    async def send(self, event: Event) -> None:
        """Take an event of the application, and do what it asks for.

        A message waits for room, as `Connection.send` does; if cancelled, it was not sent.  Raises
        `ClientDisconnected` once the client has gone; `RuntimeError`, `TypeError` or `ValueError`
        for an event that is wrong.
        """
        before = self._course.phase
        try:
            action = self._course.send(event)
        except ClientDisconnected as error:
            await trio.lowlevel.checkpoint()
            raise self.own(error) from None
        if isinstance(action, (str, bytes)):
            connection = self._connection
            if connection is None:
                raise RuntimeError('"websocket.send" comes while "websocket.accept" is sent')
            try:
                await connection.send(action)
            except ConnectionClosed as error:
                raise self._lost() from error
            return
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            self._course.take_back(before)
            raise
        if isinstance(action, Accept):
            await self._accept(action, before)
        elif isinstance(action, Close):
            await self._close(action)
        else:
            if isinstance(action, Deny):
                self._deny(action)
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _accept(self, action: Accept, before: WebSocketPhase) -> None:
        opening = self._opening
        try:
            opening.subprotocol = action.subprotocol
            for name, value in action.headers.items():
                opening.add_header(name, value)
            self._connection = await opening.accept()
        except HandshakeError as error:
            raise self._lost() from error
        except ValueError:
            self._course.take_back(before)
            raise
        except BaseException:
            self.lose()
            raise
        self._decided.set()

    async def _close(self, action: Close) -> None:
        if action.was_cut:
            self.settings.logger.warning("the application's reason of a close is too long: cut")
        connection = self._connection
        if connection is None:
            raise RuntimeError('"websocket.close" comes while "websocket.accept" is sent')
        try:
            await connection.aclose(action.code, action.reason)
        except ConnectionLost as error:
            self.settings.logger.debug("the client has not got all: %s", error)
        closing = connection.endpoint.closing
        frame = closing.received or closing.sent
        if frame is None:
            self._end(_disconnect(_LOST))
        else:
            self._end(_disconnect(frame.code or _NO_CODE, frame.reason))

    def _deny(self, action: Deny) -> None:
        step = action.step
        if step is None:
            self._refuse(Response(403))
        elif isinstance(step, Head):
            self._refusal = Response(step.status, step.headers)
        elif isinstance(step, Piece):
            self._denial += step.data
            if len(self._denial) > MAX_DENIAL:
                raise ValueError(f"the answer to an opening has {MAX_DENIAL} bytes at most")
            if step.is_last and self._refusal is not None:
                begun = self._refusal
                self._refuse(Response(begun.status, begun.headers, bytes(self._denial)))

    # ---- its end -------------------------------------------------------------------------------

    def _refuse(self, response: Response) -> None:
        self._refusal = response
        self._end(_disconnect(_LOST))
        self._decided.set()

    def _end(self, event: dict[str, Any]) -> None:
        """Note what the application is told from now on."""
        if self._disconnect is None:
            self._disconnect = event
        self._course.lose()
        self.begin_grace()

    def _lost(self) -> ClientDisconnected:
        self.lose()
        return self.own(ClientDisconnected("the client has ended the WebSocket"))

    def lose(self) -> None:
        """Note that the client has gone: the application is told, and has its time to end."""
        if self._connection is None:
            self._end(_disconnect(_LOST))
            self._decided.set()
        else:
            # What has come before its end is still the application's to receive.
            self._course.lose()
            self.begin_grace()

    def conclude(self, failure: Exception | None) -> bool:
        """Let `serve` raise `failure`, or answer 500 to what the application has not decided."""
        is_undecided = not self._decided.is_set()
        is_awaited = self._is_served and (self._connection is not None or is_undecided)
        if is_awaited:
            self.failure = failure
        if failure is None and is_undecided:
            self._refusal = Response(500, body="the application has not answered\n")
        self.lose()
        self._ended.set()
        return is_awaited


def _disconnect(code: int, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def _disconnect_of(error: ConnectionClosed) -> dict[str, Any]:
    """Return the event of the connection's end: the client's Close, or ours, or none."""
    if error.received is not None:
        return _disconnect(error.code, error.reason)
    if isinstance(error, trio.ClosedResourceError):
        # The server stops: its Close leaves when the application has returned.
        sent = error.sent
        return _disconnect(_RESTART) if sent is None else _disconnect(sent.code or _NO_CODE)
    return _disconnect(_LOST)

"""One connection of a channel that outlives its connections: a `Line`, in a task of its own.

A line asks for credentials, opens the connection, runs `on_connect`, and is then read and written
by the app until it ends.  What the app has not taken by then is kept, and still read in its order.
A line neither tries again nor judges: `keeper` does.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.client.attempts import Attempt
from trio_wsendpoint.client.connecting import connect_endpoint
from trio_wsendpoint.client.line_ends import EndedMeanwhile, LineEnd, TookTooLong, tell_end
from trio_wsendpoint.client.reconnect_settings import ReconnectSettings
from trio_wsendpoint.client.record import Traffic
from trio_wsendpoint.client.retries import Trouble
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.client.states import LINE_TRANSITIONS, LineStage
from trio_wsendpoint.connection.closed import ConnectionClosed, is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.entries.calling import call_async
from trio_wsendpoint.handshake import HeaderItems, Headers, WebSocketURL
from trio_wsendpoint.protocol.closing import CloseCause
from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["Line"]

#: Seconds that the end of a connection may take for which another one is opened meanwhile.
CLOSING = 1.0
#: Bytes that a kept message counts with, added to its payload.
OVERHEAD = 128


class Line:
    """One try, and the connection that comes of it.

    `changed` is called when it is ready (messages may flow, from `ready_at` on), when it `is_over`
    (no more will), and when there is more to take in `receive`.  `end` says how it
    ended, once it is over.
    """

    def __init__(
        self,
        settings: ReconnectSettings,
        attempt: Attempt,
        changed: Callable[[], object],
    ) -> None:
        # What the keeper asks.
        self.attempt = attempt
        self.connection: Connection | None = None  # once it is opened, for good
        # How far it is, by the table; moved by `_move` alone.
        self._stage = LineStage.CREDENTIALS
        self._times: dict[LineStage, float] = {}  # when it moved to each stage
        self.end = LineEnd()
        # How it is told to end.
        self._scope = trio.CancelScope()  # around all of it
        self._watch = trio.CancelScope()  # around the wait for the connection's end
        self._farewell: tuple[int | None, str] = (CloseCode.SUCCESS, "")
        # What the app reads.
        self._rest: deque[str | bytes] = deque()
        self._rest_bytes = 0
        self._receive_scope: trio.CancelScope | None = None  # while `receive` waits, around that
        self._has_left = ParkingLot()
        # What it was made with.
        self._settings = settings
        self._changed = changed

    def _move(self, stage: LineStage) -> None:
        """Move to `stage` if the table allows it from here."""
        if stage in LINE_TRANSITIONS[self._stage]:
            self._stage = stage
            self._times[stage] = trio.current_time()

    # ---- the app's side ----------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether no more will come over it."""
        return self._stage is LineStage.OVER

    @property
    def _is_leaving(self) -> bool:
        """Whether the channel closes it."""
        return self._stage is LineStage.LEAVING

    @property
    def can_send(self) -> bool:
        """Whether `send` may be called."""
        connection = self.connection
        return self._stage is LineStage.OPEN and connection is not None and connection.is_open

    @property
    def can_receive(self) -> bool:
        """Whether there is, or may come, something to `receive`."""
        return bool(self._rest) or self._stage in {LineStage.OPEN, LineStage.RETIRING}

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is, or will be, there to `receive`."""
        return self.is_over and not self._rest

    @property
    def unread(self) -> int:
        """Bytes of messages that are kept for the app, with 128 for each."""
        return self._rest_bytes

    async def send(self, value: str | Buffer, *, compress: bool) -> None:
        """Send a message; raises as `Connection.send`, and then nothing was sent."""
        if self.connection is None:
            raise RuntimeError("this line has no connection yet")
        await self.connection.send(value, compress=compress)

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None if there is none to be had now: look again later.

        If cancelled, nothing was taken.
        """
        if self._rest:
            await trio.lowlevel.checkpoint()
            message = self._rest.popleft()
            self._rest_bytes -= _cost(message)
            self._changed()
            return message
        if self.connection is None:
            raise RuntimeError("this line has no connection yet")
        with trio.CancelScope() as scope:
            self._receive_scope = scope
            try:
                return await self.connection.receive()
            except ConnectionClosed:
                self._move(LineStage.READ)
                self._watch.cancel()
            finally:
                self._receive_scope = None
                self._has_left.unpark_all()
        return None

    # ---- the keeper's side -------------------------------------------------------------------

    @property
    def ready_at(self) -> float | None:
        """When `on_connect` had returned; None for a try, which may come to nothing."""
        return self._times.get(LineStage.OPEN)

    @property
    def ended_at(self) -> float:
        """When it was over; `inf` until then."""
        return self._times.get(LineStage.OVER, math.inf)

    def traffic(self) -> Traffic:
        """Return what has passed so far."""
        if self.connection is None:
            return Traffic()
        told = self.connection.statistics()
        return Traffic(told.messages_sent, told.messages_received, told.write_queue_bytes)

    def retire(self) -> None:
        """End it because another one has taken over: what the peer has sent by now is kept."""
        self._move(LineStage.RETIRING)
        self._watch.cancel()

    def say_goodbye(self, code: int | None, reason: str) -> None:
        """Close the connection in order, or end the try; what was not taken is discarded."""
        self._farewell = code, reason
        self._move(LineStage.LEAVING)
        self._rest.clear()
        self._rest_bytes = 0
        self._watch.cancel()
        if self.ready_at is None:
            self._scope.cancel()

    # ---- its task ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Be this line, until the stream of the connection is closed."""
        try:
            with self._scope:
                url, headers = await self._ask()
                self._move(LineStage.OPENING)
                await self._open(url, headers)
        except Exception as error:  # noqa: BLE001 - the keeper asks for it
            self._end(tell_end(error, self._stage, self._cause()))
        finally:
            if not self.is_over:
                self._end(LineEnd())
            self._changed()

    async def _ask(self) -> tuple[str, HeaderItems]:
        settings = self._settings
        fixed: HeaderItems = settings.options.get("headers", ())
        if settings.credentials is None:
            return settings.url, fixed
        with trio.move_on_after(settings.hook_timeout):
            url, headers = _checked(
                await call_async("credentials", settings.credentials, self.attempt)
            )
            WebSocketURL.parse(url)
            # What is fresh takes the place of what is fixed.
            fresh = Headers(headers)
            return url, [*(i for i in Headers(fixed).items() if i[0] not in fresh), *fresh.items()]
        raise TookTooLong(f"credentials took longer than {settings.hook_timeout:g} s")

    @trio.lowlevel.enable_ki_protection
    async def _open(self, url: str, headers: HeaderItems) -> None:
        settings = self._settings
        options: ConnectOptions = {**settings.options, "headers": headers}
        context = settings.ssl_context
        if not WebSocketURL.parse(url).secure and not options.get("redirects"):
            context = None  # `credentials` may give a ws:// URL among others
        async with connect_endpoint(url, ssl_context=context, **options) as connection:
            self.connection = connection
            await self._introduce(connection)
            await self._live(connection)

    async def _introduce(self, connection: Connection) -> None:
        on_connect, limit = self._settings.on_connect, self._settings.hook_timeout
        self._move(LineStage.INTRODUCING)
        if on_connect is not None:
            with trio.move_on_after(limit) as scope:
                try:
                    await call_async("on_connect", on_connect, connection, self.attempt)
                except Exception as error:
                    # One connection's failure is its own: another one's end is the app's to handle.
                    if is_the_end(error, connection.endpoint.closing):
                        raise EndedMeanwhile from error
                    raise
            if scope.cancelled_caught:
                raise TookTooLong(f"on_connect took longer than {limit:g} s")
        if connection.is_open and self._stage is LineStage.INTRODUCING:
            self._move(LineStage.OPEN)
            self._changed()

    async def _live(self, connection: Connection) -> None:
        """Wait until the connection has ended or shall end, and keep what was not taken."""
        with self._watch:
            await connection.wait_closed()
        if self._stage is LineStage.RETIRING:
            # What the peer sent before its pong is here when that is.
            with trio.move_on_after(CLOSING):
                with contextlib.suppress(ConnectionClosed):
                    await connection.ping()
        if not self._is_leaving:
            trouble = await self._take_rest(connection)
            if not self._is_leaving:
                self._end(LineEnd(trouble=trouble))
        # The next one is being opened meanwhile: this end must not take long.
        if self.is_over:
            self._scope.deadline = trio.current_time() + CLOSING
        else:
            await connection.aclose(*self._farewell)

    async def _take_rest(self, connection: Connection) -> Trouble | None:
        """Keep what the connection has received; return how it ended, None if it has not."""
        self._move(LineStage.READ)  # so that the app does not come back
        while self._receive_scope is not None:  # it has a message by now, or gets none
            self._receive_scope.cancel()
            await self._has_left.park()
        try:
            while True:
                message = connection.receive_nowait()
                self._rest.append(message)
                self._rest_bytes += _cost(message)
        except trio.WouldBlock:
            return None
        except ConnectionClosed as error:
            return Trouble(error, "open", connection.statistics().close_cause)

    # ---- how it ends -------------------------------------------------------------------------

    def _end(self, end: LineEnd) -> None:
        """Be over, for the reason in `end`; what is found when it is over already is added."""
        if self.is_over:
            self.end = replace(end, trouble=self.end.trouble)
        else:
            self._move(LineStage.OVER)
            self.end = end
        self._changed()

    def _cause(self) -> CloseCause | None:
        return None if self.connection is None else self.connection.statistics().close_cause


def _checked(found: object) -> tuple[str, HeaderItems]:
    kind = type(found).__name__
    pair = cast("tuple[object, ...]", found) if isinstance(found, tuple) else ()
    if len(pair) != 2:
        raise TypeError(f"credentials must return (url, headers), not a {kind}")
    return cast("tuple[str, HeaderItems]", found)


def _cost(message: str | bytes) -> int:
    size = len(message.encode()) if isinstance(message, str) else len(message)
    return size + OVERHEAD

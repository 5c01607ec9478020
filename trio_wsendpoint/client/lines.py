"""One connection of a channel that outlives its connections: a `Line`, in a task of its own.

A line asks for credentials, opens the connection, runs `on_connect`, and is then read and written
by the app until it ends.  What the app has not taken by then is kept, and still read in its order.
A line neither tries again nor judges: `keeper` does.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import cast

import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.client.attempts import Attempt
from trio_wsendpoint.client.connecting import connect_endpoint
from trio_wsendpoint.client.reconnect_settings import ReconnectSettings
from trio_wsendpoint.client.record import Traffic
from trio_wsendpoint.client.retries import Phase, Trouble
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.connection.closed import ConnectionClosed, is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake import HeaderItems, Headers, WebSocketURL
from trio_wsendpoint.protocol.closing import CloseCause
from trio_wsendpoint.protocol.frames import Buffer

__all__ = ["Line"]

#: Seconds that the end of a connection may take for which another one is opened meanwhile.
CLOSING = 1.0
#: Bytes that a kept message counts with, added to its payload.
OVERHEAD = 128


class Line:
    """One try, and the connection that comes of it.

    `changed` is called whenever one of these becomes true: `is_ready` (messages may flow),
    `is_over` (no more will), and when there is more to take in `receive`.
    """

    def __init__(
        self,
        settings: ReconnectSettings,
        attempt: Attempt,
        changed: Callable[[], object],
    ) -> None:
        # What the keeper asks.
        self.attempt = attempt
        self.connection: Connection | None = None
        self.is_over = False
        self.ready_at: float | None = None
        self.ended_at: float | None = None
        #: What ended it; None if the channel did.
        self.trouble: Trouble | None = None
        #: What a function of the app raised, which is for the block to raise.
        self.app_error: Exception | None = None
        #: What was raised when the channel closed the connection: messages were lost.
        self.loss: ConnectionClosed | None = None
        # How it is told to end.
        self._scope = trio.CancelScope()  # around all of it
        self._watch = trio.CancelScope()  # around the wait for the connection's end
        self._farewell: tuple[int | None, str] | None = None
        self._is_retiring = False
        # What the app reads.
        self._rest: deque[str | bytes] = deque()
        self._rest_bytes = 0
        self._receive_scope: trio.CancelScope | None = None
        self._has_left = ParkingLot()
        self._is_read = False  # `receive` takes nothing more from the connection itself
        # What it was made with.
        self._settings = settings
        self._changed = changed
        self._phase: Phase = "credentials"
        self._is_own_end = False  # `on_connect` has raised the end of its connection

    # ---- the app's side ----------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether `on_connect` has returned and the line is not over."""
        return self.ready_at is not None and not self.is_over

    @property
    def can_send(self) -> bool:
        """Whether `send` may be called."""
        connection = self.connection
        is_ours = self.is_ready and not self._is_retiring and self._farewell is None
        return is_ours and connection is not None and connection.is_open

    @property
    def can_receive(self) -> bool:
        """Whether there is, or may come, something to `receive`."""
        return bool(self._rest) or (self.is_ready and not self._is_read)

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
                self._is_read = True
                self._watch.cancel()
            finally:
                self._receive_scope = None
                self._has_left.unpark_all()
        return None

    # ---- the keeper's side -------------------------------------------------------------------

    def traffic(self) -> Traffic:
        """Return what has passed so far."""
        if self.connection is None:
            return Traffic()
        told = self.connection.statistics()
        return Traffic(told.messages_sent, told.messages_received, told.write_queue_bytes)

    def retire(self) -> None:
        """End it because another one has taken over: what the peer has sent by now is kept."""
        self._is_retiring = True
        self._watch.cancel()

    def say_goodbye(self, code: int | None, reason: str) -> None:
        """Close the connection in order, or end the try; what was not taken is discarded."""
        self._farewell = code, reason
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
                self._phase = "opening"
                await self._open(url, headers)
        except Exception as error:  # noqa: BLE001 - the keeper asks for it
            self._note(error)
        finally:
            self._end(None)

    async def _ask(self) -> tuple[str, HeaderItems]:
        settings = self._settings
        fixed: HeaderItems = settings.options.get("headers", ())
        if settings.credentials is None:
            return settings.url, fixed
        with trio.move_on_after(settings.hook_timeout):
            url, headers = _checked(await settings.credentials(self.attempt))
            WebSocketURL.parse(url)
            # What is fresh takes the place of what is fixed.
            fresh = Headers(headers)
            return url, [*(i for i in Headers(fixed).items() if i[0] not in fresh), *fresh.items()]
        raise _TookTooLong(f"credentials took longer than {settings.hook_timeout:g} s")

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
        self._phase = "on_connect"
        if on_connect is not None:
            with trio.move_on_after(limit) as scope:
                try:
                    await on_connect(connection, self.attempt)
                except Exception as error:
                    # One connection's failure is its own: another one's end is the app's to handle.
                    self._is_own_end = is_the_end(error, connection.endpoint.closing)
                    raise
            if scope.cancelled_caught:
                raise _TookTooLong(f"on_connect took longer than {limit:g} s")
        self._phase = "open"
        if connection.is_open:
            self.ready_at = trio.current_time()
            self._changed()

    async def _live(self, connection: Connection) -> None:
        """Wait until the connection has ended or shall end, and keep what was not taken."""
        with self._watch:
            await connection.wait_closed()
        if self._farewell is None and self._is_retiring:
            # What the peer sent before its pong is here when that is.
            with trio.move_on_after(CLOSING):
                with contextlib.suppress(ConnectionClosed):
                    await connection.ping()
        if self._farewell is None:
            self._end(await self._take_rest(connection))
        # The next one is being opened meanwhile: this end must not take long.
        if self._farewell is None:
            self._scope.deadline = trio.current_time() + CLOSING
        else:
            await connection.aclose(*self._farewell)

    async def _take_rest(self, connection: Connection) -> Trouble | None:
        """Keep what the connection has received; return how it ended, None if it has not."""
        self._is_read = True  # so that the app does not come back
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

    def _end(self, trouble: Trouble | None) -> None:
        if not self.is_over:
            self.is_over = True
            self.ended_at = trio.current_time()
            self.trouble = trouble
        self._changed()

    def _note(self, error: Exception) -> None:
        """Tell what is worth another try from what a function of the app has raised."""
        if self.is_over or self._farewell is not None:
            if isinstance(error, ConnectionClosed):
                self.loss = error
            else:
                self.app_error = error
            self._end(None)
        elif isinstance(error, _TookTooLong):
            self._end(Trouble(error, self._phase, is_timeout=True))
        elif self._is_expected(error):
            self._end(Trouble(_first(error), self._phase, self._cause()))
        else:
            self.app_error = error
            self._end(None)

    def _is_expected(self, error: Exception) -> bool:
        if self._phase == "opening":
            return isinstance(error, (OSError, HandshakeError, trio.TooSlowError, *_BROKEN))
        if self._phase == "credentials":
            return isinstance(error, (OSError, trio.TooSlowError, HandshakeError))
        return self._is_own_end

    def _cause(self) -> CloseCause | None:
        return None if self.connection is None else self.connection.statistics().close_cause


class _TookTooLong(trio.TooSlowError):
    """A function of the app took longer than `hook_timeout`."""


#: What a stream that was just opened may be found to be.
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


def _checked(found: object) -> tuple[str, HeaderItems]:
    kind = type(found).__name__
    pair = cast("tuple[object, ...]", found) if isinstance(found, tuple) else ()
    if len(pair) != 2:
        raise TypeError(f"credentials must return (url, headers), not a {kind}")
    return cast("tuple[str, HeaderItems]", found)


def _first(error: Exception) -> Exception:
    """Return the first error of a group, or the error itself."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error


def _cost(message: str | bytes) -> int:
    size = len(message.encode()) if isinstance(message, str) else len(message)
    return size + OVERHEAD

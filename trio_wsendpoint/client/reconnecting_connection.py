"""The channel that an app holds while `keeper` opens one connection after the other.

Its promises:

* Messages arrive in order, those of one connection before those of the next, and none twice.
* `Cancelled` from `send` means that nothing was or will be sent.  A message is given to one
  connection only: what that one had taken when it was lost may have arrived or not, and is not
  sent again.  docs/reconnecting.md shows how an app's acknowledgements close this gap.
"""

from __future__ import annotations

import trio

from trio_wsendpoint.channels import WithOtherForms
from trio_wsendpoint.client.attempts import NotConnected, ReconnectStatistics
from trio_wsendpoint.client.keeper import Keeper
from trio_wsendpoint.client.lines import Line
from trio_wsendpoint.client.reconnect_settings import ReconnectSettings
from trio_wsendpoint.client.states import ReconnectState
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.transport.one_task import OneTask

__all__ = ["ReconnectingConnection"]


class ReconnectingConnection(WithOtherForms, trio.abc.Channel[str | bytes]):
    """A channel of messages that outlives its connections: see `reconnecting_endpoint`.

    Made by `reconnecting_endpoint`, never by hand.  One task at a time may receive; any number
    may send.
    """

    def __init__(self, keeper: Keeper, settings: ReconnectSettings) -> None:
        self._keeper = keeper
        self._settings = settings
        self._receiving = OneTask("receiving from this channel")
        self._turn = trio.StrictFIFOLock()  # of those that wait to send
        self._senders_waiting = 0
        self._bytes_waiting = 0

    # ---- messages ----------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def receive(self) -> str | bytes:
        """Return the next message, over whichever connection it comes.

        Wait through the ends of connections.

        If cancelled: nothing was taken.
        Raises: `GaveUp` when there will be no further connection and all that was received has
            been taken; `trio.ClosedResourceError` after `aclose()`; `trio.BusyResourceError` if
            another task is receiving.
        """
        with self._receiving:
            while True:
                line = self._keeper.line_to_read
                if self._is_closed or line is None:
                    await self._wait_for_change()
                    continue
                message = await line.receive()
                if message is not None:
                    return message

    @trio.lowlevel.enable_ki_protection
    async def send(self, value: str | Buffer, *, compress: bool = True) -> None:
        """Send a message over the connection that is in use, as `Connection.send`.

        Without a connection, wait for one, in order, or raise `NotConnected`, as `when_away` says.
        When this has returned, the message belongs to one connection, and may be lost with it.

        If cancelled: nothing of the message was or will be sent.
        Raises: `NotConnected`, `GaveUp`, `trio.ClosedResourceError` after `aclose()`, and
            `TypeError` and `UnicodeEncodeError` as `Connection.send`.  Then too, nothing was sent.
        """
        if not isinstance(value, (str, bytes, bytearray, memoryview)):
            raise TypeError(
                "send() takes str (a text message) or bytes (a binary one), "
                f"not {type(value).__name__}"
            )
        line = self._keeper.line_to_send
        if (
            line is not None
            and not self._senders_waiting
            and await self._send_over(line, value, compress)
        ):
            return
        if self._settings.when_away == "raise":
            await trio.lowlevel.checkpoint()
            self._check_end()
            raise NotConnected(f"there is no connection: the channel is {self.state}")
        await self._send_later(value, compress)

    async def _send_over(self, line: Line, value: str | Buffer, compress: bool) -> bool:
        """Send over `line`; return False if that has ended, and then nothing was sent."""
        try:
            await line.send(value, compress=compress)
        except ConnectionClosed:
            return False
        return True

    @trio.lowlevel.enable_ki_protection
    async def _send_later(self, value: str | Buffer, compress: bool) -> None:
        """Wait for a connection, in line, and send."""
        kept = value if isinstance(value, str) else bytes(value)
        size = len(kept.encode()) if isinstance(kept, str) else len(kept)
        if self._bytes_waiting + size > self._settings.waiting_bytes:
            await trio.lowlevel.checkpoint()
            self._check_end()
            raise NotConnected(
                f"there is no connection, and {self._bytes_waiting} bytes wait to be sent: with "
                f"{size} more, they would be over waiting_bytes, {self._settings.waiting_bytes}"
            )
        self._bytes_waiting += size
        self._senders_waiting += 1
        try:
            is_sent = False
            while not is_sent:
                async with self._turn:
                    while (line := self._keeper.line_to_send) is None:
                        await self._wait_for_change()
                is_sent = await self._send_over(line, kept, compress)
        finally:
            self._bytes_waiting -= size
            self._senders_waiting -= 1

    # ---- the connection behind it ------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def wait_connected(self) -> None:
        """Wait until there is a connection over which messages flow.

        If cancelled: nothing has changed.
        Raises: `GaveUp`; `trio.ClosedResourceError` after `aclose()`.
        """
        await trio.lowlevel.checkpoint()
        while self._keeper.line_to_send is None:
            await self._wait_for_change()

    def reconnect_now(self) -> None:
        """Begin the next try now, if one is waited for; do nothing else."""
        self._keeper.hurry()

    @property
    def state(self) -> ReconnectState:
        """What the channel does."""
        return self._keeper.state

    @property
    def attempts(self) -> int:
        """How many tries to connect have begun."""
        return self._keeper.record.attempts

    @property
    def connection(self) -> Connection | None:
        """The connection that is in use, for `ping()` and the like; None without one.

        Leave receiving to the channel.
        """
        return self._keeper.connection

    def statistics(self) -> ReconnectStatistics:
        """Return what the channel has done and holds, as an immutable object."""
        return self._keeper.statistics(waiting=(self._senders_waiting, self._bytes_waiting))

    # ---- the end -----------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def aclose(self, code: int | None = CloseCode.SUCCESS, reason: str = "") -> None:
        """Close the connection in order, as `Connection.aclose`, and open no other.

        Return when the stream is closed.  Calls that wait raise `trio.ClosedResourceError`; what
        was not received is discarded.

        If cancelled: the stream is closed at once.
        Raises: as `Connection.aclose`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._keeper.close(code, reason)

    @property
    def _is_closed(self) -> bool:
        return self._keeper.state is ReconnectState.CLOSED

    async def _wait_for_change(self) -> None:
        """Wait until something has changed; raises the end, if this is it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_end()
        await self._keeper.changed.park()

    def _check_end(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this channel was closed")
        end = self._keeper.tell_end()
        if end is not None:
            raise end
        if self._keeper.state is ReconnectState.STOPPED:
            raise trio.BrokenResourceError("a function of the app has failed: the block raises it")

    def __repr__(self) -> str:
        return f"<ReconnectingConnection {self.state} attempts={self.attempts}>"

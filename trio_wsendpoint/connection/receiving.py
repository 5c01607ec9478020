"""The app's receiving half of a connection: one task at a time takes messages, or pieces of one."""

from __future__ import annotations

from threading import get_ident

import trio

from trio_wsendpoint.connection.tasks import Tasks
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.session.inbox import Wish
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Owner, Wake
from trio_wsendpoint.transport.one_task import OneTask, Place

__all__ = ["TURN", "Receiving", "check_thread"]

#: Messages that a loop may take, or send, without waiting before other tasks get a turn; a fixed
#: count, not a clock, so that runs are deterministic.
TURN = 64

_OPEN = Phase.OPEN
_DISMISSED = Wish.DISMISSED
_FREE, _TAKEN = Place.FREE, Place.TAKEN


def check_thread(thread: int) -> None:
    """Raise `RuntimeError` in a thread other than `thread`, which may run a Trio of its own."""
    if get_ident() != thread:
        raise RuntimeError(
            "a connection belongs to the thread that opened it: use trio.from_thread.run"
        )


class Receiving(OneTask):
    """What takes messages from one connection, in the thread `thread`.

    Its place is taken while a task is in one of its calls, or a stream is open.
    """

    __slots__ = ("_session", "_tasks", "_thread", "_turn")

    def __init__(self, tasks: Tasks, thread: int) -> None:
        super().__init__("receiving from this connection")
        self._tasks = tasks
        self._session = tasks.session
        self._turn = 0  # messages since the other tasks had their turn
        self._thread = thread

    # ---- whole messages ----------------------------------------------------------------------

    # In one function: of the 64,000 instructions that an echo takes, a further coroutine takes
    # 1,000, a further call 400.
    @trio.lowlevel.enable_ki_protection
    async def receive(self, *, is_iterating: bool = False) -> str | bytes:
        """Return the next message's payload, as `Connection.receive`."""
        if self._place is not _FREE or get_ident() != self._thread:
            self._check_call()
        session, reader = self._session, self._tasks.reader
        inbox = session.inbox
        message: Message | None = None
        self._place = _TAKEN  # no other task may begin while this one gives the others a turn
        try:
            is_idle = session.intake.is_drained and not inbox.messages
            if not (is_idle and reader.doubt) and inbox.wish is not _DISMISSED:
                await trio.lowlevel.checkpoint_if_cancelled()
                self._turn += 1
                if self._turn >= TURN:
                    await self._pass_turn()
                message = self._take_message() if inbox.messages else reader.take_message()
            while message is None:
                if session.phase is not _OPEN or inbox.wish is _DISMISSED:
                    await trio.lowlevel.checkpoint_if_cancelled()
                    message = self._take_message()
                    if message is not None:
                        break
                    self._check_receivable()
                message = await reader.wait(Wish.MESSAGE)
                if message is None:
                    message = self._take_message()
        except trio.EndOfChannel:
            if is_iterating:
                raise StopAsyncIteration from None
            raise
        finally:
            self._place = _FREE
        return message.payload

    @trio.lowlevel.enable_ki_protection
    async def receive_message(self) -> Message:
        """Return the next message, as `Connection.receive_message`."""
        self._check_call()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._place = _TAKEN
        try:
            message = self._take_message()
            if message is not None:
                await self.take_turns()
            while message is None:
                self._check_receivable()
                message = await self._tasks.reader.wait(Wish.MESSAGE) or self._take_message()
        finally:
            self._place = _FREE
        return message

    @trio.lowlevel.enable_ki_protection
    def receive_nowait(self) -> str | bytes:
        """Return the next message's payload if it is here, as `Connection.receive_nowait`."""
        self._check_call()
        message = self._take_message()
        if message is None:
            self._check_receivable()
            self._session.ask(Wish.POLLED)
            self._tasks.act()
            self._tasks.reader.call()
            raise trio.WouldBlock
        return message.payload

    def _take_message(self) -> Message | None:
        session = self._session
        message = session.take(trio.current_time()) if session.inbox.messages else None
        if session.wakes > Wake.RECEIVER:
            self._tasks.act()
        return message

    def _check_call(self) -> None:
        """Raise if another thread calls, or if another task is receiving."""
        check_thread(self._thread)
        self.check_free()

    def _check_receivable(self, *, in_message: bool = False) -> None:
        session = self._session
        if (
            session.owner is not Owner.PRESENT
            or session.phase is Phase.OVER
            or not session.endpoint.is_open
        ):
            raise self._tasks.error(is_cut_short=in_message)

    # ---- in pieces ---------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def begin_stream(self) -> str:
        """Wait until a message has begun; return its type.  `end_stream` ends what this begins."""
        self._check_call()
        await trio.lowlevel.checkpoint_if_cancelled()
        session, inbox = self._session, self._session.inbox
        self._place = _TAKEN
        inbox.begin_stream()
        try:
            while not inbox.messages and session.endpoint.incoming.partial_type is None:
                self._check_receivable()
                await self._tasks.reader.wait(Wish.PART)
        except BaseException:
            self.end_stream(skip=False)
            raise
        if inbox.messages:
            return inbox.messages[0].type
        return session.endpoint.incoming.partial_type or ""

    async def wait_for_part(self) -> None:
        """Wait until there may be more of the message that was begun."""
        if self._session.inbox.is_receiver_waiting:
            raise trio.BusyResourceError("another task is receiving from this stream")
        self._check_receivable(in_message=True)
        await self._tasks.reader.wait(Wish.PART)

    def take_part(self) -> bytes | Message | None:
        """Return a piece of the message that was begun, all that is left of it, or None."""
        now = trio.current_time()
        part: bytes | Message | None = self._session.take(now)
        if part is None:
            part = self._session.take_part(now) or None
        if self._session.wakes:
            self._tasks.act()
        return part

    async def take_turns(self) -> None:
        """Count a piece that took no wait; after `TURN` of them give the other tasks a turn."""
        self._turn += 1
        if self._turn >= TURN:
            await self._pass_turn()

    async def _pass_turn(self) -> None:
        self._turn = 0
        await trio.lowlevel.cancel_shielded_checkpoint()

    @trio.lowlevel.enable_ki_protection
    def end_stream(self, *, skip: bool) -> None:
        """Take whole messages again; `skip` drops what is left of the one that was begun."""
        if skip:
            self._session.skip_message()
        self._place = _FREE
        self._session.inbox.end_stream()
        self._session.ask(Wish.NOTHING)
        # A task that still waits for a piece of it is told that it is over.
        self._tasks.waits.receiver.wake()
        self._tasks.reader.interrupt()
        self._tasks.act()

"""The app's sending half of a connection: any number of tasks, each in its turn."""

from __future__ import annotations

from threading import get_ident

import trio

from trio_wsendpoint.connection.receiving import TURN, check_thread
from trio_wsendpoint.connection.tasks import Tasks
from trio_wsendpoint.connection.writer import Writing
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.errors import LocalError
from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.session.outbox import LITTLE
from trio_wsendpoint.session.phases import Phase

__all__ = ["Sending", "check_type"]

_OPEN = Phase.OPEN
_IDLE = Writing.IDLE
#: What an error says of a stream whose block is not open.
_CANNOT = "this stream cannot send"
#: What a message is made of.
_TYPES = (str, bytes, bytearray, memoryview)


def check_type(value: object) -> None:
    """Raise `TypeError` for what is no message."""
    if not isinstance(value, _TYPES):
        raise TypeError(
            f"send() takes str (a text message) or bytes (a binary one), not {type(value).__name__}"
        )


def size_of(value: str | Buffer | SharedMessage) -> int:
    """Return how many bytes of payload a message has."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="replace"))
    if isinstance(value, SharedMessage):
        return len(value.payload)
    if isinstance(value, memoryview):
        return value.nbytes
    return len(value) if isinstance(value, (bytes, bytearray)) else 0  # it will be refused


class Sending:
    """What commits messages to one connection.

    `waiting`: how many tasks wait in `send()`.
    """

    __slots__ = (
        "_endpoint",
        "_session",
        "_streamer",
        "_tasks",
        "_thread",
        "_turn",
        "_writer",
        "waiting",
    )

    def __init__(self, tasks: Tasks, thread: int) -> None:
        self._tasks = tasks
        self._session = tasks.session
        self._writer = tasks.writer
        self._endpoint = tasks.endpoint
        self._thread = thread
        self._turn = 0  # messages since the other tasks had their turn
        self.waiting = 0
        self._streamer: trio.lowlevel.Task | None = None  # the task that sends a stream

    # ---- whole messages ----------------------------------------------------------------------

    def try_send(self, value: str | Buffer, *, compress: bool) -> bool:
        """Commit a message if nothing is before it; False if that takes `send`.

        Raises as `Endpoint.send_message`.
        """
        outbox = self._session.outbox
        if outbox.corked_bytes > LITTLE and not outbox.can_join(size_of(value)):
            self._tasks.act()  # which writes what is corked
        self._turn += 1
        if self._turn >= TURN or self.waiting or get_ident() != self._thread:
            return False
        try:
            return self._try_commit(value, compress=compress)
        except TypeError:
            check_type(value)  # which tells it in the app's terms
            raise

    async def send(self, value: str | Buffer, *, compress: bool) -> None:
        """Wait for its turn, and commit a message.  Raises as `Connection.send`."""
        check_thread(self._thread)
        check_type(value)
        if self._turn >= TURN:
            self._turn = 0
            await trio.lowlevel.cancel_shielded_checkpoint()
        await self.wait_for_turn(size_of(value))
        self.commit(value, compress=compress)

    def commit(self, value: str | Buffer | SharedMessage, *, compress: bool) -> None:
        """Queue a message, or write it at once.  Raises as `Endpoint.send_message`."""
        try:
            if not self._try_commit(value, compress=compress):
                self._session.send(value, compress=compress)
                self._act()
        finally:
            if self.waiting:
                self._tasks.wake_a_sender()

    def _try_commit(self, value: str | Buffer | SharedMessage, *, compress: bool) -> bool:
        """Commit a message if no task writes: what is free has room."""
        session, writer = self._session, self._writer
        if writer.writing is not _IDLE or session.phase is not _OPEN:
            return False
        try:
            data = self._endpoint.send_at_once(value, compress=compress)
        except LocalError:
            return False  # the app has closed the endpoint itself, or begun a message there
        # Answers to messages that came together leave together (1.7 times cheaper with 32 in
        # flight): while the app has more to answer, they wait.
        has_more = session.inbox.messages or not session.intake.is_drained
        if data is None:
            session.note_queued()
            self._act()
        elif not has_more or not (corked := session.outbox.cork(data)):
            writer.write(data)
        elif corked == 1:
            writer.call()  # for this one, and for those that are corked behind it
        return True

    def _act(self) -> None:
        """Write what waits: now, or by the writer task while the app has more to answer."""
        if self._has_more and self._session.phase is _OPEN:
            self._writer.call()
        else:
            self._tasks.act()

    @property
    def _has_more(self) -> bool:
        return bool(self._session.inbox.messages) or not self._session.intake.is_drained

    def try_share(self, message: SharedMessage, *, compress: bool) -> bool:
        """Commit a message if nothing at all is before it; False if that takes `commit`.

        Raises as `Endpoint.send_message`.
        """
        if self.waiting or self._session.outbox.corked_bytes or self._has_more:
            return False
        return self._try_commit(message, compress=compress)

    def has_room_for(self, value: str | Buffer | SharedMessage) -> bool:
        """Tell whether a message may be committed now: no task is before, and there is room."""
        return not self.waiting and self._tasks.has_room_for(size_of(value))

    @property
    def is_busy(self) -> bool:
        """Whether tasks of the app's wait in `send()`, or one sends a message in chunks."""
        return self.waiting > 0 or not self._endpoint.is_between_messages

    def check_open(self) -> None:
        """Raise how the connection ended, unless it is open."""
        # A callback that sees the Close asks before the step that it is in has its effect.
        if not (self._session.is_open and self._session.endpoint.is_open):
            raise self._tasks.error(sending=True)

    async def wait_for_turn(self, size: int) -> None:
        """Wait in line to send `size` bytes.

        Return when it is our turn and there is room, without a pause since.
        """
        await self._check_open_told()
        if not self.waiting and self._tasks.has_room_for(size):
            return
        if self._streamer is trio.lowlevel.current_task():
            raise RuntimeError("this task is sending a stream: it would wait for itself")
        self.waiting += 1
        try:
            while True:
                await self._tasks.waits.wait_to_send(size)
                await self._check_open_told()
                # There was room when it was woken, and a pong that came since takes no turn away.
                if self._endpoint.is_between_messages:
                    return
        except BaseException:
            self._tasks.wake_a_sender()  # this task was woken perhaps: the next one has the turn
            raise
        finally:
            self.waiting -= 1

    async def wait_room(self, size: int) -> None:
        """Wait for a turn to send `size` bytes, and pass it on: see `Connection.wait_room`."""
        check_thread(self._thread)
        await trio.lowlevel.checkpoint()
        await self.wait_for_turn(size)
        if self.waiting:
            self._tasks.wake_a_sender()

    async def _check_open_told(self) -> None:
        """Raise how the connection ended, after what the peer said last has been read."""
        if not self._session.is_open:
            await self._tasks.wait_told()
            raise self._tasks.error(sending=True)

    # ---- in chunks ---------------------------------------------------------------------------

    async def begin_stream(self, kind: str, *, compress: bool) -> None:
        """Wait for its turn and begin a message, which this task sends in chunks."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.wait_for_turn(1)
        self._session.begin_message(kind, compress=compress)
        self._streamer = trio.lowlevel.current_task()
        await self._take_turns()

    async def send_chunk(self, block: BlockUse, chunk: str | Buffer) -> None:
        """Send the next chunk, after waiting for room.  Raises as `SendStream.send`.

        `block` is that of its stream, which another task may leave meanwhile.
        """
        session = self._session
        block.check_open(_CANNOT)
        await trio.lowlevel.checkpoint_if_cancelled()
        size = size_of(chunk)
        try:
            while session.is_open and not session.outbox.has_space_for(size):
                await self._tasks.waits.wait_for_chunk(size)
                block.check_open(_CANNOT)
            await self._check_open_told()
            block.check_open(_CANNOT)
            session.send_chunk(chunk)
        except BaseException:
            self._tasks.wake_a_sender()  # as in `wait_for_turn`
            raise
        self._tasks.act()
        await self._take_turns()

    async def _take_turns(self) -> None:
        """Count what took no wait; after `TURN` of them give the other tasks a turn."""
        self._turn += 1
        if self._turn >= TURN:
            self._turn = 0
            await trio.lowlevel.cancel_shielded_checkpoint()

    def end_stream(self, kind: str, *, is_whole: bool) -> None:
        """End the message; if it is not whole, take it back or close the connection with 1011."""
        session = self._session
        self._streamer = None
        self._tasks.waits.chunks.wake_all()  # a chunk that waits is refused
        if not is_whole:
            session.leave_message(trio.current_time())
        elif session.is_open:
            session.send_chunk("" if kind == "text" else b"", final=True)
        else:
            raise self._tasks.error(sending=True)
        self._tasks.act()

"""The app's sending half of a connection: any number of tasks, each in its turn."""

from __future__ import annotations

from threading import get_ident

import trio

from trio_wsendpoint.connection.receiving import TURN, check_thread
from trio_wsendpoint.connection.tasks import Tasks
from trio_wsendpoint.connection.writer import Writing
from trio_wsendpoint.errors import EndpointClosed
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.frames import Buffer
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.session.outbox import LITTLE
from trio_wsendpoint.session.phases import Phase

__all__ = ["Sending", "check_type"]

_OPEN = Phase.OPEN
_IDLE = Writing.IDLE
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
        "_may_encode",
        "_session",
        "_stream",
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
        # A class of the user's may have a `send_message` that wants to see all of them.
        self._may_encode = type(tasks.endpoint).send_message is Endpoint.send_message
        self.waiting = 0
        self._stream: object = None  # the SendStream that is open; set by `begin_stream`
        self._streamer: trio.lowlevel.Task | None = None  # the task that opened it

    # ---- whole messages ----------------------------------------------------------------------

    def try_send(self, value: str | Buffer, *, compress: bool) -> bool:
        """Write a message at once if nothing is before it; False if that takes `send`.

        Raises as `Endpoint.send_message`.
        """
        session, writer = self._session, self._writer
        outbox = session.outbox
        if outbox.corked_bytes > LITTLE and not outbox.can_join(size_of(value)):
            self._tasks.act()  # which writes what is corked
        self._turn += 1
        if (
            self._turn >= TURN
            or self.waiting
            or writer.writing is not _IDLE
            or session.phase is not _OPEN
            or not self._may_encode
            or get_ident() != self._thread
        ):
            return False
        try:
            data = self._endpoint.encode_message(value, compress=compress)
        except EndpointClosed:
            return False  # the app has closed the endpoint itself: `send` tells how it ended
        if data is None:
            return False
        # Answers to messages that came together leave together (1.7 times cheaper with 32 in
        # flight): while the app has more to answer, they wait.
        if (session.inbox.messages or not session.intake.is_drained) and outbox.cork(data):
            if not writer.is_called:
                writer.call()
        else:
            writer.write(data)
        return True

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
            self._commit(value, compress=compress)
        finally:
            if self.waiting:
                self._tasks.wake_a_sender()

    def _commit(self, value: str | Buffer | SharedMessage, *, compress: bool) -> None:
        session, writer = self._session, self._writer
        has_more = bool(session.inbox.messages) or not session.intake.is_drained
        data: bytes | None = None
        if writer.writing is _IDLE and session.phase is _OPEN and self._may_encode:
            data = self._endpoint.encode_message(value, compress=compress)
        if data is None:
            session.send(value, compress=compress)
        if data is not None and has_more and session.outbox.cork(data):
            writer.call()
        elif data is not None:
            writer.write(data)
        elif has_more and session.phase is _OPEN:
            writer.call()
        else:
            self._tasks.act()

    # Few calls: each delivery of a broadcast passes here.
    def try_share(self, message: SharedMessage, *, compress: bool) -> bool:
        """Write a message at once if nothing at all is before it; False if that takes `commit`.

        What is free has room.  Raises as `Endpoint.send_message`.
        """
        session, writer = self._session, self._writer
        if (
            self.waiting
            or writer.writing is not _IDLE
            or session.phase is not _OPEN
            or not self._may_encode
            or session.outbox.corked_bytes
            or session.inbox.messages
            or not session.intake.is_drained
        ):
            return False
        data = self._endpoint.encode_message(message, compress=compress)
        if data is None:
            return False
        writer.write(data)
        return True

    def has_room_for(self, value: str | Buffer | SharedMessage) -> bool:
        """Tell whether a message may be committed now: no task is before, and there is room."""
        return not self.waiting and self._tasks.has_room_for(size_of(value))

    @property
    def is_busy(self) -> bool:
        """Whether tasks of the app's wait in `send()`, or one sends a message in chunks."""
        return self.waiting > 0 or self._stream is not None

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

    async def begin_stream(self, stream: object, kind: str, *, compress: bool) -> None:
        """Wait for its turn and begin a message, whose chunks only `stream` sends."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.wait_for_turn(1)
        self._session.begin_message(kind, compress=compress)
        self._stream = stream
        self._streamer = trio.lowlevel.current_task()
        self._turn += 1
        if self._turn >= TURN:
            self._turn = 0
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def send_chunk(self, stream: object, chunk: str | Buffer) -> None:
        """Send the next chunk, after waiting for room.  Raises as `SendStream.send`."""
        session = self._session
        self._check_stream(stream)
        await trio.lowlevel.checkpoint_if_cancelled()
        size = size_of(chunk)
        while session.is_open and not session.outbox.has_space_for(size):
            await self._tasks.waits.wait_for_chunk(size)
            self._check_stream(stream)
        await self._check_open_told()
        self._check_stream(stream)
        session.send_chunk(chunk)
        self._tasks.act()
        self._turn += 1
        if self._turn >= TURN:
            self._turn = 0
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _check_stream(self, stream: object) -> None:
        if self._stream is not stream:
            raise RuntimeError("this stream is over: its block has been left")

    def end_stream(self, stream: object, kind: str, *, is_whole: bool) -> None:
        """End the message; if it is not whole, take it back or close the connection with 1011."""
        session = self._session
        if self._stream is not stream:
            return
        self._stream = self._streamer = None
        self._tasks.waits.chunks.wake_all()  # a chunk that waits is refused
        if not is_whole:
            session.leave_message(trio.current_time())
        elif session.is_open:
            session.send_chunk("" if kind == "text" else b"", final=True)
        else:
            raise self._tasks.error(sending=True)
        self._tasks.act()

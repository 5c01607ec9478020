"""What these tests share: a peer driven by hand, and streams that misbehave on demand.

The peer speaks in frames made by `protocol`, or in raw bytes; it does nothing by itself.

A connection reads and writes over two forms of streams: "plain" ones (`trio.abc.Stream`), with
its tasks alone, and "non-blocking" ones, with the calls of the app as well.  A module that holds
for both says `pytestmark = both_forms`; the pairs that are made here are then of the form that
the test runs with.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import pytest
import trio
import trio.testing
from trio.lowlevel import ParkingLot

from trio_wsendpoint import (
    CloseFrame,
    Connection,
    ConnectionLost,
    Frame,
    Parser,
    PongFrame,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint import testing as kit
from trio_wsendpoint.testing import (
    ConnectionPair,
    MemoryNetwork,
    MemoryStream,
    NonBlockingMemoryStream,
    seeded_bytes,
)
from trio_wsendpoint.transport import NonBlockingStream

KEY = base64.b64encode(b"the sample nonce")
REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: example.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
MASK = b"\x37\xfa\x21\x3d"
SEED = 7

settle = trio.testing.wait_all_tasks_blocked

Form = Literal["plain", "non-blocking"]
FORMS: tuple[Form, ...] = ("plain", "non-blocking")
#: Runs a test, or a module, over either form of streams.
both_forms = pytest.mark.parametrize("form", FORMS, indirect=True)
#: Bytes that a stream holds for a peer that does not read: any number that a test sends.
BOUNDLESS = 1 << 40
#: Seconds after which the reader task reads, at most, where the app does not.
AWAY = 0.06


class CurrentForm:
    """The form of the streams that are made; the fixture `form` sets it."""

    form: Form = "plain"


def is_non_blocking() -> bool:
    """Whether the test runs over non-blocking streams."""
    return CurrentForm.form == "non-blocking"


async def away() -> None:
    """Be away from `receive()` until what has come was read, whoever reads it."""
    if is_non_blocking():
        await trio.sleep(AWAY)
    await settle()


def response_for(key: bytes) -> bytes:
    """Return the answer that accepts a request with this key."""
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key + guid).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


class Peer:
    """The other end of a stream, driven by hand."""

    def __init__(self, stream: trio.abc.Stream, *, masks: bool) -> None:
        self.stream = stream
        self.parser = Parser()
        self._mask = MASK if masks else b""

    def to_bytes(self, *frames: Frame) -> bytes:
        for frame in frames:
            frame.mask = self._mask
        return b"".join(frame.to_bytes() for frame in frames)

    async def send(self, *frames: Frame) -> None:
        """Send frames in one write."""
        await self.stream.send_all(self.to_bytes(*frames))

    async def read_head(self) -> None:
        """Pass over an HTTP head."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += bytes(await self.stream.receive_some(4096))
        self.parser.receive_data(head.partition(b"\r\n\r\n")[2])

    async def next_frame(self) -> Frame | None:
        """Return the next frame, or None when the bytes have ended."""
        while (frame := self.parser.get_next_frame()) is None:
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self.parser.receive_data(data)
        return frame

    async def rest(self) -> list[tuple[str, bytes]]:
        """Return type and payload of all frames until the bytes end."""
        frames = []
        while (frame := await self.next_frame()) is not None:
            frames.append((frame.type, frame.payload))
        return frames

    async def expect_close(self) -> tuple[int | None, str]:
        """Return code and reason of the next frame, which must be a Close frame."""
        frame = await self.next_frame()
        assert isinstance(frame, CloseFrame), frame
        return frame.code, frame.reason

    async def answer_close(self) -> tuple[int | None, str]:
        """Take a Close frame, answer it, end our bytes; return what it said."""
        code, reason = await self.expect_close()
        await self.send(CloseFrame(code, reason))
        with contextlib.suppress(trio.BrokenResourceError):  # a server has closed at once
            await self.end_sending()
        return code, reason

    async def end_sending(self) -> None:
        """End our bytes; we can still read."""
        assert isinstance(self.stream, trio.abc.HalfCloseableStream)
        await self.stream.send_eof()

    async def answer_pings(self) -> None:
        """Answer pings for ever, and a Close frame: as a healthy peer does."""
        while (frame := await self.next_frame()) is not None:
            if frame.type == "ping":
                await self.send(PongFrame(frame.payload))
            elif isinstance(frame, CloseFrame):
                await self.send(CloseFrame(frame.code, frame.reason))


Streams = tuple[trio.abc.Stream, trio.abc.Stream]


def memory_pair() -> Streams:
    """Return two connected streams that hold any amount."""
    if is_non_blocking():
        return MemoryNetwork(capacity=BOUNDLESS).pair()
    return trio.testing.memory_stream_pair()


def tight_pair(capacity: int = 1000) -> Streams:
    """Return two connected streams that hold next to nothing: `capacity` bytes at most."""
    if is_non_blocking():
        return MemoryNetwork(capacity=capacity).pair()
    return trio.testing.lockstep_stream_pair()


def connection_pair(
    *, streams: Streams | None = None, **options: Any
) -> AbstractAsyncContextManager[ConnectionPair]:
    """Return `trio_wsendpoint.testing.connection_pair()`, over streams of the form."""
    return kit.connection_pair(streams=streams or memory_pair(), **options)


@asynccontextmanager
async def served(
    streams: Streams | None = None, **options: Any
) -> AsyncIterator[tuple[Connection, Peer]]:
    """Open a server's connection to a peer by hand; yield both.

    `streams` are to hold what is written, as memory streams do.
    """
    ours, theirs = streams or memory_pair()
    peer = Peer(theirs, masks=True)
    await theirs.send_all(REQUEST)
    async with accept_endpoint(ours, **options) as connection:
        await peer.read_head()
        yield connection, peer
        await trio.aclose_forcefully(theirs)  # nobody is there to answer our Close frame


@asynccontextmanager
async def connected(
    streams: Streams | None = None, **options: Any
) -> AsyncIterator[tuple[Connection, Peer]]:
    """Open a client's connection to a peer by hand; yield both."""
    ours, theirs = streams or memory_pair()
    peer = Peer(theirs, masks=False)
    options.setdefault("random_bytes", seeded_bytes(SEED))
    await theirs.send_all(response_for(base64.b64encode(seeded_bytes(SEED)(16))))
    async with connect_endpoint("ws://example.test/chat", stream=ours, **options) as connection:
        await peer.read_head()
        yield connection, peer
        await trio.aclose_forcefully(theirs)


class TestStream(trio.abc.Stream):
    """Passes everything on to `inner`, unless told otherwise.

    `chop`: bytes given at a time.  `send_error`, `receive_error`, `close_error`: what is raised.
    `room`: how many bytes are accepted before `send_all` blocks; None for any.
    """

    __test__ = False

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.chop: int | None = None
        self.send_error: BaseException | None = None
        self.receive_error: BaseException | None = None
        self.close_error: BaseException | None = None
        self.on_send: Callable[[bytes], Awaitable[object]] | None = None
        self.writes: list[bytes] = []
        self.closes = 0
        self._room: int | None = None
        self._lot = ParkingLot()
        self._fail_scope = trio.CancelScope()

    @property
    def room(self) -> int | None:
        return self._room

    @room.setter
    def room(self, value: int | None) -> None:
        self._room = value
        self._lot.unpark_all()

    @property
    def unread(self) -> int:
        """How many bytes wait to be read from it."""
        if isinstance(self.inner, MemoryStream):
            return self.inner._incoming.readable
        return len(self.inner.receive_stream._incoming._data)  # type: ignore[attr-defined]

    def fail(self, error: BaseException) -> None:
        """Let the reading that waits raise `error`."""
        self.receive_error = error
        self._fail_scope.cancel()

    async def send_all(self, data: Any) -> None:
        await trio.lowlevel.checkpoint()
        data = bytes(data)
        self.writes.append(data)
        if self.on_send is not None:
            await self.on_send(data)
        if self.send_error is not None:
            raise self.send_error
        while self._room is not None and self._room < len(data):
            if self._room:
                start, data = data[: self._room], data[self._room :]
                self._room = 0
                await self.inner.send_all(start)
            await self._lot.park()
            if self.send_error is not None:
                raise self.send_error
        if self._room is not None:
            self._room -= len(data)
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        with trio.CancelScope() as self._fail_scope:
            if self.receive_error is None:
                return bytes(await self.inner.receive_some(self.chop or max_bytes))
        assert self.receive_error is not None
        raise self.receive_error

    async def aclose(self) -> None:
        self.closes += 1
        try:
            await self.inner.aclose()
        finally:
            if self.close_error is not None:
                raise self.close_error


class HalfStream(TestStream, trio.abc.HalfCloseableStream):
    """A `TestStream` that can end its sending."""

    async def send_eof(self) -> None:
        assert isinstance(self.inner, trio.abc.HalfCloseableStream)
        await self.inner.send_eof()


class NonBlockingTestStream(TestStream, NonBlockingStream):
    """A `TestStream` that also reads and writes without waiting, as sockets do."""

    inner: NonBlockingMemoryStream
    _interrupts = 0

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        if self.receive_error is not None:
            raise self.receive_error
        return self.inner.receive_nowait(self.chop or max_bytes)

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self.send_error is not None:
            raise self.send_error
        size = len(data) if self._room is None else min(len(data), self._room)
        if not size:
            return 0
        sent = self.inner.send_nowait(data[:size])
        self.writes.append(bytes(data[:sent]))
        if self._room is not None:
            self._room -= sent
        return sent

    async def wait_readable(self) -> None:
        with trio.CancelScope() as self._fail_scope:
            await self.inner.wait_readable()

    async def wait_writable(self) -> None:
        interrupts = self._interrupts
        while self._room == 0 and self.send_error is None and self._interrupts == interrupts:
            await self._lot.park()
        await self.inner.wait_writable()

    def interrupt(self) -> None:
        self._interrupts += 1
        self._lot.unpark_all()
        self.inner.interrupt()


class NonBlockingHalfStream(NonBlockingTestStream, HalfStream):
    """One that can also end its sending."""


def half_pair() -> tuple[HalfStream, trio.abc.Stream]:
    """Return a stream that can be told to misbehave, and its other end."""
    ours, theirs = memory_pair()
    return (NonBlockingHalfStream if is_non_blocking() else HalfStream)(ours), theirs


def plain_pair() -> tuple[TestStream, trio.abc.Stream]:
    """Return such a stream that cannot be half closed, and its other end."""
    ours, theirs = memory_pair()
    return (NonBlockingTestStream if is_non_blocking() else TestStream)(ours), theirs


def loud_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged above INFO."""
    return [record for record in caplog.records if record.levelno > logging.INFO]


class Clock:
    """Says how many virtual seconds have passed since it was made."""

    def __init__(self) -> None:
        self._start = trio.current_time()

    def is_at(self, seconds: float, *, times: int = 1) -> bool:
        """Whether it is so late, or so much later as what came may have waited to be read.

        `times`: how often it may have waited.
        """
        late = AWAY * times if is_non_blocking() else 0
        return seconds <= self.now <= round(seconds + late, 6)

    @property
    def now(self) -> float:
        return round(trio.current_time() - self._start, 6)


@asynccontextmanager
async def loses() -> AsyncIterator[None]:
    """Expect the block within to tell that messages which were committed could not be sent."""
    with pytest.raises(ConnectionLost, match="bytes of messages could not be sent"):
        yield


@asynccontextmanager
async def may_lose() -> AsyncIterator[None]:
    """Accept that the block within tells that messages could not be sent."""
    try:
        yield
    except ConnectionLost as error:
        if "could not be sent" not in str(error):
            raise

"""What these tests share: a peer driven by hand, and streams that misbehave on demand.

The peer speaks in frames made by `protocol`, or in raw bytes; it does nothing by itself.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.lowlevel import ParkingLot

from trio_wsendpoint import (
    CloseFrame,
    Connection,
    Frame,
    Parser,
    PongFrame,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint.testing import seeded_bytes

KEY = base64.b64encode(b"the sample nonce")
REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: example.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
MASK = b"\x37\xfa\x21\x3d"
SEED = 7

settle = trio.testing.wait_all_tasks_blocked


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


@asynccontextmanager
async def served(
    streams: Streams | None = None, **options: Any
) -> AsyncIterator[tuple[Connection, Peer]]:
    """Open a server's connection to a peer by hand; yield both.

    `streams` are to hold what is written, as memory streams do.
    """
    ours, theirs = streams or trio.testing.memory_stream_pair()
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
    ours, theirs = streams or trio.testing.memory_stream_pair()
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
        self._readers = ParkingLot()

    @property
    def room(self) -> int | None:
        return self._room

    @room.setter
    def room(self, value: int | None) -> None:
        self._room = value
        self._lot.unpark_all()

    def fail(self, error: BaseException) -> None:
        """Let the reading that waits raise `error`."""
        self.receive_error = error
        self._readers.unpark_all()
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


def half_pair() -> tuple[HalfStream, trio.abc.Stream]:
    """Return a stream that can be told to misbehave, and its other end."""
    ours, theirs = trio.testing.memory_stream_pair()
    return HalfStream(ours), theirs


def plain_pair() -> tuple[TestStream, trio.abc.Stream]:
    """Return such a stream that cannot be half closed, and its other end."""
    ours, theirs = trio.testing.memory_stream_pair()
    return TestStream(ours), theirs


def loud_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged above INFO."""
    return [record for record in caplog.records if record.levelno > logging.INFO]


class Clock:
    """Says how many virtual seconds have passed since it was made."""

    def __init__(self) -> None:
        self._start = trio.current_time()

    @property
    def now(self) -> float:
        return round(trio.current_time() - self._start, 6)

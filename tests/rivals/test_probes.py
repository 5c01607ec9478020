"""The probes find what is wrong with a connection, and nothing wrong with ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.rivals.__main__ import BEGIN, END, PAGE, put, row
from tests.rivals.adapters import ADAPTERS, Adapter, Ours
from tests.rivals.peer import Peer
from tests.rivals.probes import PROBES, Probe, probe, run_once
from trio_wsendpoint import BinaryFrame, Parser, PingFrame, TextFrame

BY_TITLE = {what.title: what for what in PROBES}
SENDS = [what for what in PROBES if "`send`" in what.title]
RECEIVES = [what for what in PROBES if "`receive`" in what.title]
OTHERS = [what for what in PROBES if what not in SENDS + RECEIVES]
LARGE_SEND = BY_TITLE["a `send` of 64 KB cancelled"]
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"\1\2\3\4"


class NaiveTalker:
    """Sends in the caller's cancel scope, and has no deadline: it tears frames and it waits."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.parser = Parser()
        self.frames: list[str | bytes] = []

    async def send(self, message: str | bytes) -> None:
        await self.stream.send_all(self.frame(message))

    def frame(self, message: str | bytes) -> bytes:
        kind = TextFrame if isinstance(message, str) else BinaryFrame
        return kind(message, mask=MASK).to_bytes()

    async def receive(self) -> str | bytes:
        while not self.frames:
            self.parser.receive_data(await self.stream.receive_some(65536))
            while frame := self.parser.get_next_frame():
                text = frame.type == "text"
                self.frames.append(frame.payload.decode() if text else frame.payload)
        return self.frames.pop(0)

    async def aclose(self) -> None:
        await trio.sleep_forever()


class HangingTalker(NaiveTalker):
    """Keeps a lock when it is cancelled, after a frame that is whole."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self.lock = trio.Lock()

    async def send(self, message: str | bytes) -> None:
        while self.lock.locked():
            await trio.sleep(1)
        self.lock.acquire_nowait()
        with trio.CancelScope(shield=True):
            await self.stream.send_all(self.frame(message))
        await trio.lowlevel.checkpoint()
        self.lock.release()


class LosingTalker(HangingTalker):
    """Forgets every third message of bytes, and says that it has sent it."""

    number = 0

    async def send(self, message: str | bytes) -> None:
        self.number += 1
        if self.number % 3 or isinstance(message, str):
            with trio.CancelScope(shield=True):
                await self.stream.send_all(self.frame(message))
        await trio.lowlevel.checkpoint()


class DroppingTalker(NaiveTalker):
    """Drops a message when it is cancelled in `receive`."""

    async def receive(self) -> str | bytes:
        message = await super().receive()
        await trio.lowlevel.checkpoint()
        return message


class FailingTalker(NaiveTalker):
    """Closes the connection when it is cancelled."""

    is_closed = False

    async def send(self, message: str | bytes) -> None:
        if self.is_closed:
            raise ConnectionAbortedError
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.is_closed = True
            raise
        with trio.CancelScope(shield=True):
            await self.stream.send_all(self.frame(message))


class Broken:
    """A library whose connections are of `talker`."""

    name = "broken"
    closed: tuple[type[Exception], ...] = (ConnectionAbortedError,)

    def __init__(self, talker: type[NaiveTalker]) -> None:
        self.talker = talker

    @asynccontextmanager
    async def connect(self, stream: trio.SocketStream) -> AsyncIterator[NaiveTalker]:
        await stream.send_all(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some(1)
        yield self.talker(stream)


# ---- the judgement -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("talker", "what", "outcome"),
    [
        (NaiveTalker, LARGE_SEND, "corrupt"),
        (HangingTalker, LARGE_SEND, "hung"),
        (LosingTalker, SENDS[0], "corrupt"),
        (FailingTalker, LARGE_SEND, "closed"),
        (HangingTalker, SENDS[0], "hung"),
        (DroppingTalker, RECEIVES[0], "corrupt"),
        *((NaiveTalker, what, "hung") for what in OTHERS),
    ],
)
def test_what_is_broken_is_found(talker: type[NaiveTalker], what: Probe, outcome: str) -> None:
    found = Counter(run_once(Broken(talker), what.scenario, count, 1) for count in range(1, 12))
    assert found[outcome] > 0
    assert set(found) <= {outcome, "fine"}
    if "cancelled" not in what.title:
        assert found[outcome] == found.total()


@pytest.mark.parametrize(
    ("data", "violation"),
    [
        (b"\xf1\x80", True),
        (b"\x83\x80", True),
        (b"\x81\x05", True),
        (b"\x80\x80\0\0\0\0", True),
        (b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", True),
        (b"\x01\x80\0\0\0\0\x89\x80\0\0\0\0\x80\x80\0\0\0\0", False),
        (b"\x81", False),
        (b"\x82\xfe\x01", False),
    ],
)
async def test_what_the_peer_takes_for_a_violation(data: bytes, violation: bool) -> None:
    peer = Peer(None)  # type: ignore[arg-type]
    peer.feed(data)
    assert bool(peer.violation) is violation


async def test_the_peer_takes_whole_messages() -> None:
    messages = [b"x" * size for size in (0, 125, 126, 65535, 65536)]
    wire = b"".join(BinaryFrame(message, mask=MASK).to_bytes() for message in messages)
    for size in (1000, len(wire)):
        peer = Peer(None)  # type: ignore[arg-type]
        for start in range(0, len(wire), size):
            peer.feed(wire[start : start + size])
        assert peer.messages == messages
        assert not peer.is_amid_message
        peer.feed(PingFrame(b"", mask=MASK).to_bytes() + wire[:1])
        assert peer.is_amid_message


# ---- the libraries -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", [pytest.param(what, id=what.title) for what in PROBES])
def test_ours_is_sound(what: Probe) -> None:
    few = Probe(what.title, what.scenario, [k for k in what.checkpoints if k % 10 == 0])
    found = probe(Ours(), few, schedules=(0, 1))
    # Two who send more than all buffers hold, and do not read: the deadline ends it.
    # And `aclose` tells that what another task has sent is lost.
    expected = "closed" if "both send" in what.title or "sends to a peer" in what.title else "fine"
    assert set(found) == {expected}


@pytest.mark.parametrize("adapter", [pytest.param(one, id=one.name) for one in ADAPTERS])
def test_each_library_can_be_probed(adapter: Adapter) -> None:
    """Each talks, and a receive that is cancelled loses nothing in any of them."""
    assert run_once(adapter, RECEIVES[0].scenario, 3, seed=1) == "fine"


@pytest.mark.parametrize("adapter", [pytest.param(one, id=one.name) for one in ADAPTERS])
def test_a_seed_decides_the_outcome(adapter: Adapter) -> None:
    runs = [[run_once(adapter, LARGE_SEND.scenario, k, 5) for k in range(3, 7)] for _ in range(2)]
    assert runs[0] == runs[1]


# ---- the page ----------------------------------------------------------------------------------


def test_the_table_goes_between_its_markers() -> None:
    line = row("a probe", "a library", Counter(fine=3, hung=1))
    assert line == "| a probe | a library | 4 | 0 | 1 | 0 | 3 |"
    assert put(f"a\n{BEGIN}\nold\n{END}\nb", line) == f"a\n{BEGIN}\n{line}\n{END}\nb"


def test_the_page_has_every_probe() -> None:
    table = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    for what in PROBES:
        assert table.count(f"| {what.title} |") == len(ADAPTERS)

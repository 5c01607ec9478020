"""What a peer's compressed input may cost: how long one step takes, and how much in all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.connection.helpers import Peer
from tests.deflate.measure import compressed, empty_dynamic_blocks, fixed_blocks, one_block
from tests.streams.helpers import ALWAYS, collect, served
from trio_wsendpoint import (
    BinaryFrame,
    CloseCause,
    Connection,
    ConnectionLost,
    ContinuationFrame,
    DataFrame,
    Deflate,
    Frame,
    TextFrame,
)
from trio_wsendpoint.extensions.engine import Engine
from trio_wsendpoint.protocol import ClientEndpoint, Endpoint, ServerEndpoint
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.testing import connection_pair

MIB = 1024 * 1024
ZEROS = compressed(bytes(MIB))


class Steps(trio.abc.Instrument):
    """Counts what is asked of the library, and keeps the most that one step of a task asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = self.count = 0
        decompressor = Engine.decompressor

        def counting(engine: Engine, window_bits: int) -> Any:
            self.count += 1
            return decompressor(engine, window_bits)

        monkeypatch.setattr(Engine, "decompressor", counting)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.count = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.most = max(self.most, self.count)


async def whole(connection: Connection) -> bytes:
    message = await connection.receive()
    return message if isinstance(message, bytes) else message.encode()


async def in_parts(connection: Connection) -> bytes:
    parts = await collect(connection)
    return b"".join(part.encode() if isinstance(part, str) else part for part in parts)


each_way = pytest.mark.parametrize("receive", [whole, in_parts])
each_callback = pytest.mark.parametrize("on_data_frame", [None, lambda frame: None])

FINAL_BLOCKS = b"\x03\x00" * 20_000 + b"\x00"
ONE_BYTE_EACH = one_block(b"x") * 20_000 + b"\x00"


@each_way
@each_callback
@pytest.mark.parametrize(
    ("wire", "expected"), [(FINAL_BLOCKS, b""), (ONE_BYTE_EACH, b"x" * 20_000)]
)
@pytest.mark.parametrize("count", [1, 3000])
async def test_final_blocks_do_not_hold_the_loop(
    receive: Callable[[Connection], Any],
    on_data_frame: Callable[[DataFrame], None] | None,
    wire: bytes,
    expected: bytes,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.abc.Clock,
) -> None:
    """In one frame or in many; with and without a callback that wants whole frames."""
    size = len(wire) // count + 1
    pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
    deflate = Deflate(threshold=0, max_ratio=None)
    async with served(True, deflate=deflate, on_data_frame=on_data_frame) as (connection, peer):
        steps = Steps(monkeypatch)
        frames: list[DataFrame] = []
        for number, piece in enumerate(pieces, 1):
            kind = ContinuationFrame if frames else TextFrame
            frames.append(kind(fin=number == len(pieces), rsv=0 if frames else 0b100))
            frames[-1].payload = piece
        data = peer.to_bytes(*frames)
        trio.lowlevel.add_instrument(steps)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.stream.send_all, data)
            assert await receive(connection) == expected
        trio.lowlevel.remove_instrument(steps)
        # One read, and what the piece before had left.  Of small frames 64 are a step, of 7 blocks.
        assert 0 < steps.most <= (2 * 64 if count == 1 else 64 * 10)


@pytest.mark.parametrize(
    "wire",
    [
        FINAL_BLOCKS,
        b"\x00\x00\x00\xff\xff" * 10_000 + b"\x00",
        fixed_blocks()[-40_001:],
        empty_dynamic_blocks(4000) + b"\x00",
    ],
    ids=["final", "stored", "fixed", "dynamic"],
)
@each_callback
@pytest.mark.parametrize("role", [ServerEndpoint, ClientEndpoint])
def test_each_step_of_an_endpoint_is_counted(
    role: type[Endpoint], on_data_frame: Any, wire: bytes
) -> None:
    """Input that nothing comes of is as much work as output, for an owner that shares its time."""
    accepted = Deflate().accept_offer([])
    assert accepted is not None
    endpoint = role(extension=accepted[1], on_data_frame=on_data_frame)
    frame = BinaryFrame(rsv=0b100, mask=b"" if role.masks else bytes(4))
    frame.payload = wire
    endpoint.receive_data(frame.to_bytes())
    steps = 0
    while (outcome := endpoint.step()) is Progress.HANDLED:
        steps += 1
        assert endpoint.incoming.inflated <= steps * 65536
    assert not isinstance(outcome, Progress)
    assert outcome.raw == b""
    assert endpoint.incoming.inflated >= len(wire) // 1024 * 65536


# ---- how much in all ---------------------------------------------------------------------------


async def refuse(connection: Connection, receive: Callable[[Connection], Any]) -> None:
    """Receive 19 messages of 1 MiB from 1 KiB, and refuse the twentieth."""
    for _ in range(19):
        assert len(await receive(connection)) == MIB
    with pytest.raises(ConnectionLost, match=r"inflate more than 200 times: Deflate\.max_ratio"):
        await receive(connection)
    assert connection.statistics().close_cause is CloseCause.LIMIT


@each_way
@each_callback
async def test_a_server_refuses_what_inflates_too_much(
    receive: Callable[[Connection], Any], on_data_frame: Any, autojump_clock: trio.abc.Clock
) -> None:
    async with served(True, on_data_frame=on_data_frame) as (connection, peer):
        frame = BinaryFrame(rsv=0b100)
        frame.payload = ZEROS
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_repeatedly, peer, frame, 30)
            await refuse(connection, receive)
        code, reason = await peer.expect_close()
        assert code == 1008
        assert reason == (
            "compressed messages that inflate more than 200 times: Deflate.max_ratio is the limit"
        )


async def send_repeatedly(peer: Peer, frame: Frame, count: int) -> None:
    for _ in range(count):
        await peer.send(frame)


async def test_a_client_refuses_what_inflates_too_much(autojump_clock: trio.abc.Clock) -> None:
    generous: Any = {"deflate": ALWAYS}
    async with connection_pair(handshake=True, client=generous, server=generous) as pair:
        client, server = pair

        async def send() -> None:
            for _ in range(20):
                await server.send(bytes(MIB))
            with pytest.raises(ConnectionLost, match="1008"):
                await server.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await refuse(client, whole)


async def test_without_a_bound(autojump_clock: trio.abc.Clock) -> None:
    async with served(True, deflate=Deflate(max_ratio=None)) as (connection, peer):
        frame = BinaryFrame(rsv=0b100)
        frame.payload = ZEROS
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_repeatedly, peer, frame, 30)
            for _ in range(30):
                assert len(await connection.receive()) == MIB


async def test_a_silence_renews_the_bound(autojump_clock: trio.abc.Clock) -> None:
    async with served(True, heartbeat=None) as (connection, peer):
        frame = BinaryFrame(rsv=0b100)
        frame.payload = ZEROS
        for _ in range(3):
            for _ in range(19):
                await peer.send(frame)
                assert len(await connection.receive()) == MIB
            await trio.sleep(150)


async def test_time_renews_the_bound(autojump_clock: trio.abc.Clock) -> None:
    """A peer whose messages are blank for ever is let go on, if it is slow enough."""
    async with served(True, heartbeat=None) as (connection, peer):
        frame = BinaryFrame(rsv=0b100)
        frame.payload = ZEROS
        for _ in range(60):
            await peer.send(frame)
            assert len(await connection.receive()) == MIB
            await trio.sleep(1 / 15)

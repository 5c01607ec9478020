"""Connections that are served: who gets what, at which price, and how it ends."""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.costs import counted_calls
from tests.hub.helpers import audience, settle
from trio_wsendpoint import (
    ConnectionClosedLocally,
    ConnectionLost,
    Deflate,
    Limits,
)
from trio_wsendpoint.hub import (
    Block,
    Close,
    Delivery,
    DropNewest,
    DropOldest,
    Gap,
    History,
    Item,
    Latest,
    MemoryBackplane,
    Policy,
    Replay,
    open_hub,
)
from trio_wsendpoint.protocol import SharedMessage

#: Bytes that two stuck streams, and the parts of a connection, hold besides the hub's queue.
CAPACITY = 4096
#: A client that reads nothing before its app does, over a stream that holds little.
STUCK: Any = {"capacity": CAPACITY, "client": {"limits": Limits(receive_buffer=1)}}

#: Calls within the hub for a delivery.
MOST_CALLS: dict[type[Policy], int] = {DropOldest: 12, Latest: 16, Block: 12}


async def receive(client: Any, count: int) -> list[str | bytes]:
    with trio.fail_after(60):
        return [await client.receive() for _ in range(count)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note what each `SharedMessage` keeps."""
    kept: list[object] = []
    keep = SharedMessage.keep

    def noting(self: SharedMessage, key: object, frames: Any) -> Any:
        kept.append(key)
        return keep(self, key, frames)

    monkeypatch.setattr(SharedMessage, "keep", noting)
    return kept


@pytest.mark.parametrize("deflate", [None, Deflate(context_takeover=False)])
async def test_a_frame_is_made_once(made: list[object], deflate: Deflate | None) -> None:
    options: Any = {"handshake": True, "server": {"deflate": deflate}}
    async with open_hub() as hub, audience(20, **options) as pairs, trio.open_nursery() as nursery:
        for _, server in pairs:
            nursery.start_soon(hub.serve, server, "t")
        await settle()
        text = "to everyone: " * 20
        await hub.publish("t", text)
        for client, _ in pairs:
            assert await receive(client, 1) == [text]
        assert len(made) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("policy", [DropOldest(), Latest(), Block()], ids=str)
async def test_a_delivery_to_one_that_waits_for_nothing_costs_few_calls(policy: Policy) -> None:
    """A delivery costs about what one of `broadcast` does, which has none of these calls."""
    async with open_hub() as hub, audience(20) as pairs, trio.open_nursery() as nursery:
        for _, server in pairs:
            nursery.start_soon(partial(hub.serve, server, "t", policy=policy))
        await settle()
        called: list[int] = []
        for count in (1, 11):  # what a delivery costs, without what a message does
            with counted_calls("hub") as names:
                for _ in range(count):
                    await hub.publish("t", "x" * 125)
                    await trio.testing.wait_all_tasks_blocked()
            called.append(len(names))
        assert (called[1] - called[0]) / 200 <= MOST_CALLS[type(policy)]
        for client, _ in pairs:
            assert await receive(client, 12) == ["x" * 125] * 12
        nursery.cancel_scope.cancel()


async def test_messages_that_wait_together_leave_together() -> None:
    async with open_hub() as hub, audience(5) as pairs, trio.open_nursery() as nursery:
        for _, server in pairs:
            nursery.start_soon(hub.serve, server, "t")
        await settle()
        texts = [f"{number} " + "x" * 500 for number in range(40)]
        with counted_calls("testing") as names:
            await hub.publish_many([("t", text, None) for text in texts])
            await trio.testing.wait_all_tasks_blocked()
        writes = [name for name in names if name.endswith(("send_nowait", "send_parts_nowait"))]
        assert len(writes) == 5 * 3  # of 8 KiB at most
        for client, _ in pairs:
            assert await receive(client, 40) == texts
        nursery.cancel_scope.cancel()


async def test_a_replay_leaves_in_few_writes() -> None:
    async with open_hub(history=History()) as hub, audience(1) as pairs:
        [(client, server)] = pairs
        texts = [f"{number} " + "x" * 500 for number in range(120)]
        await hub.publish_many([("t", text, None) for text in texts])
        async with trio.open_nursery() as nursery:
            with counted_calls("testing") as names:
                nursery.start_soon(partial(hub.serve, server, "t", last=120))
                assert await receive(client, 120) == texts
            writes = [name for name in names if name.endswith(("send_nowait", "send_parts_nowait"))]
            assert len(writes) < 20
            nursery.cancel_scope.cancel()


async def test_with_one_of_100_stuck_the_others_wait_for_nothing(autojump_clock: object) -> None:
    async with open_hub() as hub, audience(100) as pairs, trio.open_nursery() as nursery:
        for _, server in pairs:
            nursery.start_soon(hub.serve, server, "t")
        await settle()
        late: list[float] = []

        async def read(client: Any) -> None:
            for number in range(100):
                message = await client.receive()
                assert message == f"{number} " + "x" * 5000
                late.append(trio.current_time() - sent[number])

        sent: list[float] = []
        async with trio.open_nursery() as readers:
            for client, _ in pairs[1:]:
                readers.start_soon(read, client)
            for number in range(100):
                sent.append(trio.current_time())
                await hub.publish("t", f"{number} " + "x" * 5000)
                await trio.sleep(0.02)
        assert len(late) == 99 * 100
        assert max(late) <= 0.05
        nursery.cancel_scope.cancel()


async def test_a_dashboard_that_stalled_sees_what_is_new(autojump_clock: object) -> None:
    """The streams hold any amount: only `ahead` bounds what is on the way."""
    async with (
        open_hub() as hub,
        audience(1, capacity=2**40) as [(client, server)],
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: hub.serve(server, "values", policy=Latest()))

        async def publish() -> None:
            while True:
                for key in ("cpu", "disk", "net"):
                    value = f"{key} {trio.current_time()} " + "x" * 400
                    await hub.publish("values", value, key)
                await trio.sleep(0.02)

        nursery.start_soon(publish)
        begin = trio.current_time()
        while trio.current_time() < begin + 2:
            await client.receive()
        await trio.sleep(10)
        back = trio.current_time()
        newest: dict[str, float] = {}
        size = 0
        while trio.current_time() < back + 0.1:
            key, time, _ = str(await client.receive()).split()
            newest[key] = float(time)
            size += 420
        assert set(newest) == {"cpu", "disk", "net"}
        assert min(newest.values()) > back - 1
        # What was ahead, what the client's connection had read for it, and what came in 100 ms.
        assert size < 16 * 1024 + 64 * 1024 + 7 * 3 * 420 + 2 * 420
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("policy", [DropOldest(2**18), DropNewest(2**18), Block(2**18), Latest()])
@pytest.mark.parametrize("size", [100, 5000, 100_000])
async def test_a_stuck_subscriber_holds_its_bound_and_64_kib(
    policy: Any, size: int, autojump_clock: object
) -> None:
    async with (
        open_hub() as hub,
        audience(1, **STUCK) as [(_, server)],
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: hub.serve(server, "t", policy=policy))
        await settle()
        await hub.publish("t", "x" * size)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for number in range(2**20 // (size + 400)):
                # Made anew each time, so that no two share their memory.
                await hub.publish("t", f"{number:9}" + "x" * (size - 9), key=str(number))
            await settle()
            held = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        # Each message is there as text and, once it is on its way, as bytes; two may be beyond
        # the bounds, one in the queue and one in the connection.  The streams hold `CAPACITY`.
        assert held <= 2**18 + 64 * 1024 + 3 * size + 2 * CAPACITY
        [numbers] = hub.statistics().subscribers
        assert numbers.waiting_bytes <= 2**18
        nursery.cancel_scope.cancel()


# ---- how it ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["client", "server"])
async def test_it_ends_with_its_connection(end: str) -> None:
    async with open_hub() as hub, audience(1) as [(client, server)]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.serve, server, "t")
            await settle()
            await hub.publish("t", "1")
            assert await receive(client, 1) == ["1"]
            await (client if end == "client" else server).aclose()
        assert hub.statistics().subscribers == ()
        assert hub.statistics().topics == ()


async def test_it_ends_with_the_hub() -> None:
    async with audience(1) as [(_, server)], trio.open_nursery() as nursery:
        async with open_hub() as hub:
            nursery.start_soon(hub.serve, server, "t")
            await settle()
        assert server.is_open


async def test_close_closes_with_1013(autojump_clock: object) -> None:
    async with open_hub() as hub, audience(1, **STUCK) as [(client, server)]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: hub.serve(server, "t", policy=Close(bytes=10_000)))
            await settle()
            for _ in range(100):
                await hub.publish("t", "x" * 1000)
            await settle()
            with pytest.raises(ConnectionLost) as caught:
                await receive(client, 100)
            assert (caught.value.code, caught.value.reason) == (1013, "too slow")
        assert hub.statistics().cut == 1


async def test_close_of_a_peer_that_takes_nothing_takes_5_s(autojump_clock: object) -> None:
    async with open_hub() as hub, audience(1, **STUCK) as [(_, server)]:
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: hub.serve(server, "t", policy=Close(bytes=10_000)))
            await settle()
            for _ in range(100):
                await hub.publish("t", "x" * 1000)
        assert trio.current_time() - begin == pytest.approx(5)
        with pytest.raises(ConnectionClosedLocally):
            await server.send("")


async def test_one_that_stalls_is_cut(autojump_clock: object) -> None:
    policy = DropOldest(10_000, stalled=3)
    async with open_hub() as hub, audience(1, **STUCK) as [(_, server)]:
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: hub.serve(server, "t", policy=policy))
            await settle()
            for _ in range(100):
                await hub.publish("t", "x" * 1000)
        assert 3 <= trio.current_time() - begin - 5 <= 3.8


async def test_one_that_takes_a_little_is_not_cut(autojump_clock: object) -> None:
    policy = DropOldest(10_000, stalled=20)
    async with (
        open_hub() as hub,
        audience(1, **STUCK) as [(client, server)],
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: hub.serve(server, "t", policy=policy))
        await settle()
        for _ in range(100):
            for _ in range(5):
                await hub.publish("t", "x" * 1000)
            await trio.sleep(1)
            await client.receive()
        assert hub.statistics().cut == 0
        nursery.cancel_scope.cancel()


async def test_one_that_sends_itself_is_not_slow(autojump_clock: object) -> None:
    """The app sends a message in chunks meanwhile: the peer has taken all that there is."""
    policy = Close(bytes=10_000, stalled=3)
    async with open_hub() as hub, audience(1) as [(client, server)], trio.open_nursery() as nursery:
        nursery.start_soon(lambda: hub.serve(server, "t", policy=policy))
        await settle()
        async with server.send_stream("text") as stream:
            await stream.send("begin ")
            await trio.sleep(1)
            for _ in range(20):
                await hub.publish("t", "x" * 1000)
            await trio.sleep(20)
            await stream.send("end")
        assert (await receive(client, 8))[:2] == ["begin end", "x" * 1000]
        [numbers] = hub.statistics().subscribers
        assert (numbers.delivered, numbers.dropped) == (7, 13)
        nursery.cancel_scope.cancel()


# ---- what is sent --------------------------------------------------------------------------------


def tell(item: Item) -> str | None:
    match item:
        case Delivery():
            return f"{item.position} {item.message!r}"
        case Gap():
            return f"gap {item.reason} {item.lost}"
        case Replay():
            return None if item.is_complete else "anew"


async def test_history_then_live(made: list[object]) -> None:
    async with open_hub(history=History()) as hub, audience(2) as pairs:
        places = [(await hub.publish("t", str(number))).position for number in range(250)]
        async with trio.open_nursery() as nursery:
            for _, server in pairs:
                serve = partial(hub.serve, server, "t", after=places[9], wrap=tell)
                nursery.start_soon(serve)
            await settle()
            places += [(await hub.publish("t", str(n))).position for n in range(250, 300)]
            for client, _ in pairs:
                expected = [f"{places[number]} '{number}'" for number in range(10, 300)]
                assert await receive(client, 290) == expected
            nursery.cancel_scope.cancel()


async def test_gaps_are_told_as_the_app_says() -> None:
    backplane = MemoryBackplane()
    async with open_hub(backplane=backplane) as hub, audience(2) as pairs:
        (told, one), (untold, other) = pairs
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: hub.serve(one, "t", wrap=tell))
            nursery.start_soon(hub.serve, other, "t")
            await settle()
            backplane.server.stop()
            backplane.server.start()
            await hub.publish("t", b"1")
            assert await receive(told, 2) == ["gap disconnected None", "None b'1'"]
            assert await receive(untold, 1) == [b"1"]
            nursery.cancel_scope.cancel()


async def test_what_wrap_raises_leaves_serve() -> None:
    def wrap(item: Item) -> str:
        raise ZeroDivisionError

    failed = trio.Event()
    async with open_hub() as hub, audience(2) as [(_, one), (client, other)]:

        async def serve() -> None:
            with pytest.raises(ZeroDivisionError):
                await hub.serve(one, "t", wrap=wrap)
            failed.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            nursery.start_soon(hub.serve, other, "t")
            await settle()
            await hub.publish("t", "1")
            assert await receive(client, 1) == ["1"]
            await failed.wait()
            nursery.cancel_scope.cancel()
        assert one.is_open


async def test_over_a_bounded_stream_nothing_is_lost_or_changes_its_place() -> None:
    limits: Any = {"server": {"limits": Limits(send_buffer=1000)}}
    async with (
        open_hub() as hub,
        audience(1, capacity=777, **limits) as [(client, server)],
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: hub.serve(server, "t", policy=Block(20_000)))
        await settle()

        async def publish() -> None:
            for number in range(300):
                await hub.wait_room("t")
                await hub.publish("t", f"{number} " + "x" * (number * 7 % 900))

        nursery.start_soon(publish)
        got = [str(message).split()[0] for message in await receive(client, 300)]
        assert got == [str(number) for number in range(300)]
        nursery.cancel_scope.cancel()

"""Programs of many tasks that use one connection at once, for many schedules.

`check` runs every program twice in the schedule of one seed, and compares the two traces.
"""

from __future__ import annotations

import hashlib
import random
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from tests.torture.conversation import LONG, SIDES, SMALL, Conversation, Side, quietly
from tests.torture.opening import echo
from trio_wsendpoint import Deflate, connect_endpoint, serve_endpoint
from trio_wsendpoint.testing import (
    Faults,
    MemoryNetwork,
    ScheduleTrace,
    connection_pair,
    run_with_schedule,
    seeded_bytes,
)

Body = Callable[[Conversation, trio.Nursery, random.Random], Awaitable[None]]


async def senders(talk: Conversation, nursery: trio.Nursery, draw: random.Random) -> None:
    """Four tasks send, from both sides; everything arrives in the order in which it was sent."""
    async with trio.open_nursery() as inner:
        for side in SIDES:
            for name in "ab":
                messages = [f"{name}{number}" * draw.randint(1, 40) for number in range(4)]
                inner.start_soon(partial(talk.send, side, *messages))
    await talk.prove()
    assert talk.is_open


async def pings(talk: Conversation, nursery: trio.Nursery, draw: random.Random) -> None:
    """Pings from both sides, beside senders, and one that is cancelled."""

    async def ping(side: Side) -> None:
        assert await talk.connections[side].ping() >= 0

    async with trio.open_nursery() as inner:
        for side in SIDES:
            inner.start_soon(talk.send, side, *[f"{number}" * 50 for number in range(3)])
            for _ in range(3):
                inner.start_soon(ping, side)
        with trio.move_on_after(draw.choice([0, 0.001])):
            await ping("client")
    await talk.prove()
    assert talk.is_open


async def cancelled_senders(talk: Conversation, nursery: trio.Nursery, draw: random.Random) -> None:
    """Of several senders some are cancelled; what was sent arrives, and nothing else."""

    async def send(messages: list[str], scope: trio.CancelScope) -> None:
        with scope:
            await talk.send("client", *messages)

    scopes = [trio.CancelScope() for _ in range(4)]
    async with trio.open_nursery() as inner:
        for number, scope in enumerate(scopes):
            inner.start_soon(send, [f"{number} {part}" * 20 for part in range(3)], scope)
        for scope in scopes[::2]:
            for _ in range(draw.randint(1, 12)):
                await trio.lowlevel.checkpoint()
            scope.cancel()
    await talk.prove()
    assert talk.is_open


async def closers(talk: Conversation, nursery: trio.Nursery, draw: random.Random) -> None:
    """Both sides close, in several tasks, while others send and ping."""

    async def close(side: Side, turns: int) -> None:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        await talk.connections[side].aclose()

    async with trio.open_nursery() as inner:
        for side in SIDES:
            inner.start_soon(quietly, talk.send, side, *["x" * 90] * 3)
            inner.start_soon(quietly, talk.connections[side].ping)
            inner.start_soon(talk.connections[side].wait_closed)
            for _ in range(2):
                inner.start_soon(close, side, draw.randint(0, 20))
    await talk.check_closed()


async def stream_and_send(talk: Conversation, nursery: trio.Nursery, draw: random.Random) -> None:
    """A message in chunks, beside senders who wait for its end, and pings that do not."""

    async def stream(name: str) -> None:
        chunks = [f"{name}{number}" * draw.randint(1, 30) for number in range(4)]
        async with talk.client.send_stream("text") as sender:
            for chunk in chunks:
                await sender.send(chunk)
        talk.sent["client"].append("".join(chunks))

    async with trio.open_nursery() as inner:
        for name in "ab":
            inner.start_soon(stream, name)
            inner.start_soon(talk.send, "client", *[name * 30] * 2)
        inner.start_soon(talk.client.ping)
    await talk.prove()
    assert talk.is_open


async def over_a_pair(body: Body, seed: int) -> None:
    """Run `body` over two connections, whose streams are of the form, and chop, by the seed."""
    draw = random.Random(seed)
    network = MemoryNetwork(
        nonblocking=bool(seed & 1),
        capacity=draw.choice([30, 100, 1000]),
        client=Faults(chop=draw.choice([7, 60, 500]), seed=seed),
        server=Faults(chop=draw.choice([7, 60, 500]), seed=seed + 1),
    )
    options: Any = {
        "limits": SMALL,
        "deflate": draw.choice([None, Deflate()]),
        "random_bytes": seeded_bytes(seed),
    }
    with trio.fail_after(4 * LONG):
        async with connection_pair(
            streams=network.pair(), handshake=True, client=options, server=options
        ) as pair:
            talk = Conversation(*pair)
            async with trio.open_nursery() as nursery:
                for side in SIDES:
                    nursery.start_soon(talk.collect, side)
                await body(talk, nursery, draw)
                nursery.cancel_scope.cancel()
    assert network.open_streams == ()


async def serving(seed: int) -> None:
    """A server that is closed while its clients come and go."""
    draw = random.Random(seed)
    network = MemoryNetwork(nonblocking=bool(seed & 1), client=Faults(chop=50, seed=seed))
    answered: list[str | bytes] = []

    async def visit(turns: int) -> None:
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        try:
            stream = await network.connect()
        except OSError:
            return
        async with connect_endpoint(
            "ws://example.test/", stream=stream, random_bytes=seeded_bytes(seed)
        ) as connection:
            await connection.send("x" * 30)
            answered.append(await connection.receive())

    async def come() -> None:
        await quietly_refused(visit, draw.randint(0, 30))

    with trio.fail_after(LONG):
        async with (
            trio.open_nursery() as nursery,
            serve_endpoint(echo, listeners=[network.listen(backlog=2)], limits=SMALL) as server,
        ):
            for _ in range(4):
                nursery.start_soon(come)
            for _ in range(draw.randint(0, 60)):
                await trio.lowlevel.checkpoint()
            if draw.random() < 0.5:
                await server.aclose()
    assert set(answered) <= {"x" * 30}
    assert network.open_streams == ()


async def quietly_refused(call: Callable[..., Awaitable[None]], *args: object) -> None:
    from tests.torture.opening import ENDINGS

    try:
        await call(*args)
    except ENDINGS:
        pass


PROGRAMS: dict[str, Callable[[int], Awaitable[None]]] = {
    **{
        body.__name__: partial(over_a_pair, body)
        for body in (senders, pings, cancelled_senders, closers, stream_and_send)
    },
    "serving": serving,
}


def trace(name: str, seed: int) -> str:
    """Run a program in the schedule of `seed`, and return a digest of its trace."""
    written = ScheduleTrace()
    run_with_schedule(PROGRAMS[name], seed, seed=seed, instruments=[written])
    return hashlib.sha256("\n".join(written.steps).encode()).hexdigest()


def check(seed: int) -> str:
    """Run every program twice; return what is wrong, "" if nothing is."""
    faults: list[str] = []
    for name in PROGRAMS:
        try:
            if trace(name, seed) != trace(name, seed):
                faults.append(f"{name}: seed {seed} has two traces")
        except Exception:  # noqa: BLE001 - whatever it is, it is told
            faults.append(f"{name}: seed {seed}: {traceback.format_exc()}")
    return "\n".join(faults)

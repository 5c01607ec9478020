"""Over real sockets: a handler that does not receive, and connections that do nothing.

Under the real clock, because what is shown is that the system wakes nobody, or somebody, in time.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import trio
import trio.abc

from trio_wsendpoint import Connection, ConnectionClosed, Timeouts, connect_endpoint, serve_endpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sockets are read by the app on POSIX")

LOCAL: dict[str, Any] = {"host": "127.0.0.1", "timeouts": Timeouts(grace=0.01, answer=0.2)}


@pytest.fixture
def run_with_the_real_clock() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Return what runs a program, for a minute at most: another program may hold this one up."""

    def run(main: Callable[[], Awaitable[None]], *instruments: trio.abc.Instrument) -> None:
        async def bounded() -> None:
            with trio.fail_after(60):
                await main()

        trio.run(bounded, instruments=instruments)

    return run


async def sleeps(_: Connection) -> None:
    await trio.sleep_forever()


async def only_sends(connection: Connection) -> None:
    while True:
        await connection.send("news")
        await trio.sleep(0.01)


async def has_received(connection: Connection) -> None:
    await connection.receive()
    await trio.sleep_forever()


@pytest.mark.parametrize("behaviour", [sleeps, only_sends, has_received])
def test_a_handler_that_does_not_receive(
    run_with_the_real_clock, behaviour: Callable[[Connection], Awaitable[None]]
) -> None:
    """Its peer's pings are answered, and its peer's close is seen."""
    ended: list[bool] = []

    async def handler(connection: Connection) -> None:
        async with trio.open_nursery() as nursery:

            async def behave() -> None:
                with suppress(ConnectionClosed):
                    await behaviour(connection)

            nursery.start_soon(behave)
            await connection.wait_closed()
            ended.append(True)
            nursery.cancel_scope.cancel()

    async def main() -> None:
        async with (
            serve_endpoint(handler, 0, **LOCAL, heartbeat=None) as server,
            connect_endpoint(server.urls[0], heartbeat=None) as client,
            trio.open_nursery() as nursery,
        ):

            async def read() -> None:
                with suppress(ConnectionClosed):
                    async for message in client:
                        assert message == "news"

            nursery.start_soon(read)
            if behaviour is has_received:  # else the close would wait for it to be taken
                await client.send("hello")
            for _ in range(3):
                with trio.fail_after(60):
                    await client.ping()
                await trio.sleep(0.1)  # the handler is away again
            with trio.fail_after(60):
                await client.aclose()
            with trio.fail_after(60):
                while not ended:
                    await trio.sleep(0.01)

    run_with_the_real_clock(main)


def test_a_ping_is_answered_though_nobody_waits_for_the_end(run_with_the_real_clock) -> None:
    """Not even `wait_closed()` is called: the heartbeat has the reader task read."""

    async def main() -> None:
        async with (
            serve_endpoint(sleeps, 0, **LOCAL, heartbeat=None) as server,
            connect_endpoint(server.urls[0]) as client,
        ):
            for _ in range(3):
                with trio.fail_after(60):
                    await client.ping()
                await trio.sleep(0.1)
            await client.aclose()
            (connection,) = server.connections
            with trio.fail_after(60):
                await connection.wait_closed()

    run_with_the_real_clock(main)


class Wakeups(trio.abc.Instrument):
    """Counts how often the run loop has come back from waiting, and which tasks ran then."""

    def __init__(self) -> None:
        self.is_counting = False
        self.waits = 0
        self.ran: list[str] = []

    async def count_for(self, seconds: float) -> int:
        """Return how often it does so in these seconds: once, for the task that asks."""
        self.waits, self.ran = 0, []
        self.is_counting = True
        await trio.sleep(seconds)
        self.is_counting = False
        return self.waits

    def after_io_wait(self, timeout: float) -> None:
        if self.is_counting and timeout > 0:
            self.waits += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.is_counting:
            self.ran.append(task.name)


@pytest.mark.parametrize("waits_in_receive", [True, False])
def test_an_idle_server_does_not_tick(run_with_the_real_clock, waits_in_receive: bool) -> None:
    """Whether the handlers wait in `receive()` or elsewhere, nothing runs until a beat is due."""
    count = 50
    wakeups = Wakeups()

    async def handler(connection: Connection) -> None:
        if waits_in_receive:
            async for _ in connection:
                pass
        else:
            await connection.wait_closed()

    async def main() -> None:
        async with serve_endpoint(handler, 0, **LOCAL) as server, AsyncExitStack() as stack:
            for _ in range(count):
                await stack.enter_async_context(connect_endpoint(server.urls[0]))
            while await wakeups.count_for(0.1) > 1:
                pass  # the clients are away from receive(): their reader tasks take over
            waits = await wakeups.count_for(0.5)
            assert len(server.connections) == count
        # One wait, and it ends with this task's sleep; the next beats are due after 15 s.
        assert waits == 1, wakeups.ran
        assert len(wakeups.ran) == 1, wakeups.ran

    run_with_the_real_clock(main, wakeups)

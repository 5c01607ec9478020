"""A worker in this process: what it says to its parent, which the test is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tests.workers.test_state import STATE
from trio_wsendpoint import ConnectionClosed, connect_endpoint, serve_endpoint
from trio_wsendpoint.workers import Worker, WorkersState
from trio_wsendpoint.workers.messages import LineReader, Orders, encode


class ParentOfTest:
    """The other end of the pipe: `url` leads to the shared socket."""

    def __init__(self, channel: socket.socket, url: str) -> None:
        channel.setblocking(False)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(channel))
        self.url = url
        self._reader = LineReader()
        self._messages: list[dict[str, Any]] = []

    async def hear(self, key: str) -> dict[str, Any]:
        """Return the next message that has `key`; those before are dropped."""
        with trio.fail_after(60):
            while True:
                while self._messages:
                    message = self._messages.pop(0)
                    if key in message:
                        return message
                data = await self.stream.receive_some()
                assert data, "the worker has closed its pipe"
                self._messages += self._reader.feed(data)

    async def hear_last(self) -> dict[str, Any]:
        """Return the last message, once the worker has closed its pipe."""
        with trio.fail_after(60):
            while data := await self.stream.receive_some():
                self._messages += self._reader.feed(data)
        return self._messages[-1]

    async def answer(self) -> None:
        """Answer the next question with the state of the test."""
        asked = await self.hear("ask")
        await self.stream.send_all(encode({"answer": asked["ask"], "state": STATE.to_message()}))


@asynccontextmanager
async def a_worker() -> AsyncIterator[tuple[Worker, ParentOfTest]]:
    ours, theirs = socket.socketpair()
    shared = socket.create_server(("127.0.0.1", 0))
    port = shared.getsockname()[1]
    number = shared.detach()
    before = os.fstat(number)
    orders = Orders(
        place=1,
        number=7,
        target={},
        arguments=[],
        sockets=[(number, True)],
        drain=0.0,
        log=None,
        path=[],
    )
    parent = ParentOfTest(ours, f"ws://127.0.0.1:{port}/")
    try:
        yield Worker(orders, theirs), parent
    finally:
        await trio.aclose_forcefully(parent.stream)
        with contextlib.suppress(OSError):  # which a server has closed
            if os.fstat(number).st_ino == before.st_ino:
                os.close(number)


async def echo(connection) -> None:
    async for message in connection:
        await connection.send(message)


async def test_it_says_that_it_is_ready_reports_and_drains() -> None:
    async def main(worker: Worker, word: str) -> None:
        assert word == "argument"
        assert repr(worker) == "<Worker 7, place 1>"
        await worker.serve(echo)
        ended.append(True)

    ended: list[bool] = []
    async with a_worker() as (worker, parent), trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, main, "argument")
        await parent.hear("ready")
        async with connect_endpoint(parent.url) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as caught:
                await connection.receive()
            assert caught.value.code == 1012
        last = await parent.hear_last()
        assert last["report"]["statistics"]["messages_received"] == 1
        assert last["report"]["metrics"]["openings"] == {"opened": [1]}
        assert ended == [True]


async def test_it_asks_for_the_state_of_all() -> None:
    found: list[WorkersState] = []

    async def main(worker: Worker) -> None:
        found.append(await worker.fetch_state())
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask, worker)

    async def ask(worker: Worker) -> None:
        found.append(await worker.fetch_state())

    async with a_worker() as (worker, parent), trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, main)
        for _ in range(4):
            await parent.answer()
    assert found == [STATE] * 4


async def test_one_that_is_told_to_stop_before_it_is_ready_is_cancelled() -> None:
    began = trio.Event()

    async def main(worker: Worker) -> None:
        began.set()
        await trio.sleep_forever()

    async with a_worker() as (worker, _), trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, main)
        await began.wait()
        signal.raise_signal(signal.SIGTERM)


async def test_what_main_raises_comes_out_as_itself() -> None:
    async def main(worker: Worker) -> None:
        raise LookupError("the app's")

    async with a_worker() as (worker, _):
        with pytest.raises(LookupError, match="the app's"):
            await worker.run(main)


async def test_it_outlives_a_parent_that_is_gone_until_the_lifeline_ends_it() -> None:
    done = trio.Event()

    async def main(worker: Worker) -> None:
        await worker.wait_stopping()
        done.set()

    async with a_worker() as (worker, parent), trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, main)
        await parent.hear("report")
        await parent.stream.aclose()
        async with serve_endpoint(echo, 0):  # it has turns meanwhile
            await trio.testing.wait_all_tasks_blocked()
        worker_scope = nursery.cancel_scope
        assert not done.is_set()
        worker_scope.cancel()


async def test_a_server_that_is_closed_otherwise_ends_the_attendance() -> None:
    async def main(worker: Worker) -> None:
        async with (
            serve_endpoint(echo, listen=worker.listen, instruments=[worker.metrics]) as server,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(worker.attend, server)
            await server.aclose()

    async with a_worker() as (worker, _):
        await worker.run(main)


async def test_options_of_the_server_are_checked_as_ever() -> None:
    async def main(worker: Worker) -> None:
        await worker.serve(echo, port=3)  # type: ignore[call-arg]

    async with a_worker() as (worker, _):
        with pytest.raises(TypeError, match="serve_endpoint"):
            await worker.run(main)

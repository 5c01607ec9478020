"""examples/dashboard.py: as a program, and with its 500 clients in virtual time."""

from __future__ import annotations

import json
import runpy
from typing import Any

import trio

from tests.examples.programs import EXAMPLES, PATIENCE, example
from trio_wsendpoint import Limits, connect_endpoint, serve_endpoint
from trio_wsendpoint.hub import History, open_hub
from trio_wsendpoint.testing import MemoryNetwork

CLIENTS = 500


async def test_it_shows_every_gauge_and_has_a_page() -> None:
    async with example("dashboard.py", "0") as server:
        url = await server.read_url()
        address = url.removeprefix("http://").rstrip("/")
        gauges: set[str] = set()
        with trio.fail_after(PATIENCE):
            async with connect_endpoint(f"ws://{address}/") as client:
                while len(gauges) < 5:
                    gauges.add(json.loads(await client.receive())["gauge"])
            host, _, port = address.rpartition(":")
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
                page = b"".join([data async for data in stream])
        assert page.startswith(b"HTTP/1.1 200")
        assert b"<title>Dashboard</title>" in page
        await server.stop()


async def test_500_clients_get_50_updates_a_second(autojump_clock: object) -> None:
    names: dict[str, Any] = runpy.run_path(str(EXAMPLES / "dashboard.py"))
    network = MemoryNetwork()
    late: list[float] = []

    async def watch(stream: trio.abc.Stream) -> None:
        async with connect_endpoint("ws://dashboard.test/", stream=stream) as client:
            begin = trio.current_time()
            for _ in range(5):
                update = json.loads(await client.receive())
                if update["time"] > begin:
                    late.append(trio.current_time() - update["time"])

    async with (
        open_hub(history=History(entries=5)) as hub,
        trio.open_nursery() as nursery,
        serve_endpoint(names["Dashboard"](hub).watch, listeners=[network.listen()]),
    ):
        nursery.start_soon(names["measure"], hub)
        async with trio.open_nursery() as clients:
            for _ in range(CLIENTS):
                clients.start_soon(watch, await network.connect())
        nursery.cancel_scope.cancel()
    assert len(late) >= CLIENTS
    assert max(late) <= 0.001  # as they are rounded


async def test_a_client_that_stalls_for_a_minute_gets_what_is_new(
    autojump_clock: object,
) -> None:
    """It reads what was on its way, 16 KiB, and then what is new: not the 3,000 that it missed."""
    names: dict[str, Any] = runpy.run_path(str(EXAMPLES / "dashboard.py"))
    network = MemoryNetwork()
    async with (
        open_hub(history=History(entries=5)) as hub,
        trio.open_nursery() as nursery,
        serve_endpoint(names["Dashboard"](hub).watch, listeners=[network.listen()]),
    ):
        nursery.start_soon(names["measure"], hub)
        limits, stream = Limits(receive_buffer=1), await network.connect()
        async with connect_endpoint("ws://x.test/", stream=stream, limits=limits) as client:
            await client.receive()
            await trio.sleep(60)
            resumed, old = trio.current_time(), 0
            newest = dict.fromkeys(names["GAUGES"], 0.0)
            while min(newest.values()) < resumed - 1:
                update = json.loads(await client.receive())
                newest[update["gauge"]] = update["time"]
                old += update["time"] < resumed - 1
            assert trio.current_time() <= resumed + 0.1
            assert old * len(json.dumps(update)) <= 20_000
        nursery.cancel_scope.cancel()

"""A network in memory: who may connect when, and that what is left open shows."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import connect_endpoint, serve_endpoint
from trio_wsendpoint.testing import (
    Faults,
    MemoryNetwork,
    MemoryStream,
    NonBlockingMemoryStream,
)


@pytest.mark.parametrize("nonblocking", [False, True])
async def test_a_server_and_a_client(nonblocking: bool, autojump_clock) -> None:
    network = MemoryNetwork(nonblocking=nonblocking)

    async def echo(connection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve_endpoint(echo, listeners=[network.listen()]) as server:
        async with connect_endpoint("ws://server/", stream=await network.connect()) as client:
            await client.send("there")
            assert await client.receive() == "there"
            assert sorted(stream.side for stream in network.open_streams) == ["client", "server"]
        assert server.urls == ()
    assert network.open_streams == ()
    assert network.open_listeners == ()


@pytest.mark.parametrize("nonblocking", [False, True])
async def test_over_tls(nonblocking: bool, autojump_clock, server_context, client_context) -> None:
    network = MemoryNetwork(nonblocking=nonblocking)

    async def greet(connection) -> None:
        await connection.send("welcome")

    async with (
        serve_endpoint(greet, listeners=[network.listen()], ssl_context=server_context),
        connect_endpoint(
            "wss://example.test/", stream=await network.connect(), ssl_context=client_context
        ) as client,
    ):
        assert await client.receive() == "welcome"
    assert network.open_streams == ()


async def test_a_listener_accepts_in_order() -> None:
    network = MemoryNetwork()
    listener = network.listen()
    clients = [await network.connect() for _ in range(3)]
    for number, client in enumerate(clients):
        await client.send_all(bytes([number]))
    for number in range(3):
        stream = await listener.accept()
        assert stream.side == "server"
        assert await stream.receive_some() == bytes([number])


async def test_accept_waits_in_any_number_of_tasks() -> None:
    network = MemoryNetwork()
    listener = network.listen()
    accepted: list[MemoryStream] = []

    async def accept() -> None:
        accepted.append(await listener.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        nursery.start_soon(accept)
        await trio.testing.wait_all_tasks_blocked()
        await network.connect()
        await network.connect()
    assert len(accepted) == 2


async def test_a_full_backlog_lets_clients_wait(autojump_clock) -> None:
    network = MemoryNetwork()
    listener = network.listen(backlog=1)
    await network.connect()
    with trio.move_on_after(5) as scope:
        await network.connect()
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.connect)
        await trio.testing.wait_all_tasks_blocked()
        await listener.accept()
    assert len(listener.waiting) == 1
    with pytest.raises(ValueError, match="backlog"):
        network.listen("other", backlog=0)


async def test_nobody_listens() -> None:
    network = MemoryNetwork()
    with pytest.raises(ConnectionRefusedError):
        await network.connect()
    listener = network.listen()
    with pytest.raises(OSError, match=r".") as caught:
        network.listen()
    assert caught.value.errno == errno.EADDRINUSE
    await listener.aclose()
    await listener.aclose()
    with pytest.raises(ConnectionRefusedError):
        await network.connect()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    assert repr(listener) == "<MemoryListener server closed>"
    assert network.open_listeners == ()
    assert repr(network.listen()) == "<MemoryListener server>"


async def test_closing_a_listener_resets_its_backlog_and_wakes_everyone() -> None:
    network = MemoryNetwork()
    listener = network.listen(backlog=1)
    client = await network.connect()

    async def expect(error: type[Exception], call) -> None:
        with pytest.raises(error):
            await call()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, ConnectionRefusedError, network.connect)
        await trio.testing.wait_all_tasks_blocked()
        await listener.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    other = network.listen("other")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, trio.ClosedResourceError, other.accept)
        await trio.testing.wait_all_tasks_blocked()
        await other.aclose()
    assert network.open_streams == (client,)


async def test_what_a_network_is_told_and_what_a_connection_is() -> None:
    seen: list[str] = []
    network = MemoryNetwork(
        nonblocking=False,
        capacity=100,
        client=Faults(reset_at=0),
        on_operation=lambda stream: seen.append(stream.side),
    )
    network.listen()
    client = await network.connect()
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")
    assert type(client) is MemoryStream
    client = await network.connect(nonblocking=True, client=Faults())
    assert isinstance(client, NonBlockingMemoryStream)
    assert client.send_nowait(bytes(200)) == 100
    assert seen == ["client", "client"]
    network.reset()
    with pytest.raises(trio.BrokenResourceError):
        client.send_nowait(b"x")


# ---- clients in one step -----------------------------------------------------------------------


async def greet(connection):
    await connection.send(f"{connection.request.host} {connection.request.target}")


@pytest.mark.parametrize(
    ("host", "port", "listener"),
    [
        ("server", 80, "server"),
        ("a.test", 80, "a.test"),
        ("a.test", 81, "a.test:81"),
        ("b.test", 80, "server"),
    ],
)
async def test_a_host_and_a_port_name_a_listener(host, port, listener) -> None:
    network = MemoryNetwork()
    listeners = {name: network.listen(name) for name in ("server", "a.test", "a.test:81")}
    stream = await network.open_stream(host, port)
    with trio.fail_after(1):
        accepted = await listeners[listener].accept()
    assert {accepted, stream} == set(network.open_streams)


async def test_tls(server_context, client_context, autojump_clock) -> None:
    network = MemoryNetwork()
    listener = network.listen("example.test:443")
    async with (
        serve_endpoint(greet, listeners=[listener], ssl_context=server_context),
        network.connect_endpoint("wss://example.test/x", ssl_context=client_context) as connection,
    ):
        assert await connection.receive() == "example.test /x"


async def test_the_default_url():
    network = MemoryNetwork()
    async with (
        serve_endpoint(greet, listeners=[network.listen()]),
        network.connect_endpoint() as connection,
    ):
        assert await connection.receive() == "server /"


async def test_options_go_to_the_client():
    network = MemoryNetwork()
    connect: Any = network.connect_endpoint
    with pytest.raises(TypeError, match="has no option 'max_size'"):
        connect("ws://server/", max_size=1)
    with pytest.raises(ConnectionRefusedError):
        async with network.connect_endpoint("ws://server/"):
            raise AssertionError

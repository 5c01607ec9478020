"""Opening, in either role: whoever is struck, both streams end up closed."""

from __future__ import annotations

import functools
import ssl
from typing import Any

import trio
import trustme

from tests.torture.conversation import LONG, SMALL
from trio_wsendpoint import (
    Connection,
    ConnectionClosed,
    Deflate,
    HandshakeError,
    accept_endpoint,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.testing import Run
from trio_wsendpoint.transport.any_tls import over_tls

#: What the end of a connection, or its not coming to be, raises.
ENDINGS = (ConnectionClosed, HandshakeError, OSError, trio.BrokenResourceError)


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


async def echo_over(stream: trio.abc.Stream, options: dict[str, Any]) -> str:
    """Be the server; say how it ended."""
    try:
        async with accept_endpoint(stream, **options) as connection:
            await echo(connection)
    except ENDINGS as error:
        return type(error).__name__
    return "in order"


async def ask(run: Run, stream: trio.abc.Stream, options: dict[str, Any]) -> list[str | bytes]:
    """Be the client, for two round trips; raises if an answer is wrong."""
    answers: list[str | bytes] = []
    url = "wss://example.test/" if "ssl_context" in options else "ws://example.test/"
    try:
        async with connect_endpoint(
            url, stream=stream, random_bytes=run.random_bytes, **options
        ) as connection:
            run.watch(connection)
            for question in ("x" * 30, b"y" * 30):
                await connection.send(question)
                answers.append(await connection.receive())
                assert answers[-1] == question
    except ENDINGS:
        if not run.injector.is_injected:
            raise
    return answers


async def handshake_of_client(run: Run, *, deflate: Deflate | None = None) -> None:
    options = {"limits": SMALL, "deflate": deflate}
    client, server = run.network.pair(client=run.faults(40), server=run.faults(40))
    with trio.fail_after(LONG):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo_over, server, options)
            end = await run.victim(ask, run, client, options)
            if not run.injector.is_injected:
                assert end.value is not None
                assert len(end.value) == 2


async def handshake_of_server(run: Run, *, deflate: Deflate | None = None) -> None:
    options = {"limits": SMALL, "deflate": deflate}
    client, server = run.network.pair(client=run.faults(40), server=run.faults(40))
    with trio.fail_after(LONG):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, run, client, options)
            end = await run.victim(echo_over, server, options)
            if not run.injector.is_injected:
                assert end.value == "in order"


async def accept_and_connect(run: Run) -> None:
    """Both sides over a listener, with their owner as the victim."""
    options: dict[str, Any] = {"limits": SMALL}

    async def serve(listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        async with listener:
            await echo_over(await listener.accept(), options)

    async def talk() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, run.network.listen())
            try:
                await ask(run, await run.network.connect(), options)
            except OSError:
                nursery.cancel_scope.cancel()
                raise

    with trio.fail_after(LONG):
        await run.victim(talk)
    for listener in run.network.open_listeners:  # its task had not begun
        await listener.aclose()
    for stream in run.network.open_streams:  # the one that nobody has accepted, or taken
        await trio.aclose_forcefully(stream)


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's and a server's context."""
    ca = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("example.test").configure_cert(server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    return client, server


async def tls(run: Run) -> None:
    """A client and a server over TLS, from the first byte to the last; the client is struck."""
    for_client, for_server = contexts()
    async with serve_endpoint(
        echo, listeners=[run.network.listen()], ssl_context=for_server, limits=SMALL
    ):
        stream = await run.network.connect()
        with trio.fail_after(LONG):
            end = await run.victim(ask, run, stream, {"ssl_context": for_client, "limits": SMALL})
        if not run.injector.is_injected:
            assert end.value is not None
            assert len(end.value) == 2
        if not end.is_complete and not stream.is_closed:
            raise AssertionError("the client was struck, and has left its stream open")


async def tls_of_server(run: Run) -> None:
    """The same, and the server is struck."""
    for_client, for_server = contexts()
    client, server = run.network.pair()
    transport = over_tls(server, for_server, server_side=True)
    with trio.fail_after(LONG):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, run, client, {"ssl_context": for_client, "limits": SMALL})
            end = await run.victim(echo_over, transport, {"limits": SMALL})
            if not run.injector.is_injected:
                assert end.value == "in order"


async def compressed_client(run: Run) -> None:
    await handshake_of_client(run, deflate=Deflate())


async def compressed_server(run: Run) -> None:
    await handshake_of_server(run, deflate=Deflate())


__all__ = [
    "accept_and_connect",
    "compressed_client",
    "compressed_server",
    "handshake_of_client",
    "handshake_of_server",
    "tls",
    "tls_of_server",
]

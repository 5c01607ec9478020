"""The programs that a Ctrl-C meets at every line: each opens, talks and closes in one way.

A listener, or a stream, is the library's from where `async with` is entered: until then it is the
program's own, and the peers, which may be struck there, close theirs themselves.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import trio

from tests.torture.lines import LineRun, Program
from tests.torture.opening import ENDINGS, contexts, echo
from trio_wsendpoint import (
    Connection,
    Deflate,
    EndpointServer,
    accept_endpoint,
    broadcast,
    connect_endpoint,
    run_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.testing import MemoryStream

URL = "ws://example.test/"


async def echo_over(stream: MemoryStream, **options: Any) -> None:
    """Be the server of one stream, as a peer."""
    try:
        with closing(stream):
            async with accept_endpoint(stream, **options) as connection:
                await echo(connection)
    except ENDINGS:
        return


async def ask_over(run: LineRun, stream: MemoryStream, *, leave: bool = True) -> None:
    """Be the client of one stream, as a peer: for one round trip, or until it is told to go."""
    try:
        with closing(stream):
            async with connect_endpoint(URL, stream=stream, **run.options) as connection:
                await connection.send("question")
                assert await connection.receive() == "question"
                if not leave:
                    await connection.wait_closed()
    except ENDINGS:
        return


async def with_client(run: LineRun, talk: Any, *, start: int, **options: Any) -> None:
    """Be a client; count from `start`: 0 the opening, 1 the talk, 2 the leaving."""
    ours, theirs = run.network.pair()
    run.beside.start_soon(lambda: echo_over(theirs, **options))
    context = connect_endpoint(URL, stream=ours, **run.options, **options)
    if start == 0:
        run.start()
    async with context as connection:
        if start == 1:
            run.start()
        await talk(connection)
        if start == 2:
            run.start()


async def nothing(connection: Connection) -> None:
    """Say nothing."""


async def client_opens(run: LineRun) -> None:
    await with_client(run, nothing, start=0)


async def client_opens_compressed(run: LineRun) -> None:
    async def talk(connection: Connection) -> None:
        await connection.send("x" * 100)
        assert await connection.receive() == "x" * 100

    await with_client(run, talk, start=0, deflate=Deflate())


async def client_talks(run: LineRun) -> None:
    async def talk(connection: Connection) -> None:
        for question in ("one", b"two", "three" * 500):
            await connection.send(question)
            assert await connection.receive() == question
        connection.send_nowait("four")
        async for answer in connection:
            assert answer == "four"
            break

    await with_client(run, talk, start=1)


async def client_leaves(run: LineRun) -> None:
    async def talk(connection: Connection) -> None:
        await connection.send("unread")

    await with_client(run, talk, start=2)


async def client_closes(run: LineRun) -> None:
    async def talk(connection: Connection) -> None:
        await connection.send("unread")
        run.start()
        await connection.aclose(1001, "going")
        await connection.wait_closed()

    await with_client(run, talk, start=3)


async def client_fails(run: LineRun) -> None:
    """Leave the block with an error of its own."""

    async def talk(connection: Connection) -> None:
        run.start()
        raise ZeroDivisionError

    try:
        await with_client(run, talk, start=3)
    except ZeroDivisionError:
        return


async def client_is_cancelled(run: LineRun) -> None:
    async def talk(connection: Connection) -> None:
        run.start()
        scope.cancel()
        await trio.sleep_forever()

    with trio.CancelScope() as scope:
        await with_client(run, talk, start=3)


async def ping(run: LineRun) -> None:
    async def talk(connection: Connection) -> None:
        assert await connection.ping() >= 0

    await with_client(run, talk, start=1)


async def streams(run: LineRun) -> None:
    """A message in chunks, there and back."""

    async def talk(connection: Connection) -> None:
        async with connection.send_stream("text") as sender:
            await sender.send("chunk" * 20)
            await sender.send("chunk" * 20)
        came = ""
        async with connection.receive_stream() as receiver:
            async for chunk in receiver:
                came += str(chunk)
        assert came == "chunk" * 40

    await with_client(run, talk, start=1)


async def sends_much(run: LineRun) -> None:
    """More than the stream holds, so that the writer task writes."""

    async def talk(connection: Connection) -> None:
        await connection.send(b"x" * 10_000)
        assert len(await connection.receive()) == 10_000

    await with_client(run, talk, start=1)


async def closed_by_peer(run: LineRun) -> None:
    ours, theirs = run.network.pair()

    async def close() -> None:
        with closing(theirs):
            async with accept_endpoint(theirs) as connection:
                await connection.send("last")

    run.beside.start_soon(close)
    async with connect_endpoint(URL, stream=ours, **run.options) as connection:
        run.start()
        assert [message async for message in connection] == ["last"]


async def tls_client(run: LineRun) -> None:
    for_client, for_server = contexts()
    ours, theirs = run.network.pair()

    async def serve() -> None:
        stream = trio.SSLStream(theirs, for_server, server_side=True, https_compatible=True)
        with closing(theirs):
            try:
                async with accept_endpoint(stream) as connection:
                    await echo(connection)
            except ENDINGS:
                return

    run.beside.start_soon(serve)
    context = connect_endpoint(
        URL.replace("ws", "wss"), stream=ours, ssl_context=for_client, **run.options
    )
    run.start()
    async with context as connection:
        await connection.send("x")
        assert await connection.receive() == "x"


async def through_a_proxy(run: LineRun) -> None:
    listener = run.network.listen("proxy")

    async def serve() -> None:
        try:
            async with listener:
                stream = await listener.accept()
            with closing(stream):
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    asked += (data := await stream.receive_some(1))
                    if not data:
                        return
                await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
                async with accept_endpoint(stream) as connection:
                    await echo(connection)
        except ENDINGS:
            return

    run.beside.start_soon(serve)
    context = connect_endpoint(
        URL, proxy="http://proxy", open_stream=run.network.open_stream, **run.options
    )
    run.start()
    async with context as connection:
        await connection.send("x")
        assert await connection.receive() == "x"


async def accept(run: LineRun) -> None:
    ours, theirs = run.network.pair()
    run.beside.start_soon(ask_over, run, theirs)
    context = accept_endpoint(ours)
    run.start()
    async with context as connection:
        await echo(connection)


async def accept_and_leave(run: LineRun) -> None:
    ours, theirs = run.network.pair()
    run.beside.start_soon(lambda: ask_over(run, theirs, leave=False))
    async with accept_endpoint(ours) as connection:
        await connection.send(await connection.receive())
        run.start()


async def serve_nobody(run: LineRun) -> None:
    context = serve_endpoint(echo, listeners=[run.network.listen()])
    run.start()
    async with context:
        pass


async def serve_on_a_port(run: LineRun) -> None:
    """Over real sockets, to which no client comes."""
    context = serve_endpoint(echo, 0, host="127.0.0.1")
    run.start()
    async with context as server:
        assert server.port


async def serve(run: LineRun) -> None:
    """Start, serve a client, and end while another is there."""
    listener = run.network.listen()
    context = serve_endpoint(echo, listeners=[listener])
    run.start()
    async with context:
        ready = trio.Event()

        async def stay() -> None:
            try:
                stream = await run.network.connect()
            except OSError:
                return
            with closing(stream):
                async with connect_endpoint(URL, stream=stream, **run.options) as connection:
                    ready.set()
                    await connection.wait_closed()

        run.beside.start_soon(quiet, stay)
        await ready.wait()
        await ask_over(run, await run.network.connect())


async def quiet(call: Any) -> None:
    try:
        await call()
    except ENDINGS:
        return


async def close_a_server(run: LineRun) -> None:
    async def handler(connection: Connection) -> None:
        server.connections  # noqa: B018 - it may be asked
        await echo(connection)

    async with serve_endpoint(handler, listeners=[run.network.listen()]) as server:
        stream = await run.network.connect()
        run.beside.start_soon(lambda: ask_over(run, stream, leave=False))
        while not (server.connections and server.statistics().messages_sent):
            await trio.sleep(0.01)
        run.start()
        broadcast(server.connections, "to all")
        await server.aclose(1001, "going")
        await server.wait_closed()


async def run_a_server(run: LineRun) -> None:
    """`run_endpoint` in a nursery, until it is cancelled."""
    listener = run.network.listen()
    scope = trio.CancelScope()

    async def run_it(task_status: trio.TaskStatus[EndpointServer]) -> None:
        try:
            with scope:
                await run_endpoint(echo, listeners=[listener], task_status=task_status)
        finally:
            listener.close()

    run.start()
    server: EndpointServer = await run.beside.start(run_it)
    await ask_over(run, await run.network.connect())
    scope.cancel()
    await server.wait_closed()


PROGRAMS: dict[str, Program] = {
    program.__name__: program
    for program in (
        client_opens,
        client_opens_compressed,
        client_talks,
        client_leaves,
        client_closes,
        client_fails,
        client_is_cancelled,
        ping,
        streams,
        sends_much,
        closed_by_peer,
        tls_client,
        through_a_proxy,
        accept,
        accept_and_leave,
        serve_nobody,
        serve_on_a_port,
        serve,
        close_a_server,
        run_a_server,
    )
}

"""Each server of the examples, talked to over a socket, and ended as by Ctrl-C."""

from __future__ import annotations

import re

import pytest
import trio

from tests.examples.programs import PATIENCE, example, running
from trio_wsendpoint import (
    Connection,
    ConnectionEnded,
    ConnectionLost,
    HandshakeRefused,
    connect_endpoint,
)

ECHOES = ["echo_server.py", "select_loop.py"]


@pytest.mark.peer
@pytest.mark.parametrize("name", ECHOES)
async def test_an_echo_converses_with_the_websockets_command(name: str) -> None:
    async with example(name, "0") as server:
        url = await server.read_url()
        async with running("-m", "websockets", url) as client:
            await client.read_until("Connected to")
            await client.say("hello")
            await client.read_until("< hello\n")
            await client.say("grüße")
            await client.read_until("< grüße\n")
            await client.end_input()
            assert await client.wait() == 0
            assert "Connection closed: 1000 (OK)." in client.output
        await server.stop()


@pytest.mark.parametrize("name", ECHOES)
async def test_an_echo_answers_the_example_client(name: str) -> None:
    async with example(name, "0") as server:
        url = await server.read_url()
        async with example("client.py", url, "one", "two words") as client:
            assert await client.wait() == 0
        assert client.output.startswith("> one\n< one\n> two words\n< two words\na ping takes ")
        await server.stop()


@pytest.mark.parametrize("name", ECHOES)
async def test_an_echo_serves_several_at_once_and_large_messages(name: str) -> None:
    async with example(name, "0") as server:
        url = await server.read_url()
        with trio.fail_after(PATIENCE):
            async with connect_endpoint(url) as one, connect_endpoint(url) as other:
                for number in range(3):
                    for connection in (one, other):
                        # Not read meanwhile, so that it has to be written in parts.
                        await connection.send(bytes([number]) * 900_000)
                for number in range(3):
                    for connection in (one, other):
                        assert await connection.receive() == bytes([number]) * 900_000
        await server.stop()


@pytest.mark.parametrize("name", ["echo_server.py", "chat_server.py", "tcp_server.py"])
async def test_ctrl_c_tells_who_is_connected_1001(name: str) -> None:
    async with example(name, "0") as server:
        with trio.fail_after(PATIENCE):
            async with connect_endpoint(await server.read_url()) as connection:
                await connection.send("is anyone there?")
                await connection.receive()
                server.interrupt()
                with pytest.raises(ConnectionEnded) as caught:
                    async for _ in iter_forever(connection):
                        pass
                assert caught.value.code == 1001
        await server.check_end()


async def iter_forever(connection: Connection):
    """Yield messages, and raise at the end rather than stop."""
    while True:
        yield await connection.receive()


async def test_a_client_without_a_server_says_so_in_a_line() -> None:
    async with example("client.py", "ws://127.0.0.1:9/") as client:
        assert await client.wait() == 1
    assert client.output.startswith("cannot connect: ")
    assert client.output.count("\n") == 1


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize(
    ("sent", "last"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"GET / HT", b"", id="half a request"),
        pytest.param(REQUEST, b"\r\n\r\n", id="no frame"),
        pytest.param(REQUEST + b"\x81\x01a", b"\x03\xea", id="a frame without a mask"),
    ],
)
async def test_an_echo_outlives_a_client_that_breaks_the_rules(
    name: str, sent: bytes, last: bytes
) -> None:
    async with example(name, "0") as server:
        url = await server.read_url()
        with trio.fail_after(PATIENCE):
            async with connect_endpoint(url) as good:
                bad = await trio.open_tcp_stream("127.0.0.1", int(url[:-1].rpartition(":")[2]))
                async with bad:
                    await bad.send_all(sent)
                    await bad.send_eof()
                    assert last in b"".join([data async for data in bad])
                await good.send("still here?")
                assert await good.receive() == "still here?"
        await server.stop()


async def test_the_chat_tells_everyone_and_names_who_speaks() -> None:
    async with example("chat_server.py", "0") as server:
        url = await server.read_url()
        with trio.fail_after(PATIENCE):
            async with connect_endpoint(f"{url}?name=ann") as ann:
                assert await ann.receive() == "* ann is here"
                async with connect_endpoint(f"{url}?name=%20*bob") as bob:
                    assert await ann.receive() == "* bob is here"
                    assert await bob.receive() == "* bob is here"
                    await bob.send("hi")
                    assert await ann.receive() == "bob: hi"
                    assert await bob.receive() == "bob: hi"
                assert await ann.receive() == "* bob has left"
        await server.stop()


async def test_the_chat_shows_out_who_does_not_read() -> None:
    async with example("chat_server.py", "0") as server:
        url = await server.read_url()
        with trio.fail_after(PATIENCE):
            async with (
                connect_endpoint(f"{url}?name=sleeper") as sleeper,
                connect_endpoint(f"{url}?name=talker") as talker,
            ):
                while await talker.receive() != "* sleeper has left":
                    await talker.send("x" * 60_000)
                with pytest.raises(ConnectionLost) as caught:
                    async for _ in iter_forever(sleeper):
                        pass
                assert caught.value.code in {1006, 1008}
        await server.stop()


async def test_the_tcp_server_shouts_and_survives_what_is_no_websocket() -> None:
    async with example("tcp_server.py", "0") as server:
        url = await server.read_url()
        with trio.fail_after(PATIENCE):
            stream = await trio.open_tcp_stream("127.0.0.1", int(url[:-1].rpartition(":")[2]))
            async with stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 426 ")
            async with connect_endpoint(url) as connection:
                await connection.send("hello")
                assert await connection.receive() == "HELLO"
        await server.read_until("no connection: ")
        await server.stop()


async def test_the_nursery_server_ticks() -> None:
    async with example("nursery_server.py", "0") as server:
        with trio.fail_after(PATIENCE):
            async with connect_endpoint(await server.read_url()) as connection:
                assert str(await connection.receive()).startswith("tick ")
        await server.stop()


async def test_the_demo_has_a_page_a_chat_and_an_echo_on_one_port() -> None:
    async with example("demo.py", "0") as server:
        url = await server.read_url()
        socket_url = url.replace("http", "ws")
        with trio.fail_after(PATIENCE):
            status, page = await get(url)
            assert status == 200
            assert b"<!doctype html>" in page
            assert b"//" not in re.sub(rb"(?m)^\s*// .*", b"", page), "it is all there"
            assert (await get(f"{url}elsewhere"))[0] == 404
            with pytest.raises(HandshakeRefused):
                async with connect_endpoint(f"{socket_url}elsewhere"):
                    raise AssertionError("it was let in")
            async with connect_endpoint(f"{socket_url}chat?name=ann") as ann:
                assert await ann.receive() == "* ann is here"
                async with connect_endpoint(f"{socket_url}echo") as echo:
                    await echo.send("hi")
                    assert await echo.receive() == "hi"
                server.interrupt()
                with pytest.raises(ConnectionEnded, match="1001"):
                    await ann.receive()
        await server.check_end()


@pytest.mark.parametrize("path", ["/chat", "/echo"])
async def test_ctrl_c_ends_the_demo_though_a_client_never_answers(path: str) -> None:
    """Within the grace: no closing waits for its peer any longer than that."""
    async with example("demo.py", "0") as server:
        url = await server.read_url()
        with trio.fail_after(PATIENCE):
            stream = await trio.open_tcp_stream("127.0.0.1", int(url[:-1].rpartition(":")[2]))
            async with stream:
                await stream.send_all(REQUEST.replace(b"/ HTTP", path.encode() + b" HTTP", 1))
                data = b""
                while b"\r\n\r\n" not in data:
                    data += bytes(await stream.receive_some())
                server.interrupt()
                while not data.endswith(b"\x88\x02\x03\xe9"):  # 1001
                    more = bytes(await stream.receive_some())
                    assert more, data
                    data += more
                await server.check_end()


async def test_a_second_demo_says_in_a_line_that_the_port_is_taken() -> None:
    async with example("demo.py", "0") as server:
        port = (await server.read_url()).rstrip("/").rpartition(":")[2]
        async with example("demo.py", port) as second:
            assert await second.wait() == 1
        assert "cannot listen on port" in second.output
        assert second.output.count("\n") == 1
        await server.stop()


async def get(url: str) -> tuple[int, bytes]:
    """Return status and body of a page."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    async with await trio.open_tcp_stream(name, int(port)) as stream:
        await stream.send_all(f"GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = b"".join([data async for data in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_the_login_server_knows_its_users() -> None:
    async with example("login_server.py", "0") as server:
        url = await server.read_url()
        for headers in (
            {"Cookie": "session=s3ssion-of-ann"},
            {"Authorization": "Bearer t0ken-of-ann"},
        ):
            async with connect_endpoint(url, headers=headers) as client:
                assert str(await client.receive()).startswith("hello ann at 127.0.0.1:")
        for headers in ({"Cookie": "session=other"}, {"Authorization": "Bearer other"}, {}):
            with pytest.raises(HandshakeRefused) as caught:
                async with connect_endpoint(url, headers=headers):
                    pass
            assert caught.value.response.status == 401
        await server.stop()


async def test_ctrl_c_ends_the_chat_of_starlette() -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    pytest.importorskip("python_multipart", reason="python-multipart is not installed")
    async with example("asgi_chat.py", "0") as server:
        await server.read_url()
        await server.stop()
    assert server.output.count("\n") == 1

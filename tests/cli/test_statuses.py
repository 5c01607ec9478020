"""A real exit status for each row of the table, of a process that talks to a real server."""

from __future__ import annotations

import signal
import ssl

import pytest
import trio

from tests.cli.helpers import command, read_until, running_command
from trio_wsendpoint import Response, serve_endpoint


async def handler(connection):
    path = connection.request.path
    if path == "/kick":
        await connection.send("bye")
        await connection.aclose(4401, "token \x1b[2J expired")
    elif path == "/lost":
        connection.tasks.abort()
    elif path == "/big":
        await connection.send("x" * 5000)
        await trio.sleep_forever()
    async for message in connection:
        await connection.send(message)


async def refuse(opening):
    if opening.request.path == "/401":
        headers = {"WWW-Authenticate": "Bearer", "Set-Cookie": "id=secret-word"}
        return Response(401, headers, "who are you\x1b[2J?")
    return None


@pytest.fixture
async def port(nursery):
    async with serve_endpoint(handler, 0, process_request=refuse) as server:
        yield server.port


async def test_0_and_what_is_told(port):
    done = await command("connect", f":{port}/", input=b"hello\n")
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    notes = done.stderr.decode()
    assert "* localhost is " in notes
    assert "DNS" in notes
    assert "TCP" in notes
    assert "101 after" in notes
    assert "* we closed first: 1000" in notes


async def test_2_usage():
    for arguments in (["connect"], ["connect", ":1/", "--no-such"], ["connect", "http://x/"]):
        done = await command(*arguments)
        assert done.returncode == 2, done.stderr
        assert done.stdout == b""


async def test_3_name():
    done = await command("connect", "ws://name.invalid/")
    assert done.returncode == 3
    assert done.stderr.startswith(b"! name: no address of the host 'name.invalid' was found")


async def test_4_refused():
    async with serve_endpoint(handler, 0) as server:
        port = server.port
    done = await command("connect", f":{port}/")
    assert done.returncode == 4
    assert b"Connection refused" in done.stderr


async def test_5_tls(server_context, ca, tmp_path):
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with serve_endpoint(handler, 0, ssl_context=server_context) as server:
        url = f"wss://localhost:{server.port}/"
        untrusted = await command("connect", url)
        trusted = await command("connect", url, "--cacert", tmp_path / "ca.pem")
        insecure = await command("connect", url, "--insecure")
        other = await command(
            "connect", url, "--cacert", tmp_path / "ca.pem", "--servername", "other.test"
        )
    assert untrusted.returncode == 5
    assert b"CERTIFICATE_VERIFY_FAILED" in untrusted.stderr
    assert trusted.returncode == 0, trusted.stderr
    assert b"days left)" in trusted.stderr
    assert insecure.returncode == 0
    assert b"! --insecure: the server's certificate is not verified" in insecure.stderr
    assert other.returncode == 5
    assert b"other.test" in other.stderr


async def test_6_refused(port):
    done = await command("connect", f":{port}/401")
    assert done.returncode == 6
    notes = done.stderr.decode()
    assert "* 401 Unauthorized\n* WWW-Authenticate: Bearer\n* Set-Cookie: ...\n" in notes
    assert "* who are you\\x1b[2J?" in notes
    assert "secret-word" not in notes


async def test_7_no_good_answer(port):
    done = await command("connect", f":{port}/", "-s", "chat")
    assert done.returncode == 7
    assert b"Sec-WebSocket-Protocol header is missing" in done.stderr


async def test_8_time(port, nursery):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    silent = listeners[0].socket.getsockname()[1]
    done = await command("connect", f"ws://127.0.0.1:{silent}/", "--timeout", "0.2")
    await listeners[0].aclose()
    assert done.returncode == 8
    assert b"did not answer within 0.2 s" in done.stderr
    done = await command("connect", f":{port}/", "--linger", "forever", "--max-time", "0.5")
    assert done.returncode == 8


async def test_9_lost(port):
    done = await command("connect", f":{port}/lost")
    assert done.returncode == 9, done.stderr
    assert b"lost without a Close frame" in done.stderr


async def test_10_close_code(port):
    done = await command("connect", f":{port}/kick")
    assert (done.returncode, done.stdout) == (10, b"bye\n")
    assert b'the peer closed first: 4401 "token \\x1b[2J expired"' in done.stderr


async def test_11_a_limit(port):
    done = await command("connect", f":{port}/big", "--max-size", "100")
    assert done.returncode == 11
    assert b"the peer passed a limit: 1009" in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_closes_in_order(number, status):
    codes = []

    async def note(connection):
        async for message in connection:
            await connection.send(message)
        codes.append(connection.endpoint.closing.code)

    async with (
        serve_endpoint(note, 0) as server,
        running_command("connect", f":{server.port}/") as process,
    ):
        await read_until(process.stderr, b"compression")
        process.send_signal(number)
        rest = await read_until(process.stderr, b"\0")
        assert await process.wait() == status
    assert codes == [1000 if status == 130 else 1001]
    assert b"Traceback" not in rest


async def test_141_is_silent(port):
    async with running_command("connect", f":{port}/") as process:
        await process.stdin.send_all(b"one\n")
        assert await read_until(process.stdout, b"\n") == b"one\n"
        await process.stdout.aclose()
        before = await read_until(process.stderr, b"compression")
        await process.stdin.send_all(b"two\n")
        assert await process.wait() == 141
        rest = await read_until(process.stderr, b"\0", b"")
        assert b"!" not in before + rest


def test_the_context_verifies():
    from trio_wsendpoint.cli.tls import make_context

    context = make_context(cert=None, key=None, cacert=None, insecure=False)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname

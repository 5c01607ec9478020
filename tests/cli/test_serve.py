"""`serve`: an echo and a handler of one's own, closed in order by a signal."""

from __future__ import annotations

import re
import signal
import ssl

import pytest
import trio

from tests.cli.helpers import command, read_until, running_command
from tests.examples.programs import ROOT
from trio_wsendpoint import ConnectionClosed, connect_endpoint
from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.serve import find_handler

ANY = ("--listen", "tcp:127.0.0.1:0")
HANDLER = """
async def handle(connection):
    async for message in connection:
        await connection.send("{answer} " + message)
"""


async def url_of(process):
    notes = await read_until(process.stderr, b"\n")
    [url] = re.findall(rb"serving (\S+)", notes)
    return url.decode()


async def test_an_echo_is_closed_in_order_by_sigterm():
    async with running_command("serve", "--echo", *ANY) as process:
        async with connect_endpoint(await url_of(process)) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            process.send_signal(signal.SIGTERM)
            assert [message async for message in connection] == []  # so it was 1001
            assert connection.endpoint.closing.code == 1001
        assert await process.wait() == 143


async def test_a_handler_over_tls(tmp_path, monkeypatch, ca):
    (tmp_path / "app_of_a_test.py").write_text(HANDLER.format(answer="you said"))
    made = ca.issue_cert("localhost", "127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context()
    ca.configure_trust(context)
    options = ["--tls", f"{tmp_path}/both.pem"]
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    async with running_command("serve", "app_of_a_test:handle", *ANY, *options, env=env) as process:
        url = await url_of(process)
        assert url.startswith("wss://")
        async with connect_endpoint(url, ssl_context=context) as connection:
            await connection.send("hi")
            assert await connection.receive() == "you said hi"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            print(event["type"], flush=True)
            kind = "failed" if {fails} else "complete"
            await send({{"type": f"{{event['type']}}.{{kind}}", "message": "no database"}})
            if event["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200}})
        await send({{"type": "http.response.body", "body": b"page of " + scope["path"].encode()}})
    if scope["type"] == "websocket":
        await send({{"type": "websocket.accept"}})
        await send({{"type": "websocket.send", "text": "hello"}})
        await receive()
        await receive()
"""


@pytest.mark.parametrize("options", [[], ["--workers", "1", "--drain", "0"]])
async def test_an_asgi_application(options, tmp_path):
    (tmp_path / "asgi_of_a_test.py").write_text(APPLICATION.format(fails=False))
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    arguments = ("serve", "asgi_of_a_test:app", "--asgi", *ANY, *options)
    async with running_command(*arguments, env=env) as process:
        notes = await read_until(process.stderr, b"workers\n" if options else b"\n")
        url = re.findall(rb"\* serving (\S+)", notes)[0].decode()
        async with connect_endpoint(url) as connection:
            assert await connection.receive() == "hello"
        port = int(url.rstrip("/").rpartition(":")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b"".join([piece async for piece in stream])
        assert answer.endswith(b"page of /x\r\n0\r\n\r\n")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 143


@pytest.mark.parametrize("options", [[], ["--workers", "1"]])
async def test_an_asgi_application_that_does_not_start(options, tmp_path):
    (tmp_path / "asgi_that_fails.py").write_text(APPLICATION.format(fails=True))
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = await command("serve", "asgi_that_fails:app", "--asgi", *ANY, *options, env=env)
    assert done.returncode not in {0, 143}
    assert b"no database" in done.stderr
    assert b"Traceback" not in done.stderr


async def test_usage():
    for arguments in (
        [],
        ["a:b", "--echo"],
        ["nothing"],
        ["--echo", "--listen", "x"],
        ["--echo", "--asgi"],
        ["json:loads", "--asgi"],
    ):
        done = await command("serve", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no_such_module:x", "no module"),
        ("json:no_such", "has no no_such"),
        ("json:__doc__", "is no function"),
        ("json", "MODULE:HANDLER"),
    ],
)
def test_a_handler_that_is_none(text, told):
    with pytest.raises(UsageFault, match=told):
        find_handler(text)


async def test_an_address_that_is_taken():
    async with running_command("serve", "--echo", *ANY) as process:
        port = (await url_of(process)).rstrip("/").rpartition(":")[2]
        done = await command("serve", "--echo", "--listen", f"tcp:127.0.0.1:{port}")
    assert done.returncode == 4
    assert b"in use" in done.stderr


# ---- several workers ---------------------------------------------------------------------------


async def test_workers_are_told_and_closed_in_order_by_sigterm():
    async with running_command("serve", "--echo", *ANY, "--workers", "2") as process:
        notes = await read_until(process.stderr, b"with 2 workers\n")
        [url] = re.findall(rb"\* serving (\S+) with", notes)
        async with connect_endpoint(url.decode()) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as caught:
                await connection.receive()
            assert caught.value.code == 1012
        assert await process.wait() == 143
        assert b"* closing" in await read_until(process.stderr, b"* closed", notes)


async def test_workers_find_the_handler_and_roll_to_the_new_one(tmp_path, ca):
    app = tmp_path / "app_of_workers.py"
    app.write_text(HANDLER.format(answer="old"))
    made = ca.issue_cert("localhost", "127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context()
    ca.configure_trust(context)
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    options = ["--tls", f"{tmp_path}/both.pem", "--workers", "1", "--drain", "0"]

    async def answer():
        async with connect_endpoint(url, ssl_context=context) as connection:
            await connection.send("app")
            return await connection.receive()

    arguments = ("serve", "app_of_workers:handle", *ANY, *options)
    async with running_command(*arguments, env=env) as process:
        notes = await read_until(process.stderr, b"with 1 workers\n")
        url = re.findall(rb"serving (wss://\S+) with", notes)[0].decode()
        assert await answer() == "old app"
        app.write_text(HANDLER.format(answer="the new") + "\n")
        process.send_signal(signal.SIGHUP)
        await read_until(process.stderr, b"has ended: exited with status 0", notes)
        assert await answer() == "the new app"


async def test_workers_that_cannot_be():
    done = await command("serve", "no_such_module:x", "--workers", "2", *ANY)
    assert done.returncode == 1
    assert b"! there is no module no_such_module here, nor installed\n" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"! no worker became ready: worker ")
    for arguments in (
        ["--echo", "--workers", "2", "--reload"],
        ["--echo", "--workers", "2", "--max-time", "3"],
        ["--echo", "--workers", "0"],
        ["--echo", "--workers", "2", "--listen", "x"],
        ["--echo", "--workers", "2", "--tls", "/nowhere"],
        ["--echo", "--log", "x"],
    ):
        done = await command("serve", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert b"Traceback" not in done.stderr


async def test_an_address_that_is_taken_is_one_line_of_the_parent():
    async with running_command("serve", "--echo", *ANY) as process:
        port = (await url_of(process)).rstrip("/").rpartition(":")[2]
        taken = ("--listen", f"tcp:127.0.0.1:{port}")
        done = await command("serve", "--echo", "--workers", "2", *taken)
    assert done.returncode == 4
    [line] = done.stderr.splitlines()
    assert b"in use" in line

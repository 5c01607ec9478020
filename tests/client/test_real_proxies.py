"""Through Debian's tinyproxy, microsocks and dante, over loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager

import pytest
import trio

from tests.server.helpers import echo
from trio_wsendpoint import ProxyError, ProxyRefused, connect_endpoint, serve_endpoint

pytestmark = pytest.mark.proxy

#: Seconds that anything may take, on a machine that has other things to do.
PATIENCE = 60
#: A port on which nobody listens, to which a proxy is asked to connect.
CLOSED = 9


def find(program):
    """Where a proxy is; where there is none, CI fails and others go on."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is missing: .ci/run installs it")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


@asynccontextmanager
async def running(*command, port):
    """Run a proxy, in this block, once it takes connections on `port`."""
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    assert process.poll() is None, "it has ended"
                    await trio.sleep(0.02)
        yield
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@asynccontextmanager
async def tinyproxy(tmp_path, **_):
    port = free_port()
    configuration = tmp_path / "tinyproxy.conf"
    configuration.write_text(
        f"Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 20\n"
        "BasicAuth me pa55word\nLogLevel Critical\n"
    )
    async with running(find("tinyproxy"), "-d", "-c", configuration, port=port):
        yield "http", port


@asynccontextmanager
async def microsocks(tmp_path, **_):
    port = free_port()
    command = [find("microsocks"), "-i", "127.0.0.1", "-p", str(port), "-u", "me", "-P", "pa55word"]
    async with running(*command, port=port):
        yield "socks5h", port


@asynccontextmanager
async def dante(tmp_path, *, scheme="socks5"):
    port = free_port()
    configuration = tmp_path / "danted.conf"
    rule = "from: 0.0.0.0/0 to: 0.0.0.0/0"
    configuration.write_text(
        f"internal: 127.0.0.1 port = {port}\nexternal: lo\n"
        "clientmethod: none\nsocksmethod: none\nuser.unprivileged: nobody\n"
        f"client pass {{ {rule} }}\n"
        f"socks pass {{ {rule} command: connect }}\n"
    )
    command = [find("danted"), "-f", str(configuration), "-p", str(tmp_path / "danted.pid")]
    async with running(*command, port=port):
        yield scheme, port


def with_scheme(scheme):
    def run(tmp_path):
        return dante(tmp_path, scheme=scheme)

    return run


PROXIES = [
    pytest.param(tinyproxy, "me:pa55word@", id="tinyproxy"),
    pytest.param(microsocks, "me:pa55word@", id="microsocks"),
    pytest.param(with_scheme("socks5"), "", id="dante-5"),
    pytest.param(with_scheme("socks5h"), "", id="dante-5h"),
    pytest.param(with_scheme("socks4"), "", id="dante-4"),
    pytest.param(with_scheme("socks4a"), "", id="dante-4a"),
]


@pytest.mark.parametrize(("start", "credentials"), PROXIES)
async def test_through(start, credentials, tmp_path):
    async with start(tmp_path) as (scheme, port), serve_endpoint(echo, 0) as server:
        proxy = f"{scheme}://{credentials}127.0.0.1:{port}"
        async with connect_endpoint(f"ws://127.0.0.1:{server.port}/", proxy=proxy) as connection:
            await connection.send("hello" * 100_000)
            assert await connection.receive() == "hello" * 100_000
        with pytest.raises(ProxyError, match=str(CLOSED)) as caught:
            async with connect_endpoint(f"ws://127.0.0.1:{CLOSED}/", proxy=proxy):
                raise AssertionError
        assert isinstance(caught.value, ProxyRefused)
        assert not caught.value.is_final


@pytest.mark.parametrize(("start", "credentials"), PROXIES)
async def test_tls_through(start, credentials, tmp_path, server_context, client_context):
    async with (
        start(tmp_path) as (scheme, port),
        serve_endpoint(echo, 0, ssl_context=server_context) as server,
        connect_endpoint(
            f"wss://127.0.0.1:{server.port}/",
            proxy=f"{scheme}://{credentials}127.0.0.1:{port}",
            ssl_context=client_context,
        ) as connection,
    ):
        await connection.send("hello" * 100_000)
        assert await connection.receive() == "hello" * 100_000


@pytest.mark.parametrize(
    ("start", "credentials", "status"),
    [
        (tinyproxy, "", 407),
        (tinyproxy, "you:wr0ng@", 401),  # which is a server's, but that is what it says
        (microsocks, "", None),
        (microsocks, "you:wr0ng@", None),
    ],
)
async def test_credentials_that_are_wrong(start, credentials, status, tmp_path):
    async with start(tmp_path) as (scheme, port):
        with pytest.raises(ProxyRefused) as caught:
            async with connect_endpoint(
                f"ws://127.0.0.1:{CLOSED}/", proxy=f"{scheme}://{credentials}127.0.0.1:{port}"
            ):
                raise AssertionError
        assert "wr0ng" not in str(caught.value)
        assert caught.value.is_final
        assert caught.value.status == status

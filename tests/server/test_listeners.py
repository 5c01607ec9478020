"""Several addresses at once: all of them or none, and TLS for each."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_wsendpoint import Listen, connect_endpoint, open_listeners, run_endpoint, serve_endpoint
from trio_wsendpoint.server.wrappers import TLSListener

from .helpers import Resolver, echo

serve: Any = serve_endpoint


async def check_echo(url: str, **options: Any) -> None:
    async with connect_endpoint(url, **options) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


async def test_several_addresses(tmp_path: Path) -> None:
    listen = ["tcp:127.0.0.1:0", f"unix:{tmp_path}/socket", "tcp:127.0.0.2:0"]
    async with serve_endpoint(echo, listen=listen) as server:
        first, path, second = server.addresses
        assert first == f"tcp:127.0.0.1:{server.port}"
        assert path == listen[1]
        assert server.urls == tuple(f"ws://{text[4:]}/" for text in (first, second))
        for url in server.urls:
            await check_echo(url)
        stream = await trio.open_unix_socket(tmp_path / "socket")
        await check_echo("ws://localhost/", stream=stream)


async def test_one_port_for_both_addresses_of_a_host() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver("127.0.0.1", "127.0.0.2"))
    async with serve_endpoint(echo, listen=["tcp:localhost:0"]) as server:
        assert server.addresses == tuple(f"tcp:127.0.0.{n}:{server.port}" for n in (1, 2))


async def test_listeners_for_run_endpoint_and_for_trio() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await open_listeners("tcp:127.0.0.1:0")
        server = await nursery.start(lambda **kw: run_endpoint(echo, listeners=listeners, **kw))
        await check_echo(server.urls[0])
        await server.aclose()


# ---- all or none ---------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_when_one_fails_none_is_open(at: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = [f"unix:{tmp_path}/first", f"unix:{tmp_path}/second"]
        listen.insert(at, f"tcp:127.0.0.1:{port}")
        with pytest.raises(OSError, match=f"cannot listen on port {port} of 127.0.0.1: ") as caught:
            await open_listeners(*listen)
        assert caught.value.errno == errno.EADDRINUSE
    assert list(tmp_path.iterdir()) == []


async def test_cancelled_none_is_open(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await open_listeners(f"unix:{tmp_path}/first", f"unix:{tmp_path}/second")
    assert scope.cancelled_caught
    assert list(tmp_path.iterdir()) == []


async def test_the_same_address_twice(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with pytest.raises(OSError, match=f"cannot listen on {address}: a process listens there"):
        await open_listeners(address, address)


# ---- TLS -----------------------------------------------------------------------------------------


async def test_tls_for_each(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    plain = Listen(f"unix:{tmp_path}/socket", ssl_context=None)
    listen: list[str | Listen] = ["tcp:127.0.0.1:0", plain]
    listen.append(Listen("tcp:127.0.0.2:0", ssl_context=None))
    async with serve_endpoint(echo, listen=listen, ssl_context=server_context) as server:
        assert [isinstance(one, TLSListener) for one in server.listeners] == [True, False, False]
        assert [url.partition(":")[0] for url in server.urls] == ["wss", "ws"]
        assert server.addresses[0] == f"tcp:127.0.0.1:{server.port}"
        assert repr(server.listeners[0]).startswith("<TLSListener over <")
        await check_echo(server.urls[0], ssl_context=client_context)
        await check_echo(server.urls[1])
        stream = await trio.open_unix_socket(tmp_path / "socket")
        await check_echo("ws://localhost/", stream=stream)


async def test_tls_on_a_unix_socket(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    path = tmp_path / "socket"
    async with serve_endpoint(echo, listen=[Listen(f"unix:{path}", ssl_context=server_context)]):
        stream = await trio.open_unix_socket(path)
        await check_echo("wss://localhost/", stream=stream, ssl_context=client_context)
    assert not path.exists()


async def test_a_context_without_a_certificate_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bare = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listen = ["tcp:127.0.0.1:0", "tcp:127.0.0.2:0"]
    async with serve_endpoint(echo, listen=listen, ssl_context=bare):
        pass
    [record] = caplog.records
    assert "has no certificate" in record.getMessage()


# ---- wrong arguments -----------------------------------------------------------------------------

WRONG_LISTS = [
    ("tcp:0.0.0.0:80", TypeError, r"write listen=\['tcp:0.0.0.0:80'\]"),
    (7, TypeError, "listen must be a list of addresses, not 7"),
    ([], ValueError, "listen is empty"),
    ([7], TypeError, "a listening address is a string, not '7'"),
    (["tcp:80"], ValueError, "listening address 'tcp:80': "),
    (["udp:x"], ValueError, "expected 'tcp:HOST:PORT', 'unix:/PATH'"),
]


@pytest.mark.parametrize(("listen", "kind", "text"), WRONG_LISTS)
def test_a_wrong_list(listen: object, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        serve(echo, listen=listen)


def test_where_to_listen_is_told_once() -> None:
    for options in (
        {"port": 80, "listen": ["fd:3"]},
        {"listeners": [], "listen": ["fd:3"]},
        {},
    ):
        with pytest.raises(TypeError, match="one of them"):
            serve(echo, **options)
    with pytest.raises(TypeError, match="host= is for a port"):
        serve(echo, listen=["tcp:127.0.0.1:80"], host="0.0.0.0")


WRONG_ENTRIES: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("unix:/x", {"mode": "660"}, TypeError, "mode of unix:/x must be an int, as 0o660, not '660'"),
    ("unix:/x", {"mode": True}, TypeError, "mode of unix:/x must be an int"),
    ("unix:/x", {"mode": 0o1777}, ValueError, "must be 0 to 0o777, not 0o1777"),
    ("unix:/x", {"mode": -1}, ValueError, "must be 0 or more, not -1"),
    ("unix:/x", {"owner": 1.5}, TypeError, "owner of unix:/x must be a name or a number"),
    ("unix:@x", {"group": "www"}, ValueError, "unix:@x has no group: mode, owner and group are"),
    ("tcp:h:1", {"mode": 0o600}, ValueError, "tcp:h:1 has no mode"),
    ("fd:3", {"owner": "root"}, ValueError, "fd:3 has no owner"),
    ("fd:3", {"ssl_context": "cert.pem"}, TypeError, "ssl_context must be an ssl.SSLContext"),
    ("fd:3", {"ssl_context": ssl.create_default_context()}, ValueError, "a client's"),
]


@pytest.mark.parametrize(("address", "options", "kind", "text"), WRONG_ENTRIES)
def test_a_wrong_entry(
    address: str, options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        Listen(address, **options)


def test_an_entry_is_a_value() -> None:
    assert Listen("fd:3") == Listen("fd:3") != Listen("fd:4")
    assert repr(Listen("unix:/x", mode=0o600)).startswith("Listen(address='unix:/x', mode=384")

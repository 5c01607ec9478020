"""Section J: listeners; tests/server has more of each."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

import pytest
import trio

from tests.server.helpers import Resolver, echo
from trio_wsendpoint import Listen, open_listeners, serve_endpoint
from trio_wsendpoint.addressing import (
    InheritedSocket,
    UnixAddress,
    claim_inherited,
    parse_listen,
    parse_listen_fds,
)


def leave_behind(path):
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))


async def refused(*listen):
    """The number of the error with which these are not opened."""
    with pytest.raises(OSError, match="cannot listen on ") as caught:
        await open_listeners(*listen)
    return caught.value.errno


async def test_j200_the_path_exists(tmp_path):
    leave_behind(tmp_path / "old")
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "old")
    for name in ("file", "link"):
        assert await refused(f"unix:{tmp_path}/{name}") == errno.EEXIST
    assert {path.name for path in tmp_path.iterdir()} == {"old", "file", "link"}
    assert (tmp_path / "file").read_text() == "precious"


async def test_j201_is_it_stale(tmp_path):
    path = tmp_path / "socket"
    leave_behind(path)
    [listener] = await open_listeners(f"unix:{path}")
    assert await refused(f"unix:{path}") == errno.EADDRINUSE
    await listener.aclose()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(str(path))
        assert await refused(f"unix:{path}") == errno.EADDRINUSE


async def test_j202_mode_and_owner(tmp_path, monkeypatch):
    """The mode is set while a connect is refused still, and the umask is never touched."""
    path, steps, chmod = tmp_path / "socket", [], os.chmod

    def watch(*args):
        with socket.socket(socket.AF_UNIX) as client:
            steps.append(client.connect_ex(str(path)))
        chmod(*args)

    monkeypatch.setattr(os, "chmod", watch)
    monkeypatch.setattr(os, "umask", None)
    [listener] = await open_listeners(Listen(f"unix:{path}", mode=0o620, owner=os.getuid()))
    assert (steps, path.stat().st_mode & 0o777) == ([errno.ECONNREFUSED], 0o620)
    await listener.aclose()


async def test_j203_the_file_is_replaced_while_we_listen(tmp_path):
    path = tmp_path / "socket"
    async with serve_endpoint(echo, listen=[f"unix:{path}"]):
        path.unlink()
        [successor] = await open_listeners(f"unix:{path}")
    assert path.exists()
    await successor.aclose()


async def test_j204_two_start_at_once(tmp_path):
    path = tmp_path / "socket"
    found: list[Any] = []
    leave_behind(path)

    async def start():
        try:
            found.extend(await open_listeners(f"unix:{path}"))
        except OSError as error:
            found.append(error.errno)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        nursery.start_soon(start)
    assert found[1] == errno.EADDRINUSE
    await (await trio.open_unix_socket(path)).aclose()
    await found[0].aclose()


def test_j205_long_paths_and_abstract_names():
    for path in ("/" * 108, "\xe9" * 54, "/" * 1000):
        with pytest.raises(ValueError, match="at most 107 fit"):
            parse_listen(f"unix:{path}")
    address = parse_listen("unix:@name")
    assert isinstance(address, UnixAddress)
    assert (address.is_abstract, address.sockaddr) == (True, b"\0name")
    assert parse_listen("unix:" + "/" * 107) == UnixAddress("/" * 107)


async def test_j206_who_is_the_unix_peer(tmp_path):
    path = tmp_path / "socket"
    [listener] = await open_listeners(f"unix:{path}")
    async with await trio.open_unix_socket(path), await listener.accept() as stream:
        accepted: Any = stream
        assert accepted.socket.getpeername() == ""
        credentials = accepted.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert struct.unpack("3i", credentials) == (os.getpid(), os.getuid(), os.getgid())
    await listener.aclose()


def test_j207_sockets_for_another_process():
    for environ in ({}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "41"}):
        with pytest.raises(ValueError, match="LISTEN_PID is"):
            parse_listen_fds(environ, 42)


def test_j208_variables_that_are_wrong():
    for text in ("0", "-1", "x", "1000000", "", " 1", "1_0", "\u0661"):
        with pytest.raises(ValueError, match="LISTEN_FDS is '"):
            parse_listen_fds({"LISTEN_PID": "42", "LISTEN_FDS": text}, 42)
    with pytest.raises(ValueError, match="LISTEN_FDS is not set"):
        parse_listen_fds({"LISTEN_PID": "42"}, 42)


async def test_j209_what_no_server_can_accept_from():
    one, other = socket.socketpair()
    with one, other, socket.socket(type=socket.SOCK_DGRAM) as datagrams, open(os.devnull) as file:
        for given, code in ((one, errno.EINVAL), (datagrams, errno.EPROTOTYPE)):
            assert await refused(f"fd:{given.fileno()}") == code
        assert await refused(f"fd:{file.fileno()}") == errno.ENOTSOCK
    assert await refused("fd:99999") == errno.EBADF


async def test_j210_inherited_sockets_are_made_ours(tmp_path):
    """They do not block and are not inherited further; closing ours shuts nothing down."""
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(tmp_path / "socket"))
        given.listen()
        number = os.dup(given.fileno())
        os.set_inheritable(number, True)
        [listener] = await open_listeners(f"fd:{number}")
        assert (os.get_inheritable(number), os.get_blocking(number)) == (False, False)
        await listener.aclose()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))


def test_j211_names():
    environ = {"LISTEN_PID": "42", "LISTEN_FDS": "3"}
    bare = parse_listen_fds(environ, 42)
    assert claim_inherited([parse_listen("systemd:")], bare) == {
        parse_listen("systemd:"): (3, 4, 5)
    }
    with pytest.raises(ValueError, match="the sockets have no names"):
        claim_inherited([parse_listen("systemd:web")], bare)
    named = parse_listen_fds({**environ, "LISTEN_FDNAMES": "web:web"}, 42)
    assert named[2] == InheritedSocket(5)
    web = parse_listen("systemd:web")
    assert claim_inherited([web], named) == {web: (3, 4)}
    for twice in (["systemd:", "systemd:web"], ["systemd:web", "fd:3"], ["fd:3", "fd:3"]):
        with pytest.raises(ValueError, match="both claim descriptor 3"):
            claim_inherited(map(parse_listen, twice), named)


async def test_j212_all_or_none_and_one_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = [f"unix:{tmp_path}/socket", f"tcp:127.0.0.1:{port}"]
        assert await refused(*listen) == errno.EADDRINUSE
    assert list(tmp_path.iterdir()) == []
    trio.socket.set_custom_hostname_resolver(Resolver("127.0.0.1", "127.0.0.2"))
    async with serve_endpoint(echo, listen=["tcp:localhost:0"]) as server:
        assert [text.rpartition(":")[2] for text in server.addresses] == [str(server.port)] * 2

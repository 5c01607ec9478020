"""Unix sockets: their files, who may use them, and what becomes of old ones."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from pathlib import Path

import pytest
import trio
import trio.testing

from trio_wsendpoint import Listen, connect_endpoint, open_listeners, serve_endpoint
from trio_wsendpoint.server import unix_listeners
from trio_wsendpoint.server.unix_listeners import UnixListener

from .helpers import echo


def left_behind(path: Path) -> None:
    """Make the file of a socket on which no process listens."""
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))


def identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


async def open_one(path: Path, **options: object) -> UnixListener:
    [listener] = await open_listeners(Listen(f"unix:{path}", **options))  # type: ignore[arg-type]
    assert isinstance(listener, UnixListener)
    return listener


async def test_a_server_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with serve_endpoint(echo, listen=[f"unix:{path}"]) as server:
        assert server.addresses == (f"unix:{path}",)
        assert server.urls == ()
        assert repr(server) == f"<EndpointServer unix:{path}, connections: 0>"
        stream = await trio.open_unix_socket(path)
        async with connect_endpoint("ws://localhost/", stream=stream) as client:
            await client.send("hello")
            assert await client.receive() == "hello"
    assert not path.exists()


async def test_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    before = os.umask(0o077)
    try:
        listener = await open_one(path, mode=0o666, owner=os.getuid(), group=os.getgid())
        assert os.umask(0o077) == 0o077, "the umask belongs to the whole process"
    finally:
        os.umask(before)
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o666
    assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())
    await listener.aclose()


async def test_owners_by_name(tmp_path: Path) -> None:
    import grp
    import pwd

    user = pwd.getpwuid(os.getuid()).pw_name
    group = grp.getgrgid(os.getgid()).gr_name
    await (await open_one(tmp_path / "socket", owner=user, group=group)).aclose()
    for options in ({"owner": "no-such-user"}, {"group": "no-such-group"}):
        with pytest.raises(OSError, match=r"cannot listen on unix:.*: there is no .* 'no-such"):
            await open_one(tmp_path / "socket", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["chmod", "chown", "lstat", "listen"])
async def test_a_step_that_fails_leaves_nothing(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if step == "listen":
        monkeypatch.setattr(unix_listeners, "_listen", fail)
    elif step != "lstat":
        monkeypatch.setattr(os, step, fail)
    path = tmp_path / ("missing/socket" if step == "lstat" else "socket")
    kind = FileNotFoundError if step == "lstat" else PermissionError
    with pytest.raises(kind, match=f"cannot listen on unix:{path}: "):
        await open_one(path, mode=0o600, owner=os.getuid())
    assert list(tmp_path.iterdir()) == []


async def test_no_connect_gets_in_before_the_mode_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    codes: list[int] = []

    def probe(*args: object, **kwargs: object) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            codes.append(client.connect_ex(str(path)))

    monkeypatch.setattr(os, "chmod", probe)
    monkeypatch.setattr(os, "chown", probe)
    await (await open_one(path, mode=0o600, owner=0)).aclose()
    assert codes == [errno.ECONNREFUSED] * 2


async def test_an_old_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    left_behind(path)
    before = identity(path)
    # Keep its inode busy, so that the new one has another number.
    os.link(path, tmp_path / "other")
    async with serve_endpoint(echo, listen=[f"unix:{path}"]):
        assert identity(path) != before
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling"])
async def test_what_is_no_socket_is_left_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    left_behind(tmp_path / "old")
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / ("old" if kind == "link" else "nothing"))
    before = identity(path)
    with pytest.raises(FileExistsError, match=r"unix:.*: at its path is .*, and no socket"):
        await open_one(path)
    assert identity(path) == before


@pytest.mark.parametrize("kind", ["stream", "full", "datagrams", "packets"])
async def test_a_socket_in_use_is_left_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    types = {"datagrams": socket.SOCK_DGRAM, "packets": socket.SOCK_SEQPACKET}
    with (
        socket.socket(socket.AF_UNIX, types.get(kind, socket.SOCK_STREAM)) as other,
        socket.socket(socket.AF_UNIX) as waiting,
    ):
        other.bind(str(path))
        if kind != "datagrams":
            other.listen(0)
        if kind == "full":
            waiting.connect(str(path))
        with pytest.raises(OSError, match=r"unix:.*: a process listens there") as caught:
            await open_one(path)
        assert caught.value.errno == errno.EADDRINUSE
        assert path.exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may connect to everything")
async def test_a_socket_that_may_not_be_asked_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    left_behind(path)
    path.chmod(0)
    with pytest.raises(PermissionError, match="is not known"):
        await open_one(path)
    assert path.exists()


async def test_two_that_start_at_once_get_one_socket(tmp_path: Path) -> None:
    """Both find the old file; the second one finds the first one listening."""
    path = tmp_path / "socket"
    left_behind(path)
    results: list[object] = []

    async def start() -> None:
        try:
            results.append(await open_one(path))
        except OSError as error:
            results.append(error.errno)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(start)
    [listener] = [one for one in results if isinstance(one, UnixListener)]
    assert [one for one in results if one is not listener] == [errno.EADDRINUSE] * 4
    stream = await trio.open_unix_socket(path)
    await stream.aclose()
    await listener.aclose()


async def test_an_opener_waits_for_another_process(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    other = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def unlock() -> None:
                await trio.sleep(1)
                fcntl.flock(other, fcntl.LOCK_UN)

            await (await open_one(tmp_path / "socket")).aclose()
            assert 1 <= trio.current_time() < 1.1
    finally:
        os.close(other)


async def test_an_opener_waits_for_five_seconds_at_most(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    other = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process holds a lock"):
            await open_one(tmp_path / "socket")
        assert trio.current_time() == pytest.approx(5)
        with trio.move_on_after(1) as scope:
            await open_one(tmp_path / "socket")
        assert scope.cancelled_caught
    finally:
        os.close(other)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_took_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first = await open_one(path)
    os.rename(path, tmp_path / "away")
    second = await open_one(path)
    await first.aclose()
    assert path.exists(), "it is the second one's"
    await second.aclose()
    assert not path.exists()
    await second.aclose()  # again is no error


async def test_a_file_that_was_removed_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with serve_endpoint(echo, listen=[f"unix:{path}"]):
        path.unlink()
    assert list(tmp_path.iterdir()) == []


async def test_a_child_process_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    listener = await open_one(path)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    await listener.aclose()
    assert path.exists()


@pytest.mark.skipif(not os.path.exists("/proc/net/unix"), reason="Linux alone has abstract names")
async def test_an_abstract_name(tmp_path: Path) -> None:
    name = f"trio_wsendpoint test {os.getpid()}"
    async with serve_endpoint(echo, listen=[f"unix:@{name}"]) as server:
        assert server.addresses == (f"unix:@{name}",)
        with pytest.raises(OSError, match=f"cannot listen on unix:@{name}: Address already in use"):
            await open_listeners(f"unix:@{name}")
        stream = await trio.open_unix_socket(f"\0{name}")
        async with connect_endpoint("ws://localhost/", stream=stream) as client:
            await client.send("hello")
            assert await client.receive() == "hello"


async def test_elsewhere_there_are_no_abstract_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(OSError, match="Linux alone"):
        await open_listeners("unix:@name")

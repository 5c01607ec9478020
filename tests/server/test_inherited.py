"""Sockets that were opened before this process: by number, and by the variables of systemd."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.examples.programs import ROOT
from trio_wsendpoint import connect_endpoint, open_listeners, serve_endpoint
from trio_wsendpoint.addressing import parse_listen
from trio_wsendpoint.server.inherited import InheritedListener, claim_sockets, take_over

from .helpers import echo


def given(kind: str) -> tuple[int, list[socket.socket]]:
    """A descriptor that is no good, and what has to be closed."""
    if kind == "datagrams":
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return one.fileno(), [one]
    if kind == "connection":
        one, other = socket.socketpair()
        return one.fileno(), [one, other]
    if kind == "silent":
        one = socket.socket()
        return one.fileno(), [one]
    one = socket.socket()
    number = one.detach()
    os.close(number)
    return number, []


BAD = {
    "datagrams": (errno.EPROTOTYPE, "is a socket of datagrams"),
    "connection": (errno.EINVAL, "is a connection: Accept=yes hands over connections"),
    "silent": (errno.EINVAL, r"does not listen: listen\(\) was not called"),
    "closed": (errno.EBADF, "is not open: Bad file descriptor"),
}


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket as it is inherited: blocking, and for child processes too."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        one.set_inheritable(True)
        yield one


@pytest.mark.parametrize("kind", BAD)
async def test_a_descriptor_that_is_no_good(kind: str) -> None:
    number, opened = given(kind)
    try:
        code, cause = BAD[kind]
        text = f"^.Errno {code}. cannot listen on fd:{number}: descriptor {number} {cause}"
        with pytest.raises(OSError, match=text) as caught:
            await open_listeners(f"fd:{number}")
        assert caught.value.errno == code
    finally:
        for one in opened:
            one.close()


async def test_a_descriptor_that_is_no_socket(tmp_path: Path) -> None:
    number = os.open(tmp_path / "file", os.O_CREAT)
    try:
        with pytest.raises(OSError, match=f"descriptor {number} is no socket"):
            await open_listeners(f"fd:{number}")
    finally:
        os.close(number)


async def test_a_socket_by_number(listening: socket.socket) -> None:
    number = listening.detach()
    async with serve_endpoint(echo, listen=[f"fd:{number}"]) as server:
        [listener] = server.listeners
        assert isinstance(listener, InheritedListener)
        assert repr(listener) == f"<InheritedListener fd:{number}, descriptor {number}>"
        assert not os.get_inheritable(number)
        assert not os.get_blocking(number)
        async with connect_endpoint(server.urls[0]) as client:
            await client.send("hello")
            assert await client.receive() == "hello"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


async def test_when_another_address_fails_it_stays_as_it_was(
    listening: socket.socket, tmp_path: Path
) -> None:
    for wrong in (f"unix:{tmp_path}/missing/socket", "tcp:192.0.2.1:0", "fd:999999999"):
        with pytest.raises(OSError, match="cannot listen on"):
            await open_listeners(f"fd:{listening.fileno()}", wrong)
        assert (listening.getblocking(), listening.get_inheritable()) == (True, True)


# ---- systemd -------------------------------------------------------------------------------------


def environ(*sockets: socket.socket, **others: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(sockets)), **others}


async def test_the_variables_are_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    for pid, cause in ((None, "LISTEN_PID is not set"), ("1", "not for this process")):
        if pid is not None:
            monkeypatch.setenv("LISTEN_PID", pid)
        with pytest.raises(OSError, match=f"cannot listen on systemd:web: .*{cause}"):
            await open_listeners("systemd:web")
    assert os.environ["LISTEN_PID"] == "1", "nothing was taken over"


def test_a_socket_that_two_addresses_claim() -> None:
    with pytest.raises(OSError, match="cannot listen on fd:7: fd:7 and fd:7 both claim"):
        claim_sockets([parse_listen("fd:7")] * 2, {})


async def test_the_variables_leave_when_the_sockets_are_taken(listening: socket.socket) -> None:
    number = listening.detach()
    variables = environ(listening, LISTEN_FDNAMES="web", LISTEN_PIDFDID="7", PATH="/bin")
    by_number = parse_listen(f"fd:{number}")
    taken = take_over({by_number: (number,)}, variables)
    assert "LISTEN_FDS" in variables, "they are for another taker"
    await taken[by_number][0].aclose()
    assert take_over({parse_listen("systemd:"): ()}, variables) == {parse_listen("systemd:"): []}
    assert variables == {"PATH": "/bin"}


SERVER = """
import os, sys
import trio
from trio_wsendpoint import serve_endpoint

async def echo(connection):
    async for message in connection:
        await connection.send(message)
        if message == "stop":
            stop.set()

async def main():
    global stop
    stop = trio.Event()
    async with serve_endpoint(echo, listen=sys.argv[1:]) as server:
        print(*server.addresses, [name for name in os.environ if name.startswith("LISTEN")])
        await stop.wait()

trio.run(main)
"""


@pytest.mark.component
@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="Debian's systemd is not installed"
)
@pytest.mark.parametrize("names", [(), ("web", "web")])
async def test_systemd_hands_over_sockets(names: tuple[str, ...], tmp_path: Path) -> None:
    """`systemd-socket-activate` listens, starts the server with the first client, and stays out."""
    path = tmp_path / "socket"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", str(path)]
    command += ["--fdname", ":".join(names)] if names else []
    address = "systemd:web" if names else "systemd:"
    program = [sys.executable, "-W", "error", "-c", SERVER, address]
    with trio.fail_after(60):
        process = await trio.lowlevel.open_process(
            [*command, *program], cwd=ROOT, stdout=-1, stderr=-1
        )
        try:
            while not path.exists():
                await trio.sleep(0.01)
            for way in ("tcp", "unix"):
                if way == "tcp":
                    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
                else:
                    stream = await trio.open_unix_socket(path)
                async with connect_endpoint("ws://localhost/", stream=stream) as client:
                    await client.send(way if way == "tcp" else "stop")
                    assert await client.receive() == (way if way == "tcp" else "stop")
            assert process.stdout is not None
            assert process.stderr is not None
            told = b"".join([bytes(part) async for part in process.stdout])
            errors = b"".join([bytes(part) async for part in process.stderr])
            assert await process.wait() == 0, errors
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                for pipe in (process.stdout, process.stderr):
                    if pipe is not None:
                        await pipe.aclose()
    assert told.decode() == f"tcp:127.0.0.1:{port} unix:{path} []\n"
    assert path.exists(), "the file is systemd's"

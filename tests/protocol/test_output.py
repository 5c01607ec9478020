"""Every kind of filehandle that an endpoint may be given."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_wsendpoint.protocol.output import Output


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two sockets, the first with a small buffer."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def test_bytes_io_blocks():
    out = io.BytesIO()
    output = Output(out)
    assert output.is_blocking
    output.write(b"abc")
    output.write(b"def")
    assert out.getvalue() == b"abcdef"
    assert not output.is_partial


def test_a_raw_file(tmp_path: Path):
    with open(tmp_path / "out", "wb", buffering=0) as out:
        output = Output(out)
        assert output.is_blocking
        output.write(b"abc")
    assert (tmp_path / "out").read_bytes() == b"abc"


def test_a_buffered_file_is_flushed(tmp_path: Path):
    with open(tmp_path / "out", "wb") as out:
        output = Output(out)
        assert output.is_blocking
        output.write(b"abc")
        assert not output.is_partial
        assert (tmp_path / "out").read_bytes() == b"abc"


def test_a_blocking_socket(pair: tuple[socket.socket, socket.socket]):
    ours, theirs = pair
    output = Output(ours)
    assert output.is_blocking
    output.write(b"abc")
    assert theirs.recv(10) == b"abc"
    ours.setblocking(False)
    assert not output.is_blocking


def test_a_non_blocking_socket_takes_a_part(pair: tuple[socket.socket, socket.socket]):
    ours, theirs = pair
    ours.setblocking(False)
    output = Output(ours)
    data = os.urandom(1 << 20)
    output.write(data)
    was_partial = output.is_partial
    assert was_partial
    output.resume()  # nothing fits: nothing changes
    received = bytearray()
    while output.is_partial:
        received += theirs.recv(1 << 20)
        output.resume()
    ours.shutdown(socket.SHUT_WR)
    while piece := theirs.recv(1 << 20):
        received += piece
    assert received == data


@pytest.mark.parametrize("buffering", [0, 16, 8192])
def test_a_non_blocking_file(pair: tuple[socket.socket, socket.socket], buffering: int):
    ours, theirs = pair
    ours.setblocking(False)
    with open(os.dup(ours.fileno()), "wb", buffering=buffering) as out:
        output = Output(out)
        assert not output.is_blocking
        sent = received = b""
        for size in (1, 100_000, 17, 5000):
            data = os.urandom(size)
            sent += data
            output.write(data)
            while output.is_partial:
                received += theirs.recv(1 << 20)
                output.resume()
            # What is not partial has left us, whatever buffer there is.
            while len(received) < len(sent):
                received += theirs.recv(1 << 20)
            assert received == sent


class Writer:
    """A blocking object that takes at most `step` bytes a call."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.data = b""

    def write(self, data: memoryview) -> int:
        self.data += bytes(data[: self.step])
        return len(data[: self.step])


def test_a_blocking_writer_that_takes_a_part_gets_the_rest():
    out = Writer(3)
    output = Output(out)
    assert output.is_blocking
    output.write(b"abcdefgh")
    assert out.data == b"abcdefgh"
    assert not output.is_partial


def test_a_blocking_writer_that_returns_none_has_taken_all():
    taken: list[bytes] = []

    class Sink:
        def write(self, data: memoryview) -> None:
            taken.append(bytes(data))

    output = Output(Sink())
    output.write(b"abc")
    assert taken == [b"abc"]
    assert not output.is_partial


class NonBlocking:
    """A non-blocking object that answers from a list."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.data = b""

    def getblocking(self) -> bool:
        return False

    def send(self, data: memoryview) -> int | None:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        self.data += bytes(data[: answer or 0])
        return answer  # type: ignore[no-any-return]


def test_none_and_would_block_from_one_that_does_not_block():
    out = NonBlocking([None, BlockingIOError(), 2, 0, 1])
    output = Output(out)
    output.write(b"abc")
    states = []
    for _ in range(4):
        states.append((output.is_partial, out.data))
        output.resume()
    assert states == [(True, b""), (True, b""), (True, b"ab"), (True, b"ab")]
    assert not output.is_partial
    assert out.data == b"abc"


def test_other_errors_come_out_and_clear_forgets_the_rest():
    output = Output(NonBlocking([BrokenPipeError("gone")]))
    with pytest.raises(BrokenPipeError, match="gone"):
        output.write(b"abc")
    assert output.is_partial
    output.clear()
    assert not output.is_partial


def test_a_dead_descriptor_tells_of_itself_when_written_to():
    reading, writing = os.pipe()
    os.close(reading)
    out = open(writing, "wb", buffering=0)  # noqa: SIM115
    os.close(writing)
    output = Output(out)
    assert output.is_blocking
    with pytest.raises(OSError, match="Bad file descriptor"):
        output.write(b"abc")
    with pytest.raises(OSError, match="Bad file descriptor"):
        out.close()


def test_out_needs_a_way_to_write():
    with pytest.raises(TypeError, match=r"out needs a write \(or send\) method, 3 has none"):
        Output(3)

"""What is written in C: it compiles without a warning, and does what the Python does."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading

import pytest

from tests.benchmarks import native
from tests.benchmarks.engine import Engine
from tests.benchmarks.figures import bucket, quantile

needs_compiler = pytest.mark.skipif(
    bool(native.why_not("echo")), reason=f"{native.why_not('echo')}"
)


@pytest.fixture
def engine():
    if why := native.why_not("load"):
        pytest.skip(why)
    return Engine(native.build("load"))


def tcp_pair():
    """Return both ends of a connection over loopback: `MSG_TRUNC` is TCP's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    return ours, peer


@contextlib.contextmanager
def answering(answer, count=1):
    """Give the descriptors of `count` connections; `answer` runs in a thread for each other end."""
    pairs = [tcp_pair() for _ in range(count)]
    threads = [threading.Thread(target=answer, args=(peer,)) for _, peer in pairs]
    for thread in threads:
        thread.start()
    for ours, _ in pairs:
        ours.setblocking(False)
    try:
        yield [ours.fileno() for ours, _ in pairs]
    finally:
        for ours, _ in pairs:
            ours.close()
        for thread in threads:
            thread.join()
        for _, peer in pairs:
            peer.close()


def echo(peer):
    with contextlib.suppress(OSError):
        while data := peer.recv(1000):
            peer.sendall(data)


def run(engine, fds, **arguments):
    told = {"frame": b"abcde", "echo": 5, "in_flight": 1, "seconds": 0.02, "is_broadcast": False}
    return engine.run(fds, **(told | arguments))


@needs_compiler
@pytest.mark.parametrize("name", ["echo", "load"])
def test_it_compiles_without_a_warning(name, tmp_path):
    command = [native.find_compiler(), "-Wall", "-Wextra", "-Werror", *native.FLAGS[name]]
    source = str(native.HERE / f"{name}.c")
    done = subprocess.run(
        [*command, "-o", str(tmp_path / name), source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_without_a_compiler_there_is_a_reason(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(native.CannotCompileError, match="there is no C compiler"):
        native.find_compiler()


@needs_compiler
def test_a_compiler_that_refuses_is_a_reason(monkeypatch, tmp_path):
    (tmp_path / "load.c").write_text("this is no C\n")
    monkeypatch.setattr(native, "HERE", tmp_path)
    monkeypatch.setattr(native, "BUILT", tmp_path)
    with pytest.raises(native.CannotCompileError, match=r"refuses load\.c"):
        native.build.__wrapped__("load")


@pytest.mark.parametrize("in_flight", [1, 7])
def test_the_loops_count_messages_and_their_latencies(engine, in_flight):
    with answering(echo, 3) as fds:
        done, histogram = run(engine, fds, in_flight=in_flight)
    assert done >= 3 * in_flight
    assert sum(histogram) == done
    assert 0 < quantile(histogram, 0.5) <= quantile(histogram, 0.99)


def test_a_round_is_one_message_at_least_and_nothing_is_left_under_way(engine):
    with answering(echo) as fds:
        assert [run(engine, fds, seconds=0)[0] for _ in range(3)] == [1, 1, 1]


def test_messages_larger_than_the_socket_takes(engine):
    frame = bytes(4 * 1024 * 1024)
    with answering(echo) as fds:
        done, _ = run(engine, fds, frame=frame, echo=len(frame), in_flight=2, seconds=0)
    assert done == 2


def test_latencies_are_counted_in_the_buckets_of_figures(engine):
    def slow(peer):
        data = peer.recv(1000)
        stop.wait(0.05)
        peer.sendall(data)

    stop = threading.Event()
    with answering(slow) as fds:
        _, histogram = run(engine, fds, seconds=0)
    (found,) = (number for number, count in enumerate(histogram) if count)
    assert bucket(50_000_000) - 1 <= found < bucket(5_000_000_000)


def test_a_server_that_goes_away_is_an_error(engine):
    def leave(peer):
        peer.recv(1000)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()

    with answering(leave) as fds, pytest.raises(OSError, match="reset"):
        run(engine, fds, seconds=5)


def test_a_broadcast_ends_when_all_have_it(engine):
    pairs = [tcp_pair() for _ in range(3)]

    def send_to_all():
        while data := pairs[0][1].recv(1000):
            for _, peer in pairs:
                peer.sendall(data)

    thread = threading.Thread(target=send_to_all)
    thread.start()
    try:
        done, histogram = run(engine, [one.fileno() for one, _ in pairs], is_broadcast=True)
    finally:
        pairs[0][0].close()
        thread.join()
        for one, two in pairs:
            one.close()
            two.close()
    assert done >= 3
    assert done % 3 == 0
    assert sum(histogram) == done

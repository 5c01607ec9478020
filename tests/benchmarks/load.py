"""The load generator: a process of its own that keeps one server busy.

It is light, for it shares the core: its frames are made beforehand, and what comes back is
counted in bytes.  Once for each connection an echo is read as frames and compared with what was
sent.  It reads commands, a line of JSON each, and answers each with a line.

`python -m tests.benchmarks.load '{"work": {...}, "port": 1234, "raw": false}'`
"""

from __future__ import annotations

import gc
import json
import resource
import select
import socket
import ssl
import sys
import time
from typing import Any

from tests.benchmarks.frames import (
    BINARY,
    CLOSE,
    TEXT,
    Walker,
    inflate,
    make_frame,
    make_request,
    payloads,
)

HOST = "127.0.0.1"
#: Seconds after which a server that answers nothing has failed.
PATIENCE = 30
CHUNK = 256 * 1024


class Connection:
    """One connection of the load: what it has yet to write, and how much of an echo has come."""

    def __init__(self, load: Load, sock: socket.socket) -> None:
        self.load = load
        self.sock = sock
        self.turn = 0
        self.pending = memoryview(b"")
        self.received = 0
        self.walker = Walker()

    def push(self, count: int) -> bool:
        """Send `count` messages, as far as it goes; return whether some is pending."""
        frames = self.load.frames
        if len(frames) == 1:
            data = self.load.joined[: count * len(frames[0])]
        else:
            turns = range(self.turn, self.turn + count)
            data = memoryview(b"".join(frames[turn % len(frames)] for turn in turns))
            self.turn += count
        self.pending = memoryview(bytes(self.pending) + data) if self.pending else data
        return self.flush()

    def flush(self) -> bool:
        try:
            while self.pending:
                self.pending = self.pending[self.sock.send(self.pending) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            return True
        return False

    def take(self) -> int:
        """Read what has come; return how many messages that completes."""
        load = self.load
        if load.walks:
            data = self.sock.recv(CHUNK)
            if not data:
                raise ConnectionError("the server went away")
            return self.walker.feed(data)
        size = self.sock.recv_into(load.buffer)
        if not size:
            raise ConnectionError("the server went away")
        done, self.received = divmod(self.received + size, load.echo)
        return done


class Load:
    """All connections to one server."""

    def __init__(self, work: dict[str, Any], port: int, raw: bool) -> None:
        self.work = work
        self.port = port
        self.raw = raw
        self.walks = bool(work["deflate"])
        opcode = TEXT if work["text"] else BINARY
        self.payloads = payloads(work["size"], text=work["text"], deflate=work["deflate"])
        self.frames = [make_frame(one, opcode, deflate=work["deflate"]) for one in self.payloads]
        self.joined = memoryview(self.frames[0] * work["in_flight"])
        self.request = make_request(port, deflate=work["deflate"])
        self.farewell = make_frame((1000).to_bytes(2, "big"), CLOSE)
        self.buffer = bytearray(CHUNK)
        self.echo = 0  # bytes that come back for a message
        self.connections: dict[int, Connection] = {}
        self.epoll = select.epoll()
        self.tls: ssl.SSLContext | None = None
        if work["tls"]:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.tls.check_hostname = False
            self.tls.verify_mode = ssl.CERT_NONE

    # ---- opening -----------------------------------------------------------------------------

    def connect(self) -> socket.socket:
        sock = socket.create_connection((HOST, self.port), timeout=PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock)
        if not self.raw:
            sock.sendall(self.request)
            self.read_head(sock)
        return sock

    def read_head(self, sock: socket.socket) -> None:
        head = sock.recv(CHUNK)
        while not head.endswith(b"\r\n\r\n"):
            data = sock.recv(CHUNK)
            if not data:
                raise ConnectionError(f"the server answered {head!r}")
            head += data
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(f"the server answered {head!r}")
        if self.work["deflate"] is not (b"permessage-deflate" in head):
            raise ConnectionError(f"compression is not as it was asked for: {head!r}")

    def open(self, count: int) -> None:
        """Open `count` more connections, and check that what they echo is what was sent."""
        kind = self.work["kind"]
        for _ in range(count):
            connection = Connection(self, self.connect())
            if kind == "echo" or self.work["used"]:
                self.check(connection)
            connection.sock.setblocking(False)
            self.connections[connection.sock.fileno()] = connection
            self.epoll.register(connection.sock.fileno(), select.EPOLLIN)
        if kind == "broadcast":
            self.echo = len(self.payloads[0]) + 2 if not self.raw else len(self.frames[0])
            self.settle()

    def settle(self) -> None:
        """Wait until all connections are served: until each gets what is sent to all."""
        first = next(iter(self.connections.values()))
        while True:
            first.push(1)
            got = 0
            while events := self.epoll.poll(0.2):
                got += sum(self.connections[fd].take() for fd, _ in events)
            if got == len(self.connections):
                return

    def check(self, connection: Connection) -> None:
        """Send one message and read its echo; learn how long it is."""
        connection.sock.setblocking(False)
        connection.turn = 1
        connection.pending = memoryview(self.frames[0])
        data = b""
        size = len(self.frames[0])
        while not (len(data) >= size if self.raw else connection.walker.payload):
            is_pending = connection.flush()
            sock = connection.sock
            if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
                # Not select.select(), which takes no descriptor above 1023.
                poll = select.poll()
                poll.register(sock, select.POLLIN | (select.POLLOUT if is_pending else 0))
                if not poll.poll(PATIENCE * 1000):
                    raise TimeoutError("no echo")
            try:
                piece = sock.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            if not piece:
                raise ConnectionError("the server went away")
            data += piece
            if not self.raw:
                connection.walker.feed(piece)
        self.compare(connection.walker, data)
        self.echo = len(data)

    def compare(self, walker: Walker, data: bytes) -> None:
        if self.raw:
            is_right = data == self.frames[0]
        else:
            got = inflate(walker.payload) if walker.is_compressed else walker.payload
            is_right = got == self.payloads[0] and walker.is_between_messages
            is_right = is_right and walker.is_compressed is self.work["deflate"]
        if not is_right:
            raise ConnectionError(f"this is no echo: {data[:100]!r} ({len(data)} bytes)")

    # ---- rounds ------------------------------------------------------------------------------

    def run(self, seconds: float) -> int:
        """Keep the server busy for about `seconds`; return how often it did its work: once or more.

        Nothing is under way when it returns.
        """
        end = time.perf_counter() + seconds
        kind = self.work["kind"]
        if kind == "handshake":
            return self.run_handshakes(end)
        if kind == "broadcast":
            return self.run_broadcast(end)
        if self.work["connections"] == self.work["in_flight"] == 1:
            return self.run_alone(end)
        return self.run_echo(end)

    def run_alone(self, end: float) -> int:
        """One connection, one message: nothing but two system calls."""
        (connection,) = self.connections.values()
        sock = connection.sock
        sock.settimeout(None)
        frame, echo, clock = self.frames[0], self.echo, time.perf_counter
        done = 0
        while not done or clock() < end:
            sock.send(frame)
            left = echo
            while left:
                size = len(sock.recv(65536))
                if not size:
                    raise ConnectionError("the server went away")
                left -= size
            done += 1
        return done

    def run_echo(self, end: float) -> int:
        connections, epoll, clock = self.connections, self.epoll, time.perf_counter
        both, reading = select.EPOLLIN | select.EPOLLOUT, select.EPOLLIN
        in_flight = self.work["in_flight"]
        done = 0
        for fd, connection in connections.items():
            if connection.push(in_flight):
                epoll.modify(fd, both)
        outstanding = in_flight * len(connections)
        while outstanding:
            events = epoll.poll(PATIENCE)
            if not events:
                raise TimeoutError("no echo")
            goes_on = clock() < end
            for fd, event in events:
                connection = connections[fd]
                if event & ~both:
                    raise ConnectionError("the server went away")
                if event & select.EPOLLOUT and not connection.flush():
                    epoll.modify(fd, reading)
                if not event & reading:
                    continue
                count = connection.take()
                done += count
                if not goes_on:
                    outstanding -= count
                elif count and connection.push(count):
                    epoll.modify(fd, both)
        return done

    def run_broadcast(self, end: float) -> int:
        connections, epoll, clock = self.connections, self.epoll, time.perf_counter
        first = next(iter(connections.values()))
        done = 0
        while not done or clock() < end:
            first.push(1)
            left = len(connections)
            while left:
                events = epoll.poll(PATIENCE)
                if not events:
                    raise TimeoutError("not everyone got the message")
                for fd, _ in events:
                    left -= connections[fd].take()
            done += len(connections)
        return done

    def run_handshakes(self, end: float) -> int:
        """Open, say goodbye, and wait for the server to close."""
        done = 0
        while not done or time.perf_counter() < end:
            with self.connect() as sock:
                sock.sendall(self.farewell)
                try:
                    while sock.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
            done += 1
        return done


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    told = json.loads(sys.argv[1])
    load = Load(told["work"], told["port"], told["raw"])
    gc.disable()
    for line in sys.stdin:
        command = json.loads(line)
        started, cpu = time.perf_counter(), time.process_time()
        try:
            count = 0
            if "open" in command:
                load.open(command["open"])
            else:
                count = load.run(command["run"])
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no figure
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
            return
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        print(json.dumps({"count": count, "seconds": seconds, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    main()

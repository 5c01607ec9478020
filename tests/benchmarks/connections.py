"""The connections of a load to one server: opened, and one echo of each compared."""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from typing import Any

from tests.benchmarks.frames import (
    BINARY,
    CLOSE,
    TEXT,
    Walker,
    inflate,
    make_event,
    make_frame,
    make_get,
    make_request,
    payloads,
)

HOST = "127.0.0.1"
#: Seconds after which a server that answers nothing has failed.
PATIENCE = 20
CHUNK = 256 * 1024
#: Where a server of Socket.IO takes WebSockets.
SOCKETIO = "/socket.io/?EIO=4&transport=websocket"


class Connection:
    """One connection of the load: what it has yet to write, and how much of an echo has come."""

    def __init__(self, load: Load, sock: socket.socket) -> None:
        self.load = load
        self.sock = sock
        self.turn = 0
        self.pending: deque[memoryview] = deque()
        self.received = 0
        self.walker = Walker()
        #: When each message under way was written, in ns.
        self.stamps: deque[int] = deque()

    def push(self, count: int, time: int) -> bool:
        """Send `count` messages, a call for each, as far as it goes; return whether some wait."""
        frames = self.load.frames
        for _ in range(count):
            self.pending.append(memoryview(frames[self.turn % len(frames)]))
            self.stamps.append(time)
            self.turn += 1
        return self.flush()

    def flush(self) -> bool:
        pending, send = self.pending, self.sock.send
        try:
            while pending:
                sent = send(pending[0])
                if sent == len(pending[0]):
                    pending.popleft()
                else:
                    pending[0] = pending[0][sent:]
        except (BlockingIOError, ssl.SSLWantWriteError):
            return True
        return False

    def take(self) -> int:
        """Read what has come; return how many messages that completes."""
        load = self.load
        try:
            if load.walks:
                data = self.sock.recv(CHUNK)
                size = len(data)
            else:
                size = self.sock.recv_into(load.buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0  # a part of a TLS record
        if not size:
            raise ConnectionError("the server went away")
        if load.walks:
            return self.walker.feed(data)
        done, self.received = divmod(self.received + size, load.echo)
        return done


class Load:
    """All connections to one server; `socketio`: it speaks Socket.IO over its WebSockets."""

    def __init__(
        self,
        work: dict[str, Any],
        port: int,
        raw: bool = False,
        *,
        socketio: bool = False,
        path: str = "/",
    ) -> None:
        self.work = work
        self.port = port
        self.socketio = socketio
        self.raw = raw or work["kind"] == "request"
        self.walks = bool(work["deflate"])
        opcode = TEXT if work["text"] else BINARY
        self.payloads = payloads(work["size"], text=work["text"], deflate=work["deflate"])
        self.frames = [make_frame(one, opcode, deflate=work["deflate"]) for one in self.payloads]
        if work["kind"] == "request":
            self.frames = [make_get(port)]
        if socketio:
            path = SOCKETIO
            self.payloads = [make_event(work["size"])]
            self.frames = [make_frame(self.payloads[0], TEXT)]
        self.request = make_request(port, deflate=work["deflate"], path=path)
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

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """Open a connection; with a small buffer the system holds little that is not read."""
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        if receive_buffer is not None:  # before it connects, or the window is large already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect((HOST, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock)
        if not self.raw:
            sock.sendall(self.request)
            rest = self.read_head(sock)
            if self.socketio:
                self.join(sock, rest)
        return sock

    def join(self, sock: socket.socket, data: bytes) -> None:
        """Enter the namespace of Socket.IO: the server greets, we ask, it answers."""
        walker = Walker()
        for sent, answer in ((b"", b"0{"), (make_frame(b"40", TEXT), b"40{")):
            sock.sendall(sent)
            while not walker.feed(data):
                data = sock.recv(CHUNK)
                if not data:
                    raise ConnectionError("the server went away")
            data = b""
            if not walker.payload.startswith(answer):
                raise ConnectionError(f"this is no Socket.IO: {walker.payload[:100]!r}")

    def read_head(self, sock: socket.socket) -> bytes:
        """Read the server's answer; return what it has sent behind that."""
        head = sock.recv(CHUNK)
        while b"\r\n\r\n" not in head:
            data = sock.recv(CHUNK)
            if not data:
                raise ConnectionError(f"the server answered {head!r}")
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(f"the server answered {head!r}")
        if self.work["deflate"] is not (b"permessage-deflate" in head):
            raise ConnectionError(f"compression is not as it was asked for: {head!r}")
        return rest

    def open(self, count: int) -> None:
        """Open `count` more connections, and check that what they echo is what was sent."""
        kind = self.work["kind"]
        for _ in range(count):
            connection = Connection(self, self.connect())
            if kind == "request":
                self.ask(connection.sock)
            elif kind == "echo" or self.work["used"]:
                self.check(connection)
            connection.sock.setblocking(False)
            self.connections[connection.sock.fileno()] = connection
            self.epoll.register(connection.sock.fileno(), select.EPOLLIN)
        if kind == "broadcast":
            size = len(self.payloads[0])
            self.echo = len(self.frames[0]) if self.raw else size + (2 if size < 126 else 4)
            self.settle()

    def ask(self, sock: socket.socket) -> None:
        """Send one request and check its answer; learn how long that is, which is always the same.

        The application answers as many bytes `x` as a message has.
        """
        sock.sendall(self.frames[0])
        body = b"\r\n\r\n" + b"x" * self.work["size"]
        data = b""
        while not data.endswith(body):
            piece = sock.recv(CHUNK)
            data += piece
            if not piece or not b"HTTP/1.1 200 ".startswith(data[:13]):
                raise ConnectionError(f"the server answered {data[:100]!r}")
        self.echo = len(data)

    def settle(self) -> None:
        """Wait until all connections are served: until each gets what is sent to all."""
        first = next(iter(self.connections.values()))
        while True:
            first.push(1, 0)
            got = 0
            while events := self.epoll.poll(0.2):
                got += sum(self.connections[fd].take() for fd, _ in events)
            first.stamps.clear()
            if got == len(self.connections):
                return

    def check(self, connection: Connection) -> None:
        """Send one message and read its echo; learn how long it is."""
        connection.sock.setblocking(False)
        connection.turn = 1
        connection.pending.append(memoryview(self.frames[0]))
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

"""The judge: a server made by hand, of no library, that notes what it is sent.

It reads as fast or slowly as it is told, and knows whether what came is a sequence of whole
messages.
"""

from __future__ import annotations

import base64
import hashlib
import socket

import trio

__all__ = ["Peer", "server_frame", "socket_pair"]

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
#: What a client sends to have an answer, and the answer.
QUESTION, ANSWER = b"are you there?", b"yes"
#: Bytes that the system holds between the two; its least.
BUFFER = 4096


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Return two ends of a stream of the system's own that holds little.

    Within one machine bytes arrive at once, so that a clock which jumps never jumps too early.
    """
    ends = []
    for end in socket.socketpair():
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        ends.append(trio.SocketStream(trio.socket.from_stdlib_socket(end)))
    return ends[0], ends[1]


def server_frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return the bytes of a server's frame."""
    first = (0x80 if fin else 0) | opcode
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 65536:
        return bytes([first, 126]) + len(payload).to_bytes(2, "big") + payload
    return bytes([first, 127]) + len(payload).to_bytes(8, "big") + payload


def unmask(mask: bytes, payload: bytes) -> bytes:
    """Return `payload` without its mask."""
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return plain.to_bytes(len(payload), "big")


class Peer:
    """The other side of the connection that is probed."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        #: The messages that came whole, without the questions.
        self.messages: list[bytes] = []
        #: What a client must not send, if it did.
        self.violation = ""
        self.answers_pings = True
        self._data = bytearray()
        self._parts: list[bytes] | None = None
        self._replies: list[bytes] = []

    @property
    def is_amid_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._data) or self._parts is not None

    async def shake_hands(self) -> None:
        """Accept whatever is asked for, and no extension."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self.stream.receive_some(4096)
        fields = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        keys = {name.strip().lower(): value.strip() for name, _, value in fields}
        digest = hashlib.sha1(keys[b"sec-websocket-key"] + GUID).digest()
        await self.stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    async def read(self, size: int = 65536, pause: float = 0) -> None:
        """Read `size` bytes every `pause` seconds, and answer, until the client ends."""
        try:
            while data := await self.stream.receive_some(size):
                self.feed(bytes(data))
                while self._replies:
                    await self.stream.send_all(self._replies.pop(0))
                if pause:
                    await trio.sleep(pause)
        except trio.BrokenResourceError:
            return

    async def write(self, data: bytes, size: int = 65536, pause: float = 0) -> None:
        """Write `data` in pieces of `size` bytes, one every `pause` seconds."""
        try:
            for start in range(0, len(data), size):
                await self.stream.send_all(data[start : start + size])
                if pause:
                    await trio.sleep(pause)
        except trio.BrokenResourceError:
            return

    def feed(self, data: bytes) -> None:
        """Take bytes of the client apart."""
        self._data += data
        while not self.violation and self._take_frame():
            pass

    def _take_frame(self) -> bool:
        data = self._data
        if len(data) < 2:
            return False
        opcode, size, start = data[0] & 0x0F, data[1] & 0x7F, 2
        if data[0] & 0x70 or opcode not in {0, 1, 2, 8, 9, 10} or not data[1] & 0x80:
            self.violation = f"no frame of a client begins with {bytes(data[:2])!r}"
            return False
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        end = start + 4 + size
        if len(data) < start or len(data) < end:
            return False
        mask = bytes(data[start : start + 4])
        payload = unmask(mask, bytes(data[start + 4 : end]))
        fin = bool(data[0] & 0x80)
        del data[:end]
        self._handle(opcode, fin, payload)
        return True

    def _handle(self, opcode: int, fin: bool, payload: bytes) -> None:
        if opcode == PING:
            if self.answers_pings:
                self._replies.append(server_frame(PONG, payload))
        elif opcode == CLOSE:
            self._replies.append(server_frame(CLOSE, payload))
        elif opcode != PONG:
            if (opcode == CONTINUATION) is (self._parts is None):
                self.violation = "fragments out of order"
                return
            parts = self._parts or []
            parts.append(payload)
            self._parts = None if fin else parts
            if fin:
                self._take_message(b"".join(parts))

    def _take_message(self, message: bytes) -> None:
        if message == QUESTION:
            self._replies.append(server_frame(TEXT, ANSWER))
        else:
            self.messages.append(message)

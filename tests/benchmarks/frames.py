"""What the load sends, made beforehand, and the least that it must know of what comes back."""

from __future__ import annotations

import base64
import json
import random
import zlib

TEXT, BINARY, CLOSE = 1, 2, 8
#: The mask of all frames: it has to be applied by the server, whatever it is.
MASK = b"\x1f\x9c\x63\xe8"
#: How many different messages a load with compression sends in turn.
VARIETY = 32

#: Characters of one to four bytes, as in real text.
WORDS = (
    "naïve ",
    "Größe ",
    "данные ",
    "メッセージ ",
    "the frame ",
    "of a message ",
    "🙂 ",
    "żółć ",
)


def payloads(size: int, *, text: bool, deflate: bool) -> list[bytes]:
    """Return the messages that are sent in turn, of `size` bytes each."""
    if deflate:
        return [_json(size, seed) for seed in range(VARIETY)]
    if text:
        return [_text(size)]
    return [random.Random(size).randbytes(size)]


def _text(size: int) -> bytes:
    choose = random.Random(size).choice
    data = "".join(choose(WORDS) for _ in range(size // 5 + 1)).encode()
    return data[:size].decode(errors="ignore").encode().ljust(size)


def _json(size: int, seed: int) -> bytes:
    number = random.Random(seed)
    items: list[dict[str, object]] = []
    while len(data := json.dumps(items).encode()) <= size:
        items.append(
            {
                "id": number.randrange(10**6),
                "user": f"user{number.randrange(1000)}",
                "price": round(number.random() * 1000, 2),
                "state": number.choice(["open", "filled", "cancelled"]),
            }
        )
    return data[:size]


def make_frame(payload: bytes, opcode: int, *, deflate: bool = False) -> bytes:
    """Return the masked frame of a client; with `deflate`, what it holds is compressed.

    Each message is compressed by itself: it refers to no earlier one, which a peer that keeps its
    window accepts as well, so that the same bytes may be sent again and again.
    """
    first = 0x80 | opcode
    if deflate:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -12, 5)
        payload = (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        first |= 0x40
    size = len(payload)
    if size < 126:
        header = bytes([first, 0x80 | size])
    elif size < 65536:
        header = bytes([first, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        header = bytes([first, 0x80 | 127]) + size.to_bytes(8, "big")
    key = (MASK * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return header + MASK + masked.to_bytes(size, "big")


def make_event(size: int) -> bytes:
    """Return an event of Socket.IO as a message of `size` bytes."""
    return b'42["m","' + b"x" * (size - 10) + b'"]'


def make_get(port: int) -> bytes:
    """Return a request for a page, as a simple client writes it."""
    lines = [
        "GET /page?number=1 HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "User-Agent: load",
        "Accept: */*",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def make_request(port: int, *, deflate: bool, path: str = "/") -> bytes:
    """Return the request that opens a connection."""
    key = base64.b64encode(random.Random(port).randbytes(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    if deflate:
        # The same window for every server, and for our own frames.
        bits = "server_max_window_bits=12; client_max_window_bits=12"
        lines.append(f"Sec-WebSocket-Extensions: permessage-deflate; {bits}")
    return "\r\n".join([*lines, "", ""]).encode()


class Walker:
    """Counts the messages in a server's bytes, frame by frame; `payload` is the last one's."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[bytes] = []
        self.payload = b""
        self.is_compressed = False

    def feed(self, data: bytes) -> int:
        """Take bytes; return how many messages they complete."""
        data = self._rest + data
        position = done = 0
        while (size := len(data) - position) >= 2:
            first, length, start = data[position], data[position + 1], position + 2
            if length >= 126:
                wide = 2 if length == 126 else 8
                if size < 2 + wide:
                    break
                length = int.from_bytes(data[start : start + wide], "big")
                start += wide
            end = start + length
            if end > len(data):
                break
            position = end
            if first & 15 < CLOSE:
                self._parts.append(data[start:end])
                if first & 0x70 or first & 15:
                    self.is_compressed = bool(first & 0x40)
                if first & 0x80:
                    self.payload = b"".join(self._parts)
                    self._parts.clear()
                    done += 1
            elif first & 15 == CLOSE:
                raise ConnectionError(f"the server closed: {data[start:end]!r}")
        self._rest = data[position:]
        return done

    @property
    def is_between_messages(self) -> bool:
        return not self._rest and not self._parts


def inflate(payload: bytes) -> bytes:
    """Return what a first compressed message holds."""
    return zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")

"""Writes the first corpus: inputs that a person would try.  `python -m tests.fuzz.seeds`."""

from __future__ import annotations

from tests.fuzz import corpus_files
from trio_wsendpoint import CloseFrame, PingFrame, TextFrame
from trio_wsendpoint.handshake.key import accept_key, make_key

KEY = make_key(bytes)
REQUEST = (
    "GET /chat?x=1 HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: b, a\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
).encode()
ANSWER = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\nSec-WebSocket-Protocol: a\r\n\r\n"
).encode()
MASK = b"\x01\x02\x03\x04"
FRAMES = (
    TextFrame("Hello", mask=MASK).to_bytes()
    + PingFrame(b"x", mask=MASK).to_bytes()
    + TextFrame("a" * 200, mask=MASK, fin=False).to_bytes()
    + bytes.fromhex("808001020304")
    + CloseFrame(1000, "bye", mask=MASK).to_bytes()
)

SEEDS = {
    "request_head": [
        REQUEST,
        REQUEST + FRAMES,
        REQUEST.replace(b"13", b"8"),
        REQUEST.replace(b"\r\n", b"\n"),
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        b"POST http://b.test/ HTTP/1.0\r\n\r\n",
    ],
    "response_head": [
        ANSWER,
        ANSWER + b"\x81\x05Hello",
        b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ],
    "extension_header": [
        b'permessage-deflate; client_max_window_bits="10"; server_no_context_takeover',
        b"permessage-deflate; server_max_window_bits=8, permessage-deflate, x; y=z",
    ],
    "parser": [FRAMES, b"\x81\x05Hello", b"\x82\x7e\x01\x00" + bytes(256)],
    "inflate": [
        bytes.fromhex("f248cdc9c90700"),
        bytes.fromhex("f200110000"),
        bytes.fromhex("03000300"),
        b"\x00\x05\x00\xfa\xffHello\x00",
    ],
    "endpoint": [
        b"\x00\x05Hello\x07\x01p\x02\x02ab\x05\x01c\x16\x05..bye",
        b"\x09\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x02hi",
        b"\x02\x03abc\x00\x01x",
        b"\x0f\x04\x81\x85\x01\x02\x01\x02\xe2\x82",
    ],
}

if __name__ == "__main__":
    for name, inputs in SEEDS.items():
        seeds = [bytes([flags]) + data for data in inputs for flags in (0, 1, 7, 37)]
        if name == "extension_header":
            seeds = inputs
        corpus_files.save(name, [*corpus_files.load(name), *seeds])

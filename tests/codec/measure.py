"""What the codec and the endpoints on it cost, in CPU microseconds, in both forms.

python -m tests.codec.measure            # the form in use; taskset -c 0 for steadier figures
TRIO_WSENDPOINT_PURE=1 python -m tests.codec.measure
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    Message,
    Parser,
    ServerEndpoint,
    TextFrame,
    codec_kind,
)
from trio_wsendpoint.protocol.coding import apply_mask, build_frame
from trio_wsendpoint.protocol.traffic import Traffic

MASK = b"\x01\xf2\x83\x74"
SIZES = (0, 125, 1024, 16_384, 65_536, 1 << 20)


def measure(function: Callable[[], object], size: int) -> float:
    """Return the microseconds of one call, the best of seven runs."""
    count = max(3, min(20_000, 20_000_000 // (size + 500)))
    best = float("inf")
    for _ in range(7):
        began = time.process_time_ns()
        for _ in range(count):
            function()
        best = min(best, (time.process_time_ns() - began) / count / 1000)
    return best


def read(wire: bytes) -> Callable[[], object]:
    """Return what a parser does for one message in one frame."""
    parser = Parser()
    parser.make(Message, Traffic())

    def once() -> None:
        parser.receive_data(wire)
        parser.read_next(len(wire))

    return once


def echo(wire: bytes) -> Callable[[], object]:
    """Return what a server does for one message of a client, from bytes to bytes."""
    server = ServerEndpoint()

    def once() -> None:
        server.receive_data(wire)
        message = server.get_next_message()
        assert message is not None
        server.send_message(message.payload)
        while frame := server.shift_write_queue():
            frame.to_bytes()

    return once


def send(payload: bytes) -> Callable[[], object]:
    """Return what a client does to send one message."""
    client = ClientEndpoint()

    def once() -> None:
        client.send_message(payload)
        while frame := client.shift_write_queue():
            frame.to_bytes()

    return once


def receive(wire: bytes, chunk_size: int) -> Callable[[], object]:
    """Return what a server does to receive one message in chunks."""
    server = ServerEndpoint()
    chunks = [wire[start : start + chunk_size] for start in range(0, len(wire), chunk_size)]

    def once() -> None:
        message = None
        for chunk in chunks:
            server.receive_data(chunk)
            message = server.get_next_message()
        assert message is not None
        _ = message.payload

    return once


def main() -> None:
    """Print the table."""
    print(f"The codec is {codec_kind}.  Microseconds:")
    print("    size     mask     read    build   masked     echo     send")
    for size in SIZES:
        data = os.urandom(size)
        frame = build_frame(0x82, data, MASK)
        figures = [
            measure(partial(apply_mask, data, MASK), size),
            measure(read(frame), size),
            measure(partial(build_frame, 0x82, data, b""), size),
            measure(partial(build_frame, 0x82, data, MASK), size),
            measure(echo(frame), size),
            measure(send(data), size),
        ]
        print(f"{size:8} " + " ".join(f"{figure:8.2f}" for figure in figures))
    size = 1 << 20
    texts = {
        "binary": BinaryFrame(os.urandom(size), mask=MASK),
        "ASCII text": TextFrame("x" * size, mask=MASK),
        "other text": TextFrame("a\u20acbc d" * (size // 8), mask=MASK),
    }
    for kind, message in texts.items():
        for chunk_size in (65_536, 262_144):
            took = measure(receive(message.to_bytes(), chunk_size), size)
            print(f"{kind}, 1 MiB in {chunk_size >> 10} KiB chunks: {size / took:.0f} MB/s")


if __name__ == "__main__":
    main()

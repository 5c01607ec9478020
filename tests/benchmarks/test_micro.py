"""The protocol without I/O: what a frame or a message costs.

In `make test` each runs once, as a test of what it measures; `make bench` measures.
"""

from __future__ import annotations

import pytest

from tests.benchmarks.frames import BINARY, MASK, TEXT, make_frame, payloads
from trio_wsendpoint import BinaryFrame, Parser, ServerEndpoint, TextFrame
from trio_wsendpoint.protocol.coding import apply_mask

KIB = 1024
SIZES = [pytest.param(125, id="125 B"), pytest.param(16 * KIB, id="16 KiB")]
LARGE = [*SIZES, pytest.param(1024 * KIB, id="1 MiB")]


@pytest.fixture
def title(benchmark, request):
    """Name the measurement in words."""

    def name(text):
        benchmark.extra_info["title"] = f"{text}, {request.node.callspec.id}"

    return name


def payload_of(size, *, text=False):
    return payloads(size, text=text, deflate=False)[0]


@pytest.mark.parametrize("size", LARGE)
def test_mask(benchmark, title, size):
    title("mask")
    payload = payload_of(size)
    masked = benchmark(apply_mask, payload, MASK)
    assert masked != payload
    assert apply_mask(masked, MASK) == payload


@pytest.mark.parametrize("size", LARGE)
def test_parse(benchmark, title, size):
    title("parse a masked frame")
    payload = payload_of(size)
    data = make_frame(payload, BINARY)
    parser = Parser(masked=True)

    def parse():
        parser.receive_data(data)
        return parser.get_next_frame()

    assert benchmark(parse).payload == payload


@pytest.mark.parametrize("count", [pytest.param(64, id="64 frames of 125 B")])
def test_parse_many(benchmark, title, count):
    title("parse a chunk")
    data = make_frame(payload_of(125), BINARY) * count
    parser = Parser(masked=True)

    def parse():
        parser.receive_data(data)
        found = 0
        while parser.get_next_frame() is not None:
            found += 1
        return found

    assert benchmark(parse) == count


@pytest.mark.parametrize("size", LARGE)
def test_build(benchmark, title, size):
    title("build a server's frame")
    payload = payload_of(size)
    data = benchmark(lambda: BinaryFrame(payload).to_bytes())
    assert data.endswith(payload)


@pytest.mark.parametrize("size", SIZES)
def test_build_masked(benchmark, title, size):
    title("build a client's frame")
    payload = payload_of(size, text=True)
    text = payload.decode()
    data = benchmark(lambda: TextFrame(text, mask=MASK).to_bytes())
    assert data == make_frame(payload, TEXT)


@pytest.mark.parametrize("text", [pytest.param(False, id="binary"), pytest.param(True, id="text")])
@pytest.mark.parametrize("size", SIZES)
def test_echo(benchmark, title, size, text):
    title("echo through an endpoint")
    payload = payload_of(size, text=text)
    data = make_frame(payload, TEXT if text else BINARY)
    endpoint = ServerEndpoint()

    def echo():
        endpoint.receive_data(data)
        message = endpoint.get_next_message()
        assert message is not None
        endpoint.send_message(message.payload)
        frame = endpoint.shift_write_queue()
        assert frame is not None
        return frame.to_bytes()

    assert benchmark(echo).endswith(payload)

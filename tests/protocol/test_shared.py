"""One message for many endpoints: whose frames are the same, and whose are not."""

from __future__ import annotations

import io
from typing import Any

import pytest

from trio_wsendpoint.extensions import Deflate
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol import (
    BinaryFrame,
    ClientEndpoint,
    ContinuationFrame,
    Endpoint,
    Frame,
    ServerEndpoint,
    SharedMessage,
    TextFrame,
)

TEXT = "again and again and " * 20


def compressing(**options: Any) -> ServerEndpoint:
    accepted = Deflate(**options).accept_offer([])
    assert accepted is not None
    return ServerEndpoint(extension=accepted[1])


def shift_all(endpoint: Endpoint) -> list[Frame]:
    frames = []
    while (frame := endpoint.shift_write_queue()) is not None:
        frames.append(frame)
    return frames


def test_what_it_is_made_of() -> None:
    text, binary = SharedMessage("é"), SharedMessage(bytearray(b"b"))
    assert (text.kind, text.payload) == (TextFrame, "é".encode())
    assert (binary.kind, binary.payload) == (BinaryFrame, b"b")
    assert SharedMessage(memoryview(b"abcd")[::2]).payload == b"ac"
    with pytest.raises(TypeError, match="str or bytes, not int"):
        SharedMessage(1)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        SharedMessage("\udcff")


def test_servers_share_a_frame_and_its_bytes() -> None:
    message = SharedMessage("hello")
    one, two = ServerEndpoint(), ServerEndpoint()
    for endpoint in one, two:
        endpoint.send_message(message)
        assert endpoint.write_queue_bytes == 5 + 14
    [first], [second] = shift_all(one), shift_all(two)
    assert first is second
    assert isinstance(first, TextFrame)
    assert first.to_bytes() is second.to_bytes()
    assert first.to_bytes() == TextFrame("hello").to_bytes()
    assert one.traffic.payload_sent == one.traffic.wire_sent == 5


def test_fragments_are_shared_by_those_who_cut_alike() -> None:
    message = SharedMessage(b"0123456789")
    cut = [ServerEndpoint(limits=Limits(fragment_size=4)) for _ in range(2)]
    whole = ServerEndpoint()
    for endpoint in (*cut, whole):
        endpoint.send_message(message)
    pieces = shift_all(cut[0])
    assert [(frame.payload, frame.fin) for frame in pieces] == [
        (b"0123", False),
        (b"4567", False),
        (b"89", True),
    ]
    assert [isinstance(frame, ContinuationFrame) for frame in pieces] == [False, True, True]
    assert all(one is two for one, two in zip(pieces, shift_all(cut[1]), strict=True))
    assert shift_all(whole)[0].payload == b"0123456789"


def test_clients_mask_for_themselves() -> None:
    message = SharedMessage("hello")
    endpoints = [
        ClientEndpoint(random_bytes=lambda size, byte=byte: bytes([byte]) * size)  # type: ignore[misc]
        for byte in (1, 2)
    ]
    for endpoint in endpoints:
        endpoint.send_message(message)
    assert [shift_all(endpoint)[0].mask for endpoint in endpoints] == [b"\x01" * 4, b"\x02" * 4]


@pytest.mark.parametrize(
    ("options", "other", "is_shared"),
    [
        ({"context_takeover": False}, {"context_takeover": False}, True),
        ({"context_takeover": False}, {"context_takeover": False, "threshold": 1}, True),
        ({"context_takeover": False}, {"context_takeover": False, "level": 1}, False),
        ({"context_takeover": False}, {"context_takeover": False, "window_bits": 9}, False),
        ({"context_takeover": False}, {"context_takeover": False, "memory_level": 1}, False),
        ({}, {}, False),
        ({}, {"context_takeover": False}, False),
    ],
)
def test_who_shares_what_is_compressed(
    options: dict[str, Any], other: dict[str, Any], is_shared: bool
) -> None:
    message = SharedMessage(TEXT)
    one, two = compressing(**options), compressing(**other)
    for endpoint in one, two:
        endpoint.send_message(message)
    [first], [second] = shift_all(one), shift_all(two)
    assert (first is second) is is_shared
    for frame, endpoint in (first, one), (second, two):
        assert frame.rsv == 0b100
        assert endpoint.traffic.payload_sent == endpoint.traffic.plain_sent == len(TEXT)
        assert endpoint.traffic.encoded_sent == len(frame.payload) < len(TEXT) / 2


def test_not_compressed_is_shared_with_those_who_never_do() -> None:
    message = SharedMessage(TEXT)
    one, two, three = compressing(), compressing(threshold=10_000), ServerEndpoint()
    one.send_message(message, compress=False)
    two.send_message(message)
    three.send_message(message)
    frames = [shift_all(endpoint)[0] for endpoint in (one, two, three)]
    assert frames[0] is frames[1] is frames[2]
    assert frames[0].rsv == 0


def test_what_is_told_of_it() -> None:
    told: list[tuple[object, int]] = []
    endpoint = ServerEndpoint()
    endpoint.listen(
        message_sent=lambda kind, size: told.append((kind, size)),
        frame_sent=lambda frame, size: told.append((frame.type, size)),
    )
    endpoint.send_message(SharedMessage("hello"))
    shift_all(endpoint)
    assert told == [("text", 5), ("text", 5)]


def test_a_blocking_out_gets_it_at_once() -> None:
    out = io.BytesIO()
    ServerEndpoint(out=out).send_message(SharedMessage("hello"))
    assert out.getvalue() == TextFrame("hello").to_bytes()


def test_its_fragments_in_buffers() -> None:
    endpoint = ServerEndpoint(limits=Limits(fragment_size=300))
    endpoint.send_message(SharedMessage(TEXT))
    one, two = shift_all(endpoint)
    assert one.to_buffers() == (one.to_bytes(),)
    assert one.payload + two.payload == TEXT.encode()
    assert type(one.payload) is bytes

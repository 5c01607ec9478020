"""What an endpoint counts, whom it tells, and how it says why it ended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.fake_extension import Doubling
from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    CloseCause,
    CloseFrame,
    ContinuationFrame,
    Endpoint,
    Frame,
    Limits,
    Message,
    PeerError,
    PingFrame,
    PongFrame,
    ServerEndpoint,
    TextFrame,
)
from trio_wsendpoint.protocol import Traffic
from trio_wsendpoint.protocol.coding import Received
from trio_wsendpoint.testing import endpoint_pair

MASK = b"mask"


def counts(endpoint: Endpoint) -> dict[str, int]:
    """What is not zero."""
    traffic = endpoint.traffic
    names = (*Received.__slots__, *Traffic.__slots__)
    found = {name: getattr(traffic, name) for name in names}
    return {name: count for name, count in found.items() if count}


def feed(endpoint: Endpoint, *frames: Frame) -> None:
    for frame in frames:
        if not endpoint.masks:
            frame.mask = MASK
        endpoint.receive_data(frame.to_bytes())


def drain(endpoint: Endpoint) -> list[Frame]:
    frames = []
    while (frame := endpoint.shift_write_queue()) is not None:
        frames.append(frame)
    return frames


class Listeners:
    """Notes what it is told."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.heard: list[tuple[Any, ...]] = []
        endpoint.listen(
            frame_sent=lambda frame, size: self.heard.append(("sent", frame.type, size)),
            frame_received=lambda frame, size: self.heard.append(("came", frame.type, size)),
            message_sent=lambda kind, size: self.heard.append(("out", kind, size)),
            message_received=lambda kind, size: self.heard.append(("in", kind, size)),
        )


def test_nothing_yet() -> None:
    assert counts(ServerEndpoint()) == {}
    traffic = Traffic()
    assert (traffic.wire_sent, traffic.payload_received) == (0, 0)
    with pytest.raises(AttributeError):
        traffic.other = 1  # type: ignore[attr-defined]


def test_what_is_sent_counts_when_it_leaves_and_its_payload_when_it_is_queued() -> None:
    endpoint = ServerEndpoint(limits=Limits(fragment_size=4))
    endpoint.send_message("grüße")  # 7 bytes, 2 frames
    endpoint.send_frame(BinaryFrame(b"abc"))
    endpoint.ping()
    assert counts(endpoint) == {"payload_sent": 10}
    drain(endpoint)
    assert counts(endpoint) == {
        "payload_sent": 10,
        "frames_sent": 4,
        "control_sent": 1,
        "pings_sent": 1,
    }
    assert endpoint.traffic.wire_sent == 10


@pytest.mark.parametrize("on_data_frame", [None, lambda frame: None])
def test_what_comes(on_data_frame: Any) -> None:
    endpoint = ServerEndpoint(on_data_frame=on_data_frame)
    feed(
        endpoint,
        TextFrame("ab", fin=False),
        PingFrame(b"x"),
        ContinuationFrame(b"cde"),
        PongFrame(b""),
    )
    assert endpoint.get_next_message() is not None
    endpoint.get_next_message()
    expected = {
        "frames_received": 4,
        "control_received": 2,
        "pings_received": 1,
        "pongs_received": 1,
        "wire_received": 5,
    }
    assert counts(endpoint) == expected
    assert endpoint.control_frames == 2
    assert endpoint.traffic.payload_received == 5
    drain(endpoint)
    assert counts(endpoint) == {
        **expected,
        "frames_sent": 2,
        "control_sent": 2,
        "pongs_sent": 1,
    }


def test_what_is_passed_over_after_our_close_has_no_bytes() -> None:
    endpoint = ServerEndpoint()
    endpoint.close()
    feed(endpoint, TextFrame("abc"), PingFrame(), CloseFrame(1000))
    assert endpoint.get_peer_close() is not None
    assert counts(endpoint) == {
        "frames_received": 3,
        "control_received": 2,
        "pings_received": 1,
    }


def test_a_blocking_out_counts_too() -> None:
    class Out:
        def write(self, data: bytes) -> None:
            pass

    endpoint = ServerEndpoint(out=Out())
    endpoint.send_message("abc")
    assert counts(endpoint) == {"frames_sent": 1, "payload_sent": 3}


def test_an_extension() -> None:
    client = ClientEndpoint(extension=Doubling())
    server = ServerEndpoint(extension=Doubling(factor=2))
    client.send_message("a" * 100)
    client.send_message("b" * 10, compress=False)
    client.begin_message("binary")
    client.send_chunk(b"c" * 50)
    client.send_chunk(b"", final=True)
    for frame in drain(client):
        server.receive_data(frame.to_bytes())
    while server.get_next_message() is not None:
        pass
    sent, came = client.traffic, server.traffic
    assert (sent.payload_sent, sent.plain_sent, sent.encoded_sent) == (160, 150, 150)
    assert sent.wire_sent == 160
    assert (came.wire_received, came.encoded_received, came.plain_received) == (160, 150, 300)
    assert came.payload_received == 310


def test_who_listens_is_told() -> None:
    pair = endpoint_pair()
    ours, theirs = Listeners(pair.client), Listeners(pair.server)
    pair.client.send_message("grüße")
    pair.client.send_message(Message([TextFrame("ab", fin=False), ContinuationFrame(b"c")]))
    pair.client.begin_message("binary")
    pair.client.send_chunk(b"12")
    pair.client.send_chunk(b"345", final=True)
    ping = pair.client.ping()
    pair.transfer()
    for _ in range(3):
        assert pair.server.get_next_message() is not None
    assert pair.server.get_next_message() is None
    sizes = [("text", 7), ("text", 2), ("continuation", 1), ("binary", 2), ("continuation", 3)]
    messages = [("text", 7), ("text", 3), ("binary", 5)]
    assert ours.heard == [
        *[("out", *one) for one in messages],
        ("sent", "ping", len(ping)),
        *[("sent", *one) for one in sizes],
    ]
    assert [one[1:] for one in theirs.heard if one[0] == "in"] == messages
    assert [one[1:] for one in theirs.heard if one[0] == "came"][1:] == sizes
    pair.server.listen()
    heard = list(theirs.heard)
    pair.client.send_message("more")
    pair.transfer()
    pair.server.get_next_message()
    assert theirs.heard == heard


def test_a_message_that_was_taken_in_parts_is_told_whole() -> None:
    endpoint = ServerEndpoint()
    listeners = Listeners(endpoint)
    feed(endpoint, TextFrame("abc", fin=False))
    assert endpoint.get_next_message() is None
    assert endpoint.incoming.take_part() == b"abc"
    feed(endpoint, ContinuationFrame(b"de"))
    message = endpoint.get_next_message()
    assert message is not None
    assert message.payload == "de"
    assert listeners.heard[-1] == ("in", "text", 5)


# ---- why it ended ------------------------------------------------------------------------------


def violate(endpoint: Endpoint, data: bytes) -> None:
    endpoint.receive_data(data)
    with pytest.raises(PeerError):
        endpoint.get_next_message()


def starve(endpoint: Endpoint) -> None:
    for _ in range(endpoint.max_pings + 1):
        endpoint.check_heartbeat()


def end(endpoint: Endpoint) -> None:
    endpoint.receive_eof()
    with pytest.raises(PeerError):
        endpoint.get_next_message()


def take_close(endpoint: Endpoint) -> None:
    feed(endpoint, CloseFrame(1011))
    endpoint.get_next_message()


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        (lambda endpoint: None, None),
        (take_close, CloseCause.PEER),
        (lambda endpoint: endpoint.close(), CloseCause.LOCAL),
        (lambda endpoint: endpoint.close(None), CloseCause.LOCAL),
        (lambda endpoint: endpoint.close(4000), CloseCause.LOCAL),
        (lambda endpoint: endpoint.close(1011), CloseCause.INTERNAL_ERROR),
        (lambda endpoint: violate(endpoint, b"\xff"), CloseCause.PROTOCOL_ERROR),
        (
            lambda endpoint: violate(endpoint, b"\x82\xff\0\0\0\0\x7f\xff\xff\xff1234"),
            CloseCause.LIMIT,
        ),
        (starve, CloseCause.TIMEOUT),
        (end, CloseCause.LOST),
    ],
)
def test_causes(act: Any, cause: CloseCause | None) -> None:
    endpoint = ServerEndpoint()
    act(endpoint)
    assert endpoint.closing.cause is cause
    if cause is not None:  # what came first decides
        endpoint.receive_eof()
        if endpoint.closing.expects_frames:
            with pytest.raises(PeerError):
                endpoint.get_peer_close()
        assert endpoint.closing.cause is cause


def test_an_unrecognized_pong_is_a_protocol_error() -> None:
    endpoint = ServerEndpoint()
    feed(endpoint, PongFrame(b"what?"))
    endpoint.get_next_message()
    assert endpoint.closing.cause is CloseCause.PROTOCOL_ERROR
    assert f"{endpoint.closing.cause}" == "protocol error"

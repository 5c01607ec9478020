"""The shorter ways of an endpoint lead where the longer ones do, or nowhere."""

from __future__ import annotations

import pytest

from tests.extensions.helpers import made
from trio_wsendpoint import (
    ClientEndpoint,
    EndpointClosed,
    InvalidPayload,
    Limits,
    Message,
    ServerEndpoint,
)
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.testing import seeded_bytes


def wire_of(endpoint) -> bytes:
    frames = iter(endpoint.shift_write_queue, None)
    return b"".join(frame.to_bytes() for frame in frames)


# ---- encode_message ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", [ServerEndpoint, ClientEndpoint])
@pytest.mark.parametrize("value", ["", "text", "größer", b"", b"bytes", bytes(70_000)])
def test_the_bytes_are_those_of_the_frame(role, value) -> None:
    short, long = (role(random_bytes=seeded_bytes(1)) for _ in range(2))
    encoded = short.encode_message(value)
    long.send_message(value)
    assert encoded == wire_of(long)
    assert short.get_write_queue_size() == 0
    assert short.traffic.payload_sent == long.traffic.payload_sent
    assert short.traffic.frames_sent == long.traffic.frames_sent == 1


def test_what_has_to_be_queued_is_not_encoded() -> None:
    endpoint = ServerEndpoint(limits=Limits(fragment_size=10))
    assert endpoint.encode_message(b"0123456789") is not None
    assert endpoint.encode_message(b"0123456789a") is None  # it is to be cut
    assert endpoint.encode_message(bytearray(b"a")) is None  # it may change
    endpoint.ping()
    assert endpoint.encode_message(b"a") is None  # a ping is before it
    endpoint.shift_write_queue()
    endpoint.listen(frame_sent=lambda frame, size: None)
    assert endpoint.encode_message(b"a") is None  # somebody wants to see the frame
    assert endpoint.traffic.frames_sent == 2
    endpoint = ServerEndpoint()
    endpoint.begin_message("text")
    assert endpoint.encode_message(b"a") is None  # another message has begun
    assert endpoint.traffic.frames_sent == 0


def test_what_is_cheaper_to_queue_is_not_encoded() -> None:
    """A large message that need not be masked is not copied, nor a text encoded in vain."""
    server, client = ServerEndpoint(), ClientEndpoint()
    for size, is_encoded in [(131_072, True), (131_073, False)]:
        for value in bytes(size), "a" * size:
            assert (server.encode_message(value) is not None) is is_encoded
            assert client.encode_message(value) is not None
    assert server.encode_message("é" * 32_768) is not None
    assert server.encode_message("é" * 32_769) is None  # it might have four bytes a character
    assert server.traffic.frames_sent == 3


def test_a_message_listener_is_told() -> None:
    told: list[tuple[str, int]] = []
    endpoint = ServerEndpoint()
    endpoint.listen(message_sent=lambda kind, size: told.append((kind, size)))
    endpoint.encode_message("é")
    endpoint.encode_message(b"abc")
    assert told == [("text", 2), ("binary", 3)]


def test_with_compression_only_what_is_kept_from_it_is_encoded() -> None:
    endpoint = ServerEndpoint(extension=made())
    assert endpoint.encode_message(b"a") is None
    assert endpoint.encode_message(b"a", compress=False) == b"\x82\x01a"


def test_errors_are_those_of_send_message() -> None:
    endpoint = ServerEndpoint()
    with pytest.raises(UnicodeEncodeError):
        endpoint.encode_message("\ud800")
    endpoint.close()
    with pytest.raises(EndpointClosed):
        endpoint.encode_message("late")
    assert endpoint.traffic.frames_sent == 0


# ---- take_payload ------------------------------------------------------------------------------


def test_a_whole_message_is_taken() -> None:
    endpoint = ServerEndpoint()
    peer = ClientEndpoint()
    peer.send_message("one")
    peer.ping()
    peer.send_message(b"two")
    pieces = [frame.to_bytes() for frame in iter(peer.shift_write_queue, None)]
    endpoint.receive_data(b"".join(pieces[1:2]))
    assert endpoint.take_payload() == "one"
    assert endpoint.traffic.frames_received == 1
    assert endpoint.traffic.wire_received == 3
    endpoint.receive_data(pieces[0])
    assert endpoint.take_payload() is None  # a ping is next
    assert endpoint.step() is Progress.HANDLED
    endpoint.receive_data(pieces[2][:3])
    assert endpoint.take_payload() is None  # it has not come whole
    endpoint.receive_data(pieces[2][3:])
    assert isinstance(endpoint.step(), Message)


def test_nothing_is_taken_from_who_looks_on() -> None:
    seen: list[object] = []
    endpoint = ClientEndpoint(on_data_frame=seen.append)
    endpoint.receive_data(b"\x82\x01a")
    assert endpoint.take_payload() is None
    assert isinstance(endpoint.step(), Message)
    assert len(seen) == 1
    for hook in ("frame_received", "message_received"):
        endpoint = ClientEndpoint()
        endpoint.listen(**{hook: lambda *facts: seen.append(facts)})
        endpoint.receive_data(b"\x82\x01a\x82\x01b")
        assert endpoint.take_payload() is None
        assert isinstance(endpoint.step(), Message)
        endpoint.listen()
        assert endpoint.take_payload() == b"b"
    assert len(seen) == 3


def test_nothing_is_taken_from_the_middle() -> None:
    endpoint = ClientEndpoint()
    endpoint.receive_data(b"\x02\x02a")
    assert endpoint.step() is Progress.HANDLED
    assert endpoint.take_payload() is None
    endpoint.receive_data(b"b")
    assert endpoint.step() is Progress.HANDLED
    endpoint.receive_data(b"\x80\x01c\x82\x01d")
    assert endpoint.take_payload() is None
    assert isinstance(endpoint.step(), Message)
    assert endpoint.take_payload() == b"d"


def test_a_bad_text_fails_as_ever() -> None:
    for hold_end in (False, True):
        endpoint = ClientEndpoint(hold_end=hold_end)
        endpoint.receive_data(b"\x81\x01\xff")
        assert endpoint.take_payload() is None
        if hold_end:
            assert isinstance(endpoint.held, InvalidPayload)
        else:
            assert endpoint.is_closed()
        assert endpoint.take_payload() is None


def test_nothing_is_taken_after_the_close() -> None:
    endpoint = ClientEndpoint()
    endpoint.receive_data(b"\x82\x01a")
    endpoint.close()
    assert endpoint.take_payload() is None
    assert endpoint.take_payload(b"\x82\x01b") is None
    assert endpoint.parser.buffered == 6  # the peer's Close frame may be among them


def test_what_comes_now_is_pushed_if_it_is_not_taken() -> None:
    endpoint = ClientEndpoint()
    assert endpoint.take_payload(b"\x82\x01a\x89\x00\x81\x01b") == b"a"
    assert endpoint.take_payload() is None
    assert endpoint.step() is Progress.HANDLED
    assert endpoint.take_payload(b"\x82") == "b"
    assert endpoint.take_payload(b"\x01c") is None
    assert isinstance(endpoint.step(), Message)


# ---- get_room ----------------------------------------------------------------------------------


def begin_large(endpoint: ServerEndpoint) -> None:
    client = ClientEndpoint()
    client.send_message(bytes(200_000))
    endpoint.receive_data(wire_of(client)[:100_000])
    assert endpoint.step() is Progress.HANDLED
    assert endpoint.step() is Progress.NEED_DATA


def test_a_large_message_is_received_in_room() -> None:
    endpoint = ServerEndpoint()
    assert endpoint.get_room() is None
    begin_large(endpoint)
    room = endpoint.get_room()
    assert room is not None
    room.release()
    left = endpoint.parser.remaining
    endpoint.receive_in_room(1000)
    assert endpoint.parser.remaining == left - 1000


def test_nobody_is_kept_from_what_he_wants_to_see() -> None:
    class Watching(ServerEndpoint):
        def receive_data(self, data) -> None:
            super().receive_data(data)

    watching = Watching()
    begin_large(watching)
    assert watching.get_room() is None
    endpoint = ServerEndpoint(hold_end=True)
    begin_large(endpoint)
    endpoint.refuse(InvalidPayload("for some reason"))
    assert endpoint.held is not None
    assert endpoint.get_room() is None

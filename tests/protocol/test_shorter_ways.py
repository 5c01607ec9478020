"""The shorter ways of an endpoint lead where the longer ones do, or nowhere."""

from __future__ import annotations

import io

import pytest

from tests.extensions.helpers import made
from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    EndpointClosed,
    InvalidPayload,
    Limits,
    LocalError,
    Message,
    ServerEndpoint,
)
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.testing import seeded_bytes


def wire_of(endpoint) -> bytes:
    frames = iter(endpoint.shift_write_queue, None)
    return b"".join(frame.to_bytes() for frame in frames)


# ---- send_at_once ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [ServerEndpoint, ClientEndpoint])
@pytest.mark.parametrize(
    "value", ["", "text", "größer", b"", b"bytes", bytearray(b"a"), memoryview(b"abcd")[::2]]
)
def test_the_bytes_are_those_of_the_frame(role, value) -> None:
    at_once, queued = (role(random_bytes=seeded_bytes(1)) for _ in range(2))
    data = at_once.send_at_once(value)
    queued.send_message(value)
    assert data == wire_of(queued)
    assert at_once.get_write_queue_size() == 0
    assert at_once.traffic.payload_sent == queued.traffic.payload_sent
    assert at_once.traffic.frames_sent == queued.traffic.frames_sent == 1


def test_what_cannot_leave_at_once_is_queued() -> None:
    endpoint = ServerEndpoint(limits=Limits(fragment_size=10))
    assert endpoint.send_at_once(b"0123456789") is not None
    assert endpoint.send_at_once(b"0123456789a") is None  # it is cut
    assert endpoint.get_write_queue_size() == 2
    wire_of(endpoint)
    endpoint.ping()
    assert endpoint.send_at_once(b"a") is None  # a ping is before it
    assert wire_of(endpoint).endswith(b"\x82\x01a")
    endpoint.listen(frame_sent=lambda frame, size: None)
    assert endpoint.send_at_once(b"a") is None  # somebody wants to see the frame
    assert endpoint.get_write_queue_size() == 1


def test_not_within_another_message() -> None:
    endpoint = ServerEndpoint()
    endpoint.begin_message("text")
    with pytest.raises(LocalError, match="end it first"):
        endpoint.send_at_once(b"a")
    assert endpoint.traffic.payload_sent == 0


def test_what_has_an_out_goes_there() -> None:
    out = io.BytesIO()
    assert ServerEndpoint(out=out).send_at_once(b"a") is None
    assert out.getvalue() == b"\x82\x01a"


def test_a_frame_that_was_held_up_is_before_it() -> None:
    def fail(frame: object) -> None:
        raise ZeroDivisionError

    endpoint = ServerEndpoint(before_send_frame=fail)
    endpoint.ping()
    with pytest.raises(ZeroDivisionError):
        endpoint.shift_write_queue()
    assert endpoint.send_at_once(b"a") is None
    assert wire_of(endpoint).endswith(b"\x82\x01a")


def test_a_large_message_that_need_not_be_masked_is_not_copied() -> None:
    server, client = ServerEndpoint(), ClientEndpoint()
    for size, is_at_once in [(131_072, True), (131_073, False)]:
        for value in bytes(size), "a" * size:
            assert (server.send_at_once(value) is not None) is is_at_once
            assert client.send_at_once(value) is not None
            wire_of(server)


def test_an_override_sees_all_messages() -> None:
    class Seeing(ServerEndpoint):
        def send_message(self, data, **options) -> None:
            super().send_message(data + "!", **options)

    endpoint = Seeing()
    assert endpoint.send_at_once("a") is None
    assert wire_of(endpoint) == b"\x81\x02a!"


def test_a_message_listener_is_told() -> None:
    told: list[tuple[str, int]] = []
    endpoint = ServerEndpoint()
    endpoint.listen(message_sent=lambda kind, size: told.append((kind, size)))
    endpoint.send_at_once("é")
    endpoint.send_at_once(b"abc")
    assert told == [("text", 2), ("binary", 3)]


def test_a_compressed_message_leaves_at_once_too() -> None:
    endpoint, queued = ServerEndpoint(extension=made()), ServerEndpoint(extension=made())
    data = endpoint.send_at_once("a" * 1000)
    queued.send_message("a" * 1000)
    assert data == wire_of(queued)
    assert data is not None
    assert data[0] == 0xC1
    assert endpoint.traffic.encoded_sent == queued.traffic.encoded_sent > 0
    assert endpoint.send_at_once(b"a", compress=False) == b"\x82\x01a"


def test_shared_bytes_leave_at_once() -> None:
    message, cut = SharedMessage("hello"), ServerEndpoint(limits=Limits(fragment_size=3))
    one, two = (ServerEndpoint().send_at_once(message) for _ in range(2))
    assert one == b"\x81\x05hello"
    assert one is two
    assert cut.send_at_once(message) is None
    assert cut.get_write_queue_size() == 2


def test_errors_are_those_of_send_message() -> None:
    endpoint = ServerEndpoint()
    with pytest.raises(UnicodeEncodeError):
        endpoint.send_at_once("\ud800")
    endpoint.close()
    with pytest.raises(EndpointClosed):
        endpoint.send_at_once("late")
    assert endpoint.traffic.frames_sent == endpoint.traffic.payload_sent == 0


# ---- messages that are one frame ---------------------------------------------------------------


def test_each_who_looks_on_is_told_of_a_message_in_one_frame() -> None:
    seen: list[object] = []
    endpoint = ClientEndpoint(on_data_frame=seen.append)
    endpoint.receive_data(b"\x82\x01a")
    assert isinstance(endpoint.step(), Message)
    assert seen == [BinaryFrame(b"a")]
    endpoint = ClientEndpoint()
    endpoint.listen(
        frame_received=lambda *facts: seen.append(facts),
        message_received=lambda *facts: seen.append(facts),
    )
    endpoint.receive_data(b"\x82\x01a\x82\x01b")
    assert isinstance(endpoint.step(), Message)
    endpoint.listen()
    assert isinstance(endpoint.step(), Message)
    assert seen[1:] == [(BinaryFrame(), 1), ("binary", 1)]
    assert (endpoint.traffic.frames_received, endpoint.traffic.wire_received) == (2, 2)


def test_a_bad_text_in_one_frame_fails() -> None:
    endpoint = ClientEndpoint(hold_end=True)
    endpoint.receive_data(b"\x81\x01\xff")
    assert endpoint.step() is Progress.HELD
    assert isinstance(endpoint.held, InvalidPayload)
    endpoint = ClientEndpoint()
    endpoint.receive_data(b"\x81\x01\xff")
    with pytest.raises(InvalidPayload, match="not UTF-8: invalid start byte"):
        endpoint.step()
    assert endpoint.is_closed()


def test_a_message_in_one_frame_is_passed_over_after_the_close() -> None:
    endpoint = ClientEndpoint()
    endpoint.receive_data(b"\x82\x01a")
    endpoint.close()
    endpoint.listen()
    assert endpoint.step() is Progress.HANDLED
    assert endpoint.step() is Progress.NEED_DATA


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

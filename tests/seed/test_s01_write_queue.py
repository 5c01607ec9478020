"""Net::WebSocket's write queue, as the Endpoint's manual page describes it."""

from __future__ import annotations

import pytest

from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    CloseCode,
    ControlFrame,
    EndpointClosed,
    Frame,
    LocalError,
    PingFrame,
    ServerEndpoint,
)

from .helpers import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Narrow,
    Written,
    close_payload,
    drain,
    facts,
    fed,
    frame_bytes,
    from_client,
    types,
)


def test_without_out_every_frame_is_queued():
    endpoint = fed(from_client(PING, b"p"))
    endpoint.get_next_message()
    endpoint.send_message("x")
    assert endpoint.get_write_queue_size() == 2


def test_a_blocking_out_gets_every_frame_at_once():
    out = Written()
    endpoint = fed(from_client(PING, b"p"), out=out)
    endpoint.get_next_message()
    assert out.writes == [frame_bytes(PONG, b"p")]
    assert endpoint.get_write_queue_size() == 0


def test_a_non_blocking_out_has_responses_queued():
    # The seed's note, which no code ever kept: there the presence of `out` alone decided.
    out = Narrow(room=1000)
    endpoint = fed(from_client(PING, b"p"), out=out)
    endpoint.get_next_message()
    assert out.data == b""
    assert endpoint.get_write_queue_size() == 1


def test_shift_write_queue_returns_frame_objects_and_then_none():
    endpoint = ServerEndpoint()
    endpoint.send_message(b"1")
    endpoint.send_message(b"2")
    shifted = [endpoint.shift_write_queue() for _ in range(3)]
    assert shifted == [BinaryFrame(b"1"), BinaryFrame(b"2"), None]


def test_shift_write_queue_gives_control_frames_before_data_that_has_not_been_started():
    # Decision: the queue was first in, first out; RFC 6455 section 5.5.2 wants pongs soon.
    endpoint = ServerEndpoint()
    endpoint.send_message(b"1")
    endpoint.ping()
    fed(from_client(PING, b"a"), from_client(PING, b"b"), endpoint=endpoint).get_next_message()
    endpoint.close()
    shifted = drain(endpoint)
    assert [frame.type for frame in shifted] == ["pong", "ping", "binary", "close"]
    assert shifted[0].payload == b"b"  # the latest ping alone needs an answer (5.5.3)


def test_shift_write_queue_still_gives_the_close_after_the_close():
    endpoint = ServerEndpoint()
    endpoint.close()
    assert endpoint.is_closed()
    assert types(endpoint) == ["close"]


def test_the_bytes_are_made_when_the_frame_is_shifted():
    endpoint = ServerEndpoint()
    endpoint.send_message(b"x")
    frame = endpoint.shift_write_queue()
    assert frame is not None
    assert frame.to_bytes() == frame_bytes(BINARY, b"x")


def test_get_write_queue_size_counts_a_partly_written_frame():
    out = Narrow(room=1)
    endpoint = ServerEndpoint(out=out)
    endpoint.send_message(b"x")
    endpoint.send_message(b"y")
    assert endpoint.get_write_queue_size() == 2
    assert endpoint.flush_write_queue() is False
    assert out.data == frame_bytes(BINARY, b"x")[:1]
    assert endpoint.get_write_queue_size() == 2


def test_shift_write_queue_never_gives_a_frame_past_a_partly_written_one():
    # Decision: an error, because bytes of another frame would land inside this one.
    out = Narrow(room=1)
    endpoint = ServerEndpoint(out=out)
    endpoint.send_message(b"x")
    endpoint.send_message(b"y")
    endpoint.flush_write_queue()
    with pytest.raises(LocalError, match="written in part"):
        endpoint.shift_write_queue()
    out.room = 100
    endpoint.flush_write_queue()
    assert facts(drain(endpoint)) == [("binary", b"y")]


def test_flush_write_queue_writes_one_frame_a_call():
    out = Narrow(room=1000)
    endpoint = ServerEndpoint(out=out)
    endpoint.send_message(b"x")
    endpoint.send_message(b"y")
    assert endpoint.flush_write_queue() is False
    assert out.data == frame_bytes(BINARY, b"x")
    assert endpoint.flush_write_queue() is True
    assert out.data == frame_bytes(BINARY, b"x") + frame_bytes(BINARY, b"y")


def test_flush_write_queue_resumes_a_partial_write_at_every_byte():
    out = Narrow()
    endpoint = ServerEndpoint(out=out)
    endpoint.send_message("hello")
    endpoint.send_message("you")
    expected = frame_bytes(TEXT, b"hello") + frame_bytes(TEXT, b"you")
    for written in range(1, len(expected) + 1):
        out.room = 1
        endpoint.flush_write_queue()
        assert out.data == expected[:written]
    assert endpoint.get_write_queue_size() == 0


def test_flush_write_queue_into_a_full_filehandle_loses_nothing():
    # Improved: EAGAIN lost the frame, or overwrote it with the next.
    out = Narrow()
    endpoint = ServerEndpoint(out=out)
    for number in range(200):
        endpoint.send_message(b"%d" % number)
        endpoint.flush_write_queue()
    assert endpoint.get_write_queue_size() == 200
    out.room = 1 << 20
    while not endpoint.flush_write_queue():
        pass
    assert out.data == b"".join(frame_bytes(BINARY, b"%d" % number) for number in range(200))


def test_flush_write_queue_of_an_empty_queue_is_no_error():
    # Improved: an untyped error.
    endpoint = ServerEndpoint(out=Narrow())
    assert endpoint.flush_write_queue() is True


def test_flush_write_queue_without_out_says_what_to_do():
    endpoint = ServerEndpoint()
    endpoint.ping()
    with pytest.raises(LocalError, match="shift_write_queue"):
        endpoint.flush_write_queue()


def test_flush_write_queue_delivers_the_queued_close():
    # Improved: once closed, the queue could no longer be flushed.
    out = Narrow()
    endpoint = fed(from_client(CLOSE, close_payload(1000)), out=out)
    endpoint.get_next_message()
    assert endpoint.is_closed()
    out.room = 100
    assert endpoint.flush_write_queue() is True
    assert out.data == frame_bytes(CLOSE, close_payload(1000))


def test_an_error_of_out_comes_out_and_ends_the_endpoint():
    class Broken:
        def write(self, data: object) -> int:
            raise BrokenPipeError("gone")

    endpoint = ServerEndpoint(out=Broken())
    with pytest.raises(BrokenPipeError):
        endpoint.send_message("x")
    assert endpoint.is_closed()
    assert endpoint.get_write_queue_size() == 0


# ---- before_send_frame -----------------------------------------------------------------------


def test_before_send_frame_is_called_before_each_ping_pong_and_close():
    seen: list[str] = []
    endpoint = fed(from_client(PING, b"p"), before_send_frame=lambda frame: seen.append(frame.type))
    endpoint.get_next_message()
    endpoint.ping()
    endpoint.send_message("data")
    endpoint.close()
    assert seen == []  # nothing has left yet
    assert types(endpoint) == ["pong", "ping", "text", "close"]
    assert seen == ["pong", "ping", "close"]


@pytest.mark.parametrize("way", ["blocking", "flush", "shift"])
def test_before_send_frame_is_called_whichever_way_the_frame_leaves(way: str):
    # Improved: a shifted frame never met the hook.
    seen: list[Frame] = []
    out = {"blocking": Written(), "flush": Narrow(room=100), "shift": None}[way]
    endpoint = ServerEndpoint(out=out, before_send_frame=seen.append)
    endpoint.ping()
    if way == "flush":
        endpoint.flush_write_queue()
    elif way == "shift":
        endpoint.shift_write_queue()
    assert [frame.type for frame in seen] == ["ping"]


def test_before_send_frame_is_called_before_the_bytes_are_made():
    out = Written()

    def mark(frame: ControlFrame) -> None:
        frame.rsv = 0b001

    endpoint = fed(from_client(PING, b"p"), out=out, before_send_frame=mark)
    endpoint.get_next_message()
    assert out.writes == [frame_bytes(PONG, b"p", rsv=0b001)]


def test_before_send_frame_gets_the_frame_that_leaves():
    seen: list[Frame] = []
    endpoint = ClientEndpoint(before_send_frame=seen.append)
    endpoint.close(CloseCode.SUCCESS, "bye")
    (frame,) = drain(endpoint)
    assert len(seen) == 1
    assert seen[0] is frame


def test_a_frame_of_ones_own_passes_the_queue_and_is_masked_by_role():
    endpoint = ClientEndpoint()
    endpoint.send_frame(PingFrame(b"mine"))
    (frame,) = drain(endpoint)
    assert (frame.payload, len(frame.mask)) == (b"mine", 4)
    endpoint.close()
    with pytest.raises(EndpointClosed):
        endpoint.send_frame(PingFrame())

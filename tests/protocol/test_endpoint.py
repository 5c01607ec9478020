"""The endpoint: messages in and out, heartbeat, callbacks, subclasses, `out`, limits.

How it ends is in test_endpoint_closing.py, two of them together in test_conversation.py.
"""

from __future__ import annotations

import io
import os
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import (
    EndpointClosed,
    InvalidFrame,
    InvalidPayload,
    LocalError,
    MessageTooBig,
    PeerError,
    PolicyViolation,
    ProtocolError,
)
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol import (
    BinaryFrame,
    ClientEndpoint,
    CloseFrame,
    ContinuationFrame,
    ControlFrame,
    DataFrame,
    Endpoint,
    Frame,
    Message,
    Parser,
    PingFrame,
    PongFrame,
    Progress,
    ServerEndpoint,
    State,
    Streamer,
    TextFrame,
)

from .fake_extension import Doubling
from .wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    ChunkFrame,
    StatusFrame,
    client,
    close_facts,
    close_payload,
    cut,
    cut_places,
    drain,
    drain_bytes,
    examples,
    facts,
    frame_bytes,
    from_client,
    payloads,
    server,
    state_of,
    streams,
    take,
)


def feed(endpoint: Endpoint, *frames: bytes) -> None:
    for data in frames:
        endpoint.receive_data(data)


# ---- making one ------------------------------------------------------------------------------


def test_an_endpoint_has_a_role():
    with pytest.raises(TypeError, match="make a ServerEndpoint or a ClientEndpoint"):
        Endpoint()
    assert server().masks is False
    assert client().masks is True


def test_nothing_is_done_when_one_is_made():
    class Forbidden:
        def read(self, size: int) -> bytes:
            raise AssertionError

        def send(self, data: bytes) -> int:
            raise AssertionError

        def __call__(self, *arguments: object) -> Any:
            raise AssertionError

    no = Forbidden()
    endpoint = client(
        parser=Parser(no),
        out=no,
        on_data_frame=no,
        before_send_frame=no,
        random_bytes=no,
    )
    assert state_of(endpoint) is State.OPEN
    assert endpoint.is_open
    assert not endpoint.is_closed()
    assert endpoint.get_write_queue_size() == endpoint.write_queue_bytes == 0
    assert endpoint.shift_write_queue() is None


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"unrecognized_pong": "drop"}, ValueError, '"close" or "ignore", not \'drop\''),
        ({"max_pings": -1}, ValueError, "max_pings must be an int of at least 0, not -1"),
        ({"max_pings": 1.5}, ValueError, "max_pings must be an int of at least 0, not 1.5"),
        ({"out": 3}, TypeError, r"out needs a write \(or send\) method"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        server(**options)


def test_the_parser_gets_the_role_and_the_extension():
    parser = Parser()
    server(parser=parser)
    assert (parser.masked, parser.first_rsv) == (True, 0)
    client(parser=parser, extension=Doubling())
    assert (parser.masked, parser.first_rsv) == (False, 4)


@pytest.mark.parametrize("on_data_frame", [None, lambda frame: None])
@pytest.mark.parametrize("most", [None, 5])
def test_the_parsers_own_limit_comes_before_that_of_messages(on_data_frame: Any, most: int | None):
    parser = Parser(max_frame_size=most)
    server(parser=parser, on_data_frame=on_data_frame, limits=Limits(message_size=9))
    assert parser.max_frame_size == (most or (9 if on_data_frame else None))


def test_what_waits_is_told_without_counting():
    endpoint = server()
    told = [endpoint.has_frames]
    endpoint.send_message("a")
    told.append(endpoint.has_frames)
    drain(endpoint)
    assert [*told, endpoint.has_frames] == [False, True, False]


# ---- messages in -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [server, client])
def test_messages_come_out_in_order(make: Any):
    endpoint = make()
    mask = b"" if endpoint.masks else MASK
    feed(
        endpoint,
        frame_bytes(TEXT, "€".encode(), mask=mask) + frame_bytes(BINARY, b"\xff", mask=mask),
        frame_bytes(TEXT, b"a", fin=False, mask=mask) + frame_bytes(CONTINUATION, b"b", mask=mask),
    )
    first = endpoint.get_next_message()
    assert first is not None
    assert first.get_frames() == (TextFrame("€", mask=mask),)
    assert payloads(endpoint) == [b"\xff", "ab"]
    assert endpoint.get_next_message() is None
    assert drain(endpoint) == []


def test_frames_keep_their_reserved_bits():
    endpoint = server(parser=Parser(rsv=7))
    frames = [from_client(TEXT, b"a", fin=False, rsv=5), from_client(CONTINUATION, b"b", rsv=2)]
    feed(endpoint, *frames)
    message = endpoint.get_next_message()
    assert message is not None
    assert [frame.rsv for frame in message.get_frames()] == [5, 2]
    assert message.to_bytes() == b"".join(frames)


def test_control_frames_among_fragments():  # C53
    endpoint = server()
    ping = endpoint.ping()
    drain(endpoint)
    feed(
        endpoint,
        from_client(TEXT, b"a", fin=False) + from_client(PING, b"p") + from_client(PONG, ping),
    )
    assert endpoint.get_next_message() is None
    assert drain(endpoint) == [PongFrame(b"p")]
    feed(endpoint, from_client(CONTINUATION, b"b"))
    assert payloads(endpoint) == ["ab"]


def test_the_incoming_message_can_be_taken_in_parts():
    endpoint = server()
    wire = from_client(TEXT, "a€".encode() + b"bc")
    feed(endpoint, wire[:9])
    assert endpoint.get_next_message() is None
    assert endpoint.incoming.partial_type == "text"
    assert endpoint.incoming.take_part() == b"a"
    feed(endpoint, wire[9:])
    assert payloads(endpoint) == ["€bc"]
    assert endpoint.incoming.partial_type is None


def test_step_handles_one_frame_at_a_time():
    endpoint = server()
    assert endpoint.step() is Progress.NEED_DATA
    feed(endpoint, from_client(PING, b"1") + from_client(PING, b"2") + from_client(TEXT, b"x"))
    assert endpoint.step() is Progress.HANDLED
    assert drain(endpoint) == [PongFrame(b"1")]
    assert endpoint.step() is Progress.HANDLED
    assert isinstance(endpoint.step(), Message)


class Source:
    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers

    def read(self, size: int) -> bytes | None:
        return self.answers.pop(0)


def test_the_source_is_read_once_a_call():
    source = Source([from_client(PING), from_client(PING, b"x"), None, from_client(TEXT, b"a") * 2])
    endpoint = server(parser=Parser(source))
    for left in (3, 2, 1):
        assert endpoint.get_next_message() is None
        assert len(source.answers) == left
    for _ in range(2):
        message = endpoint.get_next_message()
        assert message is not None
        assert message.payload == "a"
    assert source.answers == []


def test_buffered_messages_come_without_reading():
    source = Source([from_client(TEXT, b"a") * 2])
    endpoint = server(parser=Parser(source))
    for _ in range(2):
        message = endpoint.get_next_message()
        assert message is not None
        assert message.payload == "a"


def test_pull_until_the_peer_closes():
    wire = from_client(TEXT, b"a") + from_client(PING) + from_client(CLOSE, close_payload(1000))
    endpoint = server(parser=Parser(io.BytesIO(wire), read_size=3), out=(out := io.BytesIO()))
    messages = []
    while not endpoint.is_closed():
        if (message := endpoint.get_next_message()) is not None:
            messages.append(message.payload)
    assert messages == ["a"]
    assert out.getvalue() == frame_bytes(PONG) + frame_bytes(CLOSE, close_payload(1000))


@examples(150)
@given(
    st.one_of(streams().map(b"".join), st.binary(max_size=30)), st.binary(max_size=8), cut_places
)
def test_the_outcome_never_depends_on_how_the_bytes_are_cut(
    head: bytes, tail: bytes, places: list[int]
):
    def run(pieces: list[bytes], at_once: bool) -> tuple[Any, ...]:
        endpoint = server(unrecognized_pong="ignore", limits=Limits(message_size=60, fragments=4))
        found: list[Any] = []
        error: PeerError | None = None
        for piece in pieces:
            endpoint.receive_data(piece)
            if not at_once and endpoint.is_open:
                messages, error = take(endpoint)
                found += messages
        endpoint.receive_eof()
        if endpoint.is_open:
            messages, error = take(endpoint)
            found += messages
        frames = [message.to_bytes() for message in found]
        return frames, type(error), endpoint.state, endpoint.closing.code, drain_bytes(endpoint)

    data = head + tail
    whole = run([data], at_once=True)
    assert run(cut(data, places), at_once=False)[0] == whole[0]
    assert run(cut(data, places), at_once=False)[2:] == whole[2:]
    assert run(cut(data, places), at_once=True) == whole
    assert run([data[i : i + 1] for i in range(len(data))], at_once=False)[2:] == whole[2:]


# ---- UTF-8 (C61-C63) -------------------------------------------------------------------------

BAD_TEXT = [
    (b"ok \x80 and more", 3),
    (b"\xc0\xaf and more", 0),
    ("κόσμε".encode() + b"\xed\xa0\x80edited", 11),
    (b"ab\xf4\x90\x80\x80", 3),
    (b"\xe2\x82\x28.....", 2),
    ("😀".encode() + b"\xff.", 4),
]


@pytest.mark.parametrize(("text", "place"), BAD_TEXT)
@pytest.mark.parametrize("is_second", [False, True])
def test_bad_utf8_fails_at_its_byte_in_the_middle_of_a_frame(
    text: bytes, place: int, is_second: bool
):
    endpoint = server()
    if is_second:  # in the second of three fragments
        feed(endpoint, from_client(TEXT, "é".encode(), fin=False))
    wire = from_client(CONTINUATION if is_second else TEXT, text, fin=False)
    header = len(wire) - len(text)
    for byte in range(header + place):
        endpoint.receive_data(wire[byte : byte + 1])
        assert endpoint.get_next_message() is None
    endpoint.receive_data(wire[header + place : header + place + 1])
    with pytest.raises(InvalidPayload, match="text is not UTF-8"):
        endpoint.get_next_message()
    (frame,) = drain(endpoint)
    code, reason = close_facts(frame)
    assert code == 1007
    assert reason.startswith("text is not UTF-8")


def test_text_that_ends_inside_a_character():
    endpoint = server()
    feed(endpoint, from_client(TEXT, b"\xe2\x82", fin=False), from_client(CONTINUATION, b""))
    with pytest.raises(InvalidPayload, match="unexpected end of data"):
        endpoint.get_next_message()


def test_a_character_over_fragments_reads_and_pings():  # C63
    endpoint = server()
    character = "😀".encode()
    wire = b"".join(
        from_client(CONTINUATION if place else TEXT, character[place : place + 1], fin=place == 3)
        + from_client(PING, b"%d" % place)
        for place in range(4)
    )
    found = []
    for place in range(len(wire)):
        endpoint.receive_data(wire[place : place + 1])
        found += payloads(endpoint)
    assert found == ["😀"]
    assert drain(endpoint) == [PongFrame(b"3")]


# ---- limits ----------------------------------------------------------------------------------


def test_a_message_over_the_limit_fails_by_its_header_alone():  # C50
    endpoint = server(limits=Limits(message_size=1000))
    feed(endpoint, bytes.fromhex("82 ff 40 00 00 00 00 00 00 00") + MASK)
    with pytest.raises(MessageTooBig, match=f"a message of {1 << 62} bytes or more"):
        endpoint.get_next_message()
    assert close_facts(endpoint.shift_write_queue())[0] == 1009


def test_a_message_of_exactly_the_limit():
    endpoint = server(limits=Limits(message_size=1000))
    feed(
        endpoint, from_client(BINARY, bytes(600), fin=False), from_client(CONTINUATION, bytes(400))
    )
    assert payloads(endpoint) == [bytes(1000)]


def test_fragments_add_up():
    endpoint = server(limits=Limits(message_size=1000))
    feed(endpoint, from_client(BINARY, bytes(600), fin=False))
    feed(endpoint, from_client(CONTINUATION, bytes(401))[:8])
    with pytest.raises(MessageTooBig, match="a message of 1001 bytes or more"):
        endpoint.get_next_message()


@pytest.mark.parametrize("options", [{}, {"on_data_frame": lambda frame: None}])
def test_without_a_limit_a_declared_length_is_not_believed(options):
    endpoint = server(limits=Limits(message_size=None), **options)
    feed(endpoint, bytes.fromhex("82 ff 40 00 00 00 00 00 00 00") + MASK)
    assert endpoint.get_next_message() is None
    tracemalloc.start()
    try:
        feed(endpoint, bytes(100_000))
        assert endpoint.get_next_message() is None
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert endpoint.is_open


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("options", [{}, {"on_data_frame": lambda frame: None}])
def test_without_a_limit_a_message_may_be_of_any_size(options, fragments):
    endpoint = server(limits=Limits(message_size=None), **options)
    size = 2 * Limits().most_in_message // fragments
    for number in range(fragments):
        opcode = CONTINUATION if number else BINARY
        feed(endpoint, from_client(opcode, bytes(size), fin=number == fragments - 1))
    assert payloads(endpoint) == [bytes(size * fragments)]


def test_without_a_limit_a_message_inflates_to_any_size():
    extension = Doubling(factor=100)
    endpoint = server(limits=Limits(message_size=None), extension=extension)
    feed(endpoint, from_client(BINARY, b"x" * 20_000, rsv=4))
    assert [len(payload) for payload in payloads(endpoint)] == [2_000_000]


def test_the_limit_holds_with_on_data_frame_too():
    endpoint = server(limits=Limits(message_size=10), on_data_frame=lambda frame: None)
    feed(endpoint, from_client(BINARY, bytes(11)))
    with pytest.raises(MessageTooBig):
        endpoint.get_next_message()


def test_too_many_fragments():  # E84, E85
    endpoint = server(limits=Limits(fragments=3))
    for _ in range(5):
        feed(endpoint, from_client(TEXT, fin=False), from_client(0, fin=False), from_client(0))
    assert payloads(endpoint) == [""] * 5
    feed(endpoint, from_client(TEXT, fin=False), from_client(0, fin=False) * 3)
    with pytest.raises(PolicyViolation, match="a message of 0 bytes in 4 frames"):
        endpoint.get_next_message()
    assert close_facts(endpoint.shift_write_queue())[0] == 1008


def test_a_ping_flood_leaves_one_pong():  # E82
    endpoint = server()
    for number in range(5000):
        feed(endpoint, from_client(PING, b"%d" % number))
        endpoint.get_next_message()
    assert endpoint.get_write_queue_size() == 1
    assert endpoint.write_queue_bytes == 4 + 14
    waits = [endpoint.is_pong_waiting]
    assert drain(endpoint) == [PongFrame(b"4999")]
    waits.append(endpoint.is_pong_waiting)
    assert waits == [True, False]


# ---- heartbeat -------------------------------------------------------------------------------


@pytest.mark.parametrize("max_pings", [0, 1, 3, 5])
def test_max_pings_and_then_a_close(max_pings: int):
    endpoint = server(max_pings=max_pings)
    for _ in range(max_pings):
        endpoint.check_heartbeat()
    frames = drain(endpoint)
    assert [frame.type for frame in frames] == ["ping"] * max_pings
    assert len({frame.payload for frame in frames}) == max_pings
    endpoint.check_heartbeat()
    assert facts(drain(endpoint)) == [
        ("close", close_payload(1002, f"Unanswered ping(s): {max_pings}"))
    ]
    assert endpoint.is_closed()
    with pytest.raises(EndpointClosed):
        endpoint.check_heartbeat()


def test_three_pings_unless_told_otherwise():
    assert server().max_pings == 3


def beat(endpoint: Endpoint) -> bytes:
    endpoint.check_heartbeat()
    (frame,) = drain(endpoint)
    assert isinstance(frame, PingFrame)
    return frame.payload


def test_a_pong_resets_the_counter_for_all():
    endpoint = server(max_pings=2)
    first = beat(endpoint)
    beat(endpoint)
    feed(endpoint, from_client(PONG, first))
    assert endpoint.get_next_message() is None
    beat(endpoint)
    beat(endpoint)
    endpoint.check_heartbeat()
    assert endpoint.is_closed()


def test_a_late_pong_for_a_cleared_ping_is_recognised_and_resets_too():
    endpoint = server(max_pings=2)
    first, second = beat(endpoint), beat(endpoint)
    feed(endpoint, from_client(PONG, second))
    endpoint.get_next_message()
    beat(endpoint)
    feed(endpoint, from_client(PONG, first), from_client(PONG, second))
    assert endpoint.get_next_message() is None
    assert endpoint.is_open
    beat(endpoint)
    beat(endpoint)
    endpoint.check_heartbeat()
    assert endpoint.is_closed()


def test_data_and_wrong_pongs_reset_nothing():
    endpoint = server(max_pings=1, unrecognized_pong="ignore")
    beat(endpoint)
    feed(endpoint, from_client(TEXT, b"x"), from_client(PONG, b"y"))
    assert payloads(endpoint) == ["x"]
    endpoint.check_heartbeat()
    assert endpoint.is_closed()


def test_reset_heartbeat():
    endpoint = server(max_pings=1)
    payload = beat(endpoint)
    endpoint.reset_heartbeat()
    beat(endpoint)
    feed(endpoint, from_client(PONG, payload))
    assert endpoint.get_next_message() is None
    assert endpoint.is_open


@pytest.mark.parametrize("payload", [b"", b"\0\0\0\1\0\0\0\0"])
def test_an_unrecognized_pong_closes(payload: bytes):
    endpoint = server()
    feed(endpoint, from_client(PONG, payload), from_client(TEXT, b"x"))
    assert endpoint.get_next_message() is None
    assert facts(drain(endpoint)) == [("close", close_payload(1002, "unrecognized pong"))]
    assert endpoint.is_closed()
    assert state_of(endpoint) is State.CLOSE_SENT


def test_an_unrecognized_pong_may_be_ignored():
    endpoint = server(unrecognized_pong="ignore")
    feed(endpoint, from_client(PONG, b"hello"), from_client(TEXT, b"x"))
    assert payloads(endpoint) == ["x"]
    assert drain(endpoint) == []


def test_the_pong_listener_hears_each_pong_first():
    heard: list[bytes] = []
    endpoint = server(unrecognized_pong="ignore")
    endpoint.listen_to_pongs(lambda frame: heard.append(frame.payload))
    feed(endpoint, from_client(PONG, b"1"), from_client(PING), from_client(PONG, b"2"))
    endpoint.get_next_message()
    assert heard == [b"1", b"2"]
    endpoint.close()
    feed(endpoint, from_client(PONG, b"3"))
    endpoint.get_peer_close()
    assert heard == [b"1", b"2"]


def test_ping_returns_its_payload():
    endpoint = client(random_bytes=bytes)
    payload = endpoint.ping()
    assert drain(endpoint) == [PingFrame(payload, mask=bytes(4))]
    assert endpoint.ping() != payload


# ---- messages out ----------------------------------------------------------------------------


def test_send_message():
    endpoint = server()
    for data in ("€", b"\xff", bytearray(b"ab"), memoryview(b"abc")[1:], "", b""):
        endpoint.send_message(data)
    assert drain(endpoint) == [
        TextFrame("€"),
        BinaryFrame(b"\xff"),
        BinaryFrame(b"ab"),
        BinaryFrame(b"bc"),
        TextFrame(""),
        BinaryFrame(b""),
    ]


def test_what_was_queued_does_not_follow_the_callers_buffer():
    endpoint = server()
    buffer = bytearray(b"abc")
    endpoint.send_message(buffer)
    buffer[:] = b"xyz"
    assert drain(endpoint) == [BinaryFrame(b"abc")]


def test_a_client_masks_what_it_sends():
    endpoint = client(random_bytes=lambda size: bytes(range(size)))
    endpoint.send_message("a")
    endpoint.send_frame(PingFrame(b"b"))
    endpoint.close(1000)
    assert [frame.mask for frame in drain(endpoint)] == [
        b"\x04\x05\x06\x07",
        b"\x00\x01\x02\x03",
        b"\x08\x09\x0a\x0b",
    ]


def test_masks_are_not_the_same_twice():
    endpoint = client()
    for _ in range(100):
        endpoint.send_message("a")
    assert len({frame.mask for frame in drain(endpoint)}) == 100


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (3, TypeError),
        (None, TypeError),
        (["a"], TypeError),
        ("ok \ud800", UnicodeEncodeError),
    ],
)
def test_what_cannot_be_sent_queues_nothing(data: Any, error: type[Exception]):
    endpoint = server()
    with pytest.raises(error):
        endpoint.send_message(data)
    assert endpoint.get_write_queue_size() == 0
    endpoint.send_message("fine")
    assert drain(endpoint) == [TextFrame("fine")]


def test_send_message_says_what_it_wants():
    with pytest.raises(TypeError, match="a message is str or bytes, not int"):
        server().send_message(3)  # type: ignore[arg-type]


def test_a_message_goes_in_its_own_frames_masked_by_role():
    frames = [TextFrame("a", fin=False, mask=MASK), ContinuationFrame(b"b", rsv=1)]
    endpoint = server(limits=Limits(fragment_size=1))
    endpoint.send_message(Message(frames))
    assert drain(endpoint) == [TextFrame("a", fin=False), ContinuationFrame(b"b", rsv=1)]
    masking = client(random_bytes=lambda size: b"m" * size)
    masking.send_message(Message(frames))
    assert {frame.mask for frame in drain(masking)} == {b"mmmm"}


def test_a_message_between_fragments_queues_nothing():
    endpoint = server()
    endpoint.send_frame(TextFrame("a", fin=False))
    for data in ("text", Message([TextFrame("b")])):
        with pytest.raises(LocalError):
            endpoint.send_message(data)
    assert endpoint.get_write_queue_size() == 1


def test_large_messages_leave_in_fragments():
    endpoint = server(limits=Limits(fragment_size=100))
    endpoint.send_message(bytes(250))
    endpoint.send_message("x" * 100)
    assert endpoint.shift_write_queue() == BinaryFrame(bytes(100), fin=False)
    endpoint.ping()
    feed(endpoint, from_client(PING, b"p"))
    endpoint.get_next_message()
    assert [(f.type, len(f.payload), f.fin) for f in drain(endpoint)] == [
        ("pong", 1, True),
        ("ping", 8, True),
        ("continuation", 100, False),
        ("continuation", 50, True),
        ("text", 100, True),
    ]


def test_send_frame_takes_a_streamers_frames():
    endpoint = server()
    with Streamer("text") as streamer:
        endpoint.send_frame(streamer.create_chunk("a"))
        endpoint.send_frame(StatusFrame(b"s"))
        endpoint.send_frame(streamer.create_final("b"))
    assert [frame.type for frame in drain(endpoint)] == ["status", "text", "continuation"]


def test_send_frame_refuses_what_is_out_of_sequence():
    endpoint = server()
    with pytest.raises(LocalError, match="a continuation frame cannot be sent outside of"):
        endpoint.send_frame(ContinuationFrame())
    endpoint.send_frame(TextFrame(fin=False))
    with pytest.raises(LocalError, match="a binary frame cannot be sent inside"):
        endpoint.send_frame(BinaryFrame())
    assert endpoint.get_write_queue_size() == 1


def test_send_frame_of_a_close_closes():
    endpoint = server()
    endpoint.send_frame(CloseFrame(4000, "x"))
    assert state_of(endpoint) is State.CLOSE_SENT
    assert drain(endpoint) == [CloseFrame(4000, "x")]


def test_create_message():
    endpoint = client(parser=Parser(frame_types=[ChunkFrame]), random_bytes=bytes)
    text = endpoint.create_message("text", "€")
    assert text.get_frames() == (TextFrame("€", mask=bytes(4)),)
    assert endpoint.create_message("binary").payload == b""
    assert endpoint.create_message("chunk", b"x").type == "chunk"
    assert endpoint.get_write_queue_size() == 0
    assert server().create_message("text", b"x").get_frames() == (TextFrame("x"),)


@pytest.mark.parametrize("type", ["ping", "close", "chunk", "", "Text"])
def test_create_message_of_an_unknown_type(type: str):
    with pytest.raises(ValueError, match=f"no data frame of the type {type!r} is known"):
        server().create_message(type)


def test_create_message_refuses_what_is_no_message():
    with pytest.raises(InvalidFrame):
        server().create_message("continuation")
    with pytest.raises(TypeError, match="must be bytes, not str"):
        server().create_message("binary", "text")


def test_a_message_chunk_by_chunk():
    endpoint = server(limits=Limits(fragment_size=3))
    states = [endpoint.is_between_messages]
    endpoint.begin_message("text")
    states.append(endpoint.is_between_messages)
    assert states == [True, False]
    assert endpoint.get_write_queue_size() == 0
    endpoint.send_chunk("")  # no frame for nothing
    endpoint.send_chunk("a")
    endpoint.ping()
    endpoint.send_chunk("bcde", final=True)
    assert endpoint.is_between_messages
    assert drain(endpoint)[1:] == [
        TextFrame("a", fin=False),
        ContinuationFrame(b"bcd", fin=False),
        ContinuationFrame(b"e"),
    ]
    endpoint.begin_message("binary")
    endpoint.send_chunk(b"", final=True)
    assert drain(endpoint) == [BinaryFrame(b"")]


def test_nothing_else_is_sent_inside_a_message_that_has_begun():
    endpoint = server()
    endpoint.begin_message("text")
    for call in (
        lambda: endpoint.send_message("x"),
        lambda: endpoint.send_message(Message([TextFrame("x")])),
        lambda: endpoint.send_frame(TextFrame("x")),
        lambda: endpoint.send_frame(ContinuationFrame(b"x")),
        lambda: endpoint.begin_message("text"),
    ):
        with pytest.raises(LocalError, match="a message is being sent in fragments: end it first"):
            call()
    assert endpoint.get_write_queue_size() == 0


def test_a_message_that_has_begun_is_cancelled_while_nothing_is_queued():
    endpoint = server()
    endpoint.begin_message("text")
    assert endpoint.cancel_message()
    assert endpoint.is_between_messages
    with pytest.raises(LocalError, match="no message was begun"):
        endpoint.send_chunk("x")
    endpoint.begin_message("binary")
    endpoint.send_chunk(b"x")
    assert not endpoint.cancel_message()
    endpoint.send_chunk(b"", final=True)
    assert drain(endpoint) == [BinaryFrame(b"x", fin=False), ContinuationFrame()]


def test_a_view_that_skips_bytes_is_sent_as_what_it_shows():
    endpoint = server()
    endpoint.send_message(memoryview(b"abcd")[::2])
    endpoint.begin_message("binary")
    endpoint.send_chunk(memoryview(b"efgh")[1::2], final=True)
    assert drain(endpoint) == [BinaryFrame(b"ac"), BinaryFrame(b"fh")]


@pytest.mark.parametrize(
    ("kind", "data", "error", "text"),
    [
        ("text", b"x", TypeError, "a chunk of a text message cannot be bytes"),
        ("binary", "x", TypeError, "a chunk of a binary message cannot be str"),
        ("binary", [1], TypeError, "a chunk of a binary message cannot be list"),
        ("text", "\ud800", UnicodeEncodeError, "surrogates"),
    ],
)
def test_a_wrong_chunk_changes_nothing(kind: str, data: Any, error: type[Exception], text: str):
    endpoint = server()
    endpoint.begin_message(kind)
    with pytest.raises(error, match=text):
        endpoint.send_chunk(data)
    assert endpoint.get_write_queue_size() == 0
    assert endpoint.cancel_message()


def test_only_text_and_binary_are_begun():
    endpoint = server()
    with pytest.raises(ValueError, match='a message is "text" or "binary", not \'ping\''):
        endpoint.begin_message("ping")
    assert endpoint.is_between_messages
    endpoint.close()
    for call in (lambda: endpoint.begin_message("text"), lambda: endpoint.send_chunk("x")):
        with pytest.raises(EndpointClosed):
            call()


@pytest.mark.parametrize("compress", [False, True])
def test_chunks_are_encoded_one_after_the_other(compress: bool):
    extension = Doubling()
    sender, receiver = client(extension=extension), server(extension=Doubling())
    sender.begin_message("binary", compress=compress)
    for chunk in (b"", b"ab", b"c"):
        sender.send_chunk(chunk)
    sender.send_chunk(b"d", final=True)
    frames = drain(sender)
    assert [frame.rsv for frame in frames] == [4 if compress else 0, 0, 0]
    receiver.receive_data(b"".join(frame.to_bytes() for frame in frames))
    assert payloads(receiver) == [b"abcd"]
    assert extension.encoded == ([(False, True)] * 3 + [(True, False)] if compress else [])


# ---- extension -------------------------------------------------------------------------------


def test_messages_are_encoded_and_decoded():
    ours, theirs = Doubling(smallest=2), Doubling()
    sender, receiver = client(extension=ours), server(extension=theirs)
    sender.send_message("hello")
    sender.send_message("é", compress=False)
    sender.send_message("x")  # not worth it
    sender.send_message(b"bytes")
    assert ours.asked == [("text", 5), ("text", 1), ("binary", 5)]
    frames = drain(sender)
    assert [frame.rsv for frame in frames] == [4, 0, 0, 4]
    wire = b"".join(frame.to_bytes() for frame in frames)
    found = []
    for place in range(len(wire)):  # "never another feed before": the extension looks
        receiver.receive_data(wire[place : place + 1])
        if place % 3 == 0 or place == len(wire) - 1:
            found += payloads(receiver)
    assert found == ["hello", "é", "x", b"bytes"]
    assert all(given <= asked for asked, given in theirs.reads)


def test_the_extensions_bit_only_on_the_first_frame():  # D70
    endpoint = server(extension=Doubling())
    feed(endpoint, from_client(TEXT, b"\x9e", fin=False, rsv=4), from_client(0, b"x", rsv=4))
    with pytest.raises(ProtocolError, match="reserved bits 100 on a continuation frame"):
        endpoint.get_next_message()


@pytest.mark.parametrize(("size", "is_too_big"), [(999, False), (1000, False), (1001, True)])
def test_decoded_size_is_limited_exactly(size: int, is_too_big: bool):
    extension = Doubling()
    endpoint = server(extension=extension, limits=Limits(message_size=1000))
    data = b"x" * size
    feed(endpoint, from_client(BINARY, bytes(byte ^ 0xFF for byte in data), rsv=4))
    if is_too_big:
        with pytest.raises(MessageTooBig, match="inflates to more than 1000 bytes"):
            endpoint.get_next_message()
        assert close_facts(endpoint.shift_write_queue())[0] == 1009
        assert max(asked for asked, _ in extension.reads) == 1001
    else:
        assert payloads(endpoint) == [data]


def test_on_data_frame_sees_the_wire_form():
    seen: list[DataFrame] = []
    endpoint = server(extension=Doubling(), on_data_frame=seen.append)
    feed(endpoint, from_client(BINARY, b"\xfe", rsv=4))
    assert payloads(endpoint) == [b"\x01"]
    assert [frame.payload for frame in seen] == [b"\xfe"]


# ---- on_data_frame ---------------------------------------------------------------------------


def test_on_data_frame_sees_every_data_frame_and_nothing_else():
    seen: list[Frame] = []
    endpoint = server(on_data_frame=seen.append)
    feed(
        endpoint,
        from_client(TEXT, b"a", fin=False) + from_client(PING) + from_client(CONTINUATION, b"b"),
        from_client(BINARY, b"c") + from_client(CLOSE),
    )
    assert payloads(endpoint) == ["ab", b"c"]
    assert facts(seen) == [("text", b"a"), ("continuation", b"b"), ("binary", b"c")]


def test_the_seeds_recipe_for_large_messages():
    chunks: list[bytes] = []

    def keep(frame: DataFrame) -> DataFrame:
        chunks.append(frame.payload)
        return type(frame)(b"", fin=frame.fin)

    endpoint = server(on_data_frame=keep)
    feed(endpoint, from_client(BINARY, b"a", fin=False), from_client(CONTINUATION, b"b"))
    message = endpoint.get_next_message()
    assert message is not None
    assert message.payload == b""
    assert len(message.get_frames()) == 2
    assert chunks == [b"a", b"b"]


def test_on_data_frame_that_returns_something_else():
    endpoint = server(on_data_frame=lambda frame: frame.payload)
    feed(endpoint, from_client(TEXT, b"a"), from_client(PING))
    with pytest.raises(TypeError, match="on_data_frame returns a DataFrame or None, not b'a'"):
        endpoint.get_next_message()
    assert endpoint.is_open  # what becomes of the connection is its owner's decision
    assert endpoint.get_next_message() is None
    assert drain(endpoint) == [PongFrame()]


def test_on_data_frame_that_raises():
    def fail(frame: DataFrame) -> None:
        raise ZeroDivisionError

    endpoint = server(on_data_frame=fail)
    feed(endpoint, from_client(TEXT, b"a"), from_client(PING))
    with pytest.raises(ZeroDivisionError):
        endpoint.get_next_message()
    assert endpoint.is_open
    assert endpoint.get_next_message() is None
    assert drain(endpoint) == [PongFrame()]


def test_on_data_frame_that_closes():
    def close(frame: DataFrame) -> None:
        endpoint.close(4000)

    endpoint = server(on_data_frame=close)
    feed(endpoint, from_client(TEXT, b"a"), from_client(PING), from_client(TEXT, b"b"))
    assert endpoint.get_next_message() is None
    assert drain(endpoint) == [CloseFrame(4000)]


def test_on_data_frame_may_send():
    def send(frame: DataFrame) -> None:
        endpoint.send_message(frame.payload)

    endpoint = server(on_data_frame=send)
    feed(endpoint, from_client(TEXT, b"a"))
    assert payloads(endpoint) == ["a"]
    assert drain(endpoint) == [BinaryFrame(b"a")]


# ---- before_send_frame -----------------------------------------------------------------------


def test_before_send_frame_sees_ping_pong_and_close():
    seen: list[ControlFrame] = []
    endpoint = server(before_send_frame=seen.append, parser=Parser(frame_types=[]))
    endpoint.send_message("x")
    endpoint.send_frame(PingFrame(b"1"))
    feed(endpoint, from_client(PING, b"2"))
    endpoint.get_next_message()
    endpoint.close(1001)
    assert seen == []
    drain(endpoint)
    assert seen == [PongFrame(b"2"), PingFrame(b"1"), CloseFrame(1001)]


def test_before_send_frame_that_raises_loses_nothing():
    def fail(frame: ControlFrame) -> None:
        raise ZeroDivisionError(frame.type)

    out = io.BytesIO()
    endpoint = server(before_send_frame=fail, out=out)
    with pytest.raises(ZeroDivisionError, match="ping"):
        endpoint.send_frame(PingFrame())
    assert endpoint.get_write_queue_size() == 1
    assert out.getvalue() == b""
    assert endpoint.flush_write_queue()  # it is not shown a second time
    assert out.getvalue() == frame_bytes(PING)
    with pytest.raises(ZeroDivisionError, match="close"):
        endpoint.close(1000)
    assert endpoint.is_closed()
    assert endpoint.flush_write_queue()
    assert out.getvalue() == frame_bytes(PING) + frame_bytes(CLOSE, close_payload(1000))


def test_before_send_frame_may_send():
    def more(frame: ControlFrame) -> None:
        if frame.payload == b"1":
            endpoint.send_frame(PingFrame(b"2"))
            endpoint.close(1000)

    out = io.BytesIO()
    endpoint = server(before_send_frame=more, out=out)
    endpoint.send_frame(PingFrame(b"1"))
    expected = [frame_bytes(PING, b"1"), frame_bytes(PING, b"2")]
    assert out.getvalue() == b"".join(expected) + frame_bytes(CLOSE, close_payload(1000))


# ---- subclasses and frames of extensions -----------------------------------------------------


def test_overrides_take_the_place_of_the_defaults():
    class Mine(ServerEndpoint):
        calls: list[tuple[str, bytes]]

        def on_ping(self, frame: PingFrame) -> None:
            self.calls.append(("ping", frame.payload))

        def on_pong(self, frame: PongFrame) -> None:
            self.calls.append(("pong", frame.payload))

        def on_close(self, frame: CloseFrame) -> None:
            self.calls.append(("close", frame.payload))

    endpoint = Mine()
    endpoint.calls = []
    feed(endpoint, from_client(PING, b"1"), from_client(PONG, b"2"), from_client(CLOSE))
    assert endpoint.get_next_message() is None
    assert endpoint.calls == [("ping", b"1"), ("pong", b"2"), ("close", b"")]
    assert drain(endpoint) == [CloseFrame()]


def test_an_override_that_raises_has_handled_its_frame():
    class Mine(ServerEndpoint):
        def on_ping(self, frame: PingFrame) -> None:
            super().on_ping(frame)
            raise ZeroDivisionError

    endpoint = Mine()
    feed(endpoint, from_client(PING, b"1"), from_client(TEXT, b"a"))
    with pytest.raises(ZeroDivisionError):
        endpoint.get_next_message()
    assert payloads(endpoint) == ["a"]
    assert drain(endpoint) == [PongFrame(b"1")]


def test_an_override_that_closes_ends_the_drain():
    class Mine(ServerEndpoint):
        def on_ping(self, frame: PingFrame) -> None:
            self.close(4001)

    endpoint = Mine()
    feed(endpoint, from_client(PING), from_client(TEXT, b"a"))
    assert endpoint.get_next_message() is None
    assert drain(endpoint) == [CloseFrame(4001)]


@pytest.mark.parametrize("has_out", [False, True])
def test_nothing_follows_our_close_whoever_asks(has_out: bool):
    class Mine(ServerEndpoint):
        def on_ping(self, frame: PingFrame) -> None:
            self.close(4001)
            super().on_ping(frame)

    out = io.BytesIO()
    endpoint = Mine(out=out if has_out else None)
    feed(endpoint, from_client(PING, b"1"))
    with pytest.raises(EndpointClosed, match="a pong frame cannot follow"):
        endpoint.get_next_message()
    written = out.getvalue() if has_out else drain_bytes(endpoint)
    assert written == frame_bytes(CLOSE, close_payload(4001))


def test_custom_data_frames_come_as_messages():
    endpoint = server(parser=Parser(frame_types=[ChunkFrame]))
    feed(endpoint, from_client(3, b"\xff", fin=False), from_client(CONTINUATION, b"b"))
    message = endpoint.get_next_message()
    assert message is not None
    assert (message.type, message.payload) == ("chunk", b"\xffb")


class StatusEndpoint(ClientEndpoint):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.statuses: list[bytes] = []

    def on_status(self, frame: StatusFrame) -> None:
        self.statuses.append(frame.payload)


def test_custom_control_frames_go_to_their_handler():
    endpoint = StatusEndpoint(parser=Parser(frame_types=[StatusFrame]))
    feed(
        endpoint,
        frame_bytes(TEXT, b"a", fin=False) + frame_bytes(11, b"s") + frame_bytes(CONTINUATION),
    )
    assert payloads(endpoint) == ["a"]
    assert endpoint.statuses == [b"s"]
    endpoint.send_frame(StatusFrame(b"t"))
    (frame,) = drain(endpoint)
    assert (frame.type, frame.payload, len(frame.mask)) == ("status", b"t", 4)


def test_a_custom_control_frame_needs_a_handler():
    with pytest.raises(TypeError, match="knows StatusFrame, but ServerEndpoint has no on_status"):
        server(parser=Parser(frame_types=[StatusFrame]))


class Unready(ServerEndpoint):
    on_status = None  # no handler


@pytest.mark.parametrize("make", [ServerEndpoint, ClientEndpoint, Unready])
@pytest.mark.parametrize("is_own", [True, False])
def test_a_control_type_that_the_parser_learns_late_needs_a_handler(make: Any, is_own: bool):
    """Refused where it is registered, not in the middle of what the peer sends."""
    parser = Parser()
    endpoint = make() if is_own else make(parser=parser)
    text = f"knows StatusFrame, but {make.__name__} has no on_status"
    with pytest.raises(TypeError, match=text):
        endpoint.parser.register(StatusFrame)
    assert StatusFrame.opcode not in endpoint.parser.frame_types
    status = frame_bytes(11, b"s") if endpoint.masks else from_client(11, b"s")
    feed(endpoint, status)
    with pytest.raises(ProtocolError, match="unknown opcode 11"):
        endpoint.get_next_message()


def test_a_control_type_that_the_parser_learns_late_goes_to_its_handler():
    endpoint = StatusEndpoint()
    endpoint.parser.register(StatusFrame)
    feed(endpoint, frame_bytes(11, b"s"))
    assert endpoint.get_next_message() is None
    assert endpoint.statuses == [b"s"]


def test_a_parser_of_two_endpoints_learns_what_both_can_handle():
    parser = Parser()
    able = StatusEndpoint(parser=parser)
    parser.register(StatusFrame)
    with pytest.raises(TypeError, match="ClientEndpoint has no on_status"):
        client(parser=parser)
    feed(able, frame_bytes(11, b"s"))
    assert able.get_next_message() is None
    assert able.statuses == [b"s"]
    parser = Parser()
    StatusEndpoint(parser=parser)
    client(parser=parser)
    with pytest.raises(TypeError, match="ClientEndpoint has no on_status"):
        parser.register(StatusFrame)


def test_a_refused_endpoint_leaves_the_parser_as_it_was():
    parser = Parser(frame_types=[StatusFrame])
    with pytest.raises(TypeError, match="no on_status"):
        client(parser=parser, extension=Doubling())
    assert (parser.masked, parser.first_rsv) == (None, 0)
    parser.register(make_pulse())


def make_pulse() -> Any:
    return type("PulseFrame", (ControlFrame,), {"opcode": 12, "type": "pulse", "__slots__": ()})


def test_a_data_type_that_the_parser_learns_late_comes_as_a_message():
    endpoint = server()
    endpoint.parser.register(ChunkFrame)
    feed(endpoint, from_client(3, b"\xff"), from_client(3, b"a", fin=False))
    assert payloads(endpoint) == [b"\xff"]
    feed(endpoint, from_client(CONTINUATION, b"b"))
    assert payloads(endpoint) == [b"ab"]
    assert endpoint.create_message("chunk", b"c").type == "chunk"


# ---- out -------------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def test_a_blocking_socket_is_written_at_once(pair: tuple[socket.socket, socket.socket]):
    ours, theirs = pair
    endpoint = server(out=ours)
    endpoint.send_message("a")
    feed(endpoint, from_client(PING, b"p"))
    endpoint.get_next_message()
    assert endpoint.get_write_queue_size() == 0
    assert theirs.recv(100) == frame_bytes(TEXT, b"a") + frame_bytes(PONG, b"p")


def test_a_blocking_raw_file_is_written_at_once(tmp_path: Path):
    with open(tmp_path / "out", "wb", buffering=0) as out:
        server(out=out).send_message("a")
    assert (tmp_path / "out").read_bytes() == frame_bytes(TEXT, b"a")


def test_a_non_blocking_socket_is_written_by_flush(pair: tuple[socket.socket, socket.socket]):
    ours, theirs = pair
    ours.setblocking(False)
    endpoint = server(out=ours, limits=Limits(fragment_size=1 << 21))
    big = os.urandom(1 << 20)
    feed(endpoint, from_client(PING, b"p"))
    endpoint.get_next_message()
    endpoint.send_message(big)
    endpoint.send_message("last")
    assert endpoint.get_write_queue_size() == 3  # queued, nothing written
    assert not endpoint.flush_write_queue()
    assert theirs.recv(100) == frame_bytes(PONG, b"p")  # one frame a call
    assert endpoint.get_write_queue_size() == 2
    assert not endpoint.flush_write_queue()
    assert endpoint.get_write_queue_size() == 2  # the partly written one counts
    with pytest.raises(LocalError, match="a frame is written in part"):
        endpoint.shift_write_queue()
    feed(endpoint, from_client(PING, b"q"))
    endpoint.get_next_message()
    assert endpoint.get_write_queue_size() == 3
    received = bytearray()
    while not endpoint.flush_write_queue():
        received += theirs.recv(1 << 20)
    ours.shutdown(socket.SHUT_WR)
    while piece := theirs.recv(1 << 20):
        received += piece
    expected = frame_bytes(BINARY, big) + frame_bytes(PONG, b"q") + frame_bytes(TEXT, b"last")
    assert received == expected
    assert endpoint.get_write_queue_size() == 0
    assert endpoint.flush_write_queue()


def test_without_out_there_is_nothing_to_flush():
    endpoint = server()
    endpoint.send_message("a")
    with pytest.raises(LocalError, match="there is no out to write to"):
        endpoint.flush_write_queue()
    assert endpoint.get_write_queue_size() == 1
    assert endpoint.write_queue_bytes == 15
    assert drain(endpoint) == [TextFrame("a")]
    assert endpoint.write_queue_bytes == 0


# ---- what it shows of itself -------------------------------------------------------------------


def test_repr():
    endpoint = server()
    assert repr(endpoint) == "<ServerEndpoint open>"
    endpoint.send_message("hello")
    assert repr(endpoint) == "<ServerEndpoint open, 1 frame to write>"
    endpoint.close(1000)
    assert repr(endpoint) == "<ServerEndpoint close sent, 2 frames to write>"

    class Mine(ClientEndpoint):
        pass

    assert repr(Mine()) == "<Mine open>"

"""Net::WebSocket's Endpoint, but for its write queue."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    CloseCode,
    CloseFrame,
    ContinuationFrame,
    DataFrame,
    Endpoint,
    EndpointClosed,
    InvalidCloseCode,
    Parser,
    PingFrame,
    PongFrame,
    Progress,
    ProtocolError,
    ServerEndpoint,
    State,
    TextFrame,
    UnexpectedEOF,
)
from trio_wsendpoint.client.settings import ConnectSettings
from trio_wsendpoint.server.settings import AcceptSettings

from .helpers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    BlinkFrame,
    BooyaFrame,
    Written,
    close_facts,
    close_payload,
    drain,
    drain_bytes,
    facts,
    fails,
    fed,
    frame_bytes,
    from_client,
    fully,
    types,
)

# ---- new -------------------------------------------------------------------------------------


class Untouched:
    """A filehandle that must be left alone."""

    def read(self, size: int) -> bytes:
        raise AssertionError("read")

    def write(self, data: object) -> int:
        raise AssertionError("write")


@pytest.mark.parametrize("endpoint_type", [ServerEndpoint, ClientEndpoint])
def test_new_does_no_io(endpoint_type: type[Endpoint]):
    handle = Untouched()
    drawn: list[int] = []

    def random_bytes(size: int) -> bytes:
        drawn.append(size)
        return bytes(size)

    endpoint = endpoint_type(parser=Parser(handle), out=handle, random_bytes=random_bytes)
    assert endpoint.get_write_queue_size() == 0
    assert not endpoint.is_closed()
    assert drawn == []


def test_new_needs_neither_parser_nor_out():
    # The seed: `out` is optional; decision: so is `parser`, one to push to is made.
    endpoint = fed(from_client(TEXT, b"hi"))
    message = endpoint.get_next_message()
    assert message is not None
    assert message.payload == "hi"


def test_new_refuses_an_out_that_cannot_write():
    with pytest.raises(TypeError, match="out needs a write"):
        ServerEndpoint(out=object())


def test_new_refuses_a_parser_source_that_cannot_read():
    with pytest.raises(TypeError, match="needs a read method"):
        Parser(object())  # type: ignore[arg-type]


def test_new_refuses_unknown_options():
    # Improved: they were ignored.
    options: dict[str, Any] = {"before_send_control_frame": print}
    with pytest.raises(TypeError, match="before_send_control_frame"):
        ServerEndpoint(**options)


def test_max_pings_is_3_by_default():
    assert ServerEndpoint().max_pings == 3


def test_the_class_decides_who_masks():
    for endpoint, masks in ((ServerEndpoint(), False), (ClientEndpoint(), True)):
        endpoint.send_message("x")
        endpoint.ping()
        endpoint.close()
        assert [bool(frame.mask) for frame in drain(endpoint)] == [masks] * 3
    with pytest.raises(TypeError, match="no role"):
        Endpoint()


# ---- get_next_message ------------------------------------------------------------------------


def test_a_frame_that_completes_a_message_returns_it():
    endpoint = fed(from_client(TEXT, b"a"), from_client(BINARY, b"b"))
    assert [(message.type, message.payload) for message in fully(endpoint)] == [
        ("text", "a"),
        ("binary", b"b"),
    ]


def test_one_step_is_one_frames_worth_of_effects():
    endpoint = fed(from_client(PING, b"1"), from_client(PING, b"2"))
    assert endpoint.step() is Progress.HANDLED
    assert facts(drain(endpoint)) == [("pong", b"1")]
    assert endpoint.step() is Progress.HANDLED
    assert facts(drain(endpoint)) == [("pong", b"2")]
    assert endpoint.step() is Progress.NEED_DATA


def test_get_next_message_drains_what_is_buffered():
    # Decision (seed: "if one is available and is the next frame"): one call goes on past control
    # frames and fragments, so that None means that there is no message, and nothing else.
    endpoint = fed(
        from_client(PING, b"p"),
        from_client(TEXT, b"a", fin=False),
        from_client(CONTINUATION, b"b"),
    )
    message = endpoint.get_next_message()
    assert message is not None
    assert message.payload == "ab"
    assert facts(drain(endpoint)) == [("pong", b"p")]


class Reads:
    """A non-blocking source that gives one of its chunks a read, and counts the reads."""

    def __init__(self, *chunks: bytes | None) -> None:
        self.chunks = list(chunks)
        self.reads = 0

    def read(self, size: int) -> bytes | None:
        self.reads += 1
        return self.chunks.pop(0) if self.chunks else None


def test_get_next_message_reads_the_source_at_most_once_a_call():
    source = Reads(from_client(PING), None, from_client(TEXT, b"x"))
    endpoint = ServerEndpoint(parser=Parser(source))
    assert endpoint.get_next_message() is None  # a ping alone
    assert source.reads == 1
    assert types(endpoint) == ["pong"]
    assert endpoint.get_next_message() is None  # nothing yet
    assert source.reads == 2
    message = endpoint.get_next_message()
    assert message is not None
    assert source.reads == 3


def test_a_fragment_or_a_part_of_a_frame_returns_none():
    endpoint = fed(from_client(TEXT, b"a", fin=False), from_client(CONTINUATION, b"bc")[:-1])
    assert endpoint.get_next_message() is None
    endpoint.receive_data(from_client(CONTINUATION, b"bc")[-1:])
    message = endpoint.get_next_message()
    assert message is not None
    assert message.payload == "abc"


def test_eof_is_an_error_of_its_own():
    # Improved: it was "", or undef like everything else.
    endpoint = ServerEndpoint()
    endpoint.receive_eof()
    with pytest.raises(UnexpectedEOF):
        endpoint.get_next_message()
    assert endpoint.is_closed()
    assert drain(endpoint) == []


def test_get_next_message_may_not_be_called_after_a_close_was_sent():
    endpoint = fed(from_client(TEXT, b"x"))
    endpoint.close()
    with pytest.raises(EndpointClosed):
        endpoint.get_next_message()


# ---- a close comes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        *(close_payload(code) for code in [*range(1000, 1004), *range(1007, 1015), 4000, 4999]),
        close_payload(1000, "bye"),
        close_payload(1001, "€" * 41),
    ],
)
@pytest.mark.parametrize("role", ["server", "client"])
def test_a_close_is_answered_with_the_same_code_and_reason(payload: bytes, role: str):
    if role == "server":
        endpoint = fed(from_client(CLOSE, payload))
    else:
        endpoint = fed(frame_bytes(CLOSE, payload), endpoint=ClientEndpoint())
    assert endpoint.get_next_message() is None
    assert endpoint.is_closed()
    (answer,) = drain(endpoint)
    assert (answer.type, answer.payload) == ("close", payload)


def test_the_answer_to_a_close_has_our_own_mask():
    endpoint = fed(from_client(CLOSE, close_payload(1000)))
    endpoint.get_next_message()
    assert drain_bytes(endpoint) == frame_bytes(CLOSE, close_payload(1000))

    client = ClientEndpoint(random_bytes=lambda size: (MASK * size)[:size])
    fed(frame_bytes(CLOSE, close_payload(1000)), endpoint=client).get_next_message()
    assert drain_bytes(client) == frame_bytes(CLOSE, close_payload(1000), mask=MASK)


def test_a_close_without_a_code_is_answered_with_an_empty_close():
    endpoint = fed(from_client(CLOSE))
    assert endpoint.get_next_message() is None
    assert facts(drain(endpoint)) == [("close", b"")]
    received = endpoint.closing.received
    assert received is not None
    assert received.code is None  # 1005 never stands in a frame
    assert endpoint.closing.code == CloseCode.NO_STATUS


def test_an_invalid_close_code_over_4999_is_answered_with_1002_and_says_why():
    error = fails(fed(from_client(CLOSE, close_payload(5000, "x"))), ProtocolError, 1002)
    assert "5000" in str(error)


def test_a_received_close_is_no_exception():
    # The seed's synopsis asks is_closed() at the end of each turn; HEAD threw ReceivedClose unless
    # told not to.  The frame is kept.
    endpoint = fed(from_client(CLOSE, close_payload(1001, "bye")))
    assert endpoint.get_next_message() is None
    assert endpoint.is_closed()
    assert close_facts(endpoint.closing.received) == (1001, "bye")
    assert close_facts(endpoint.closing.sent) == (1001, "bye")


def test_an_extra_close_is_tolerated():
    frames = [from_client(CLOSE, close_payload(code)) for code in (1000, 1001)]
    endpoint = fed(*frames)
    assert endpoint.get_next_message() is None
    endpoint.receive_data(frames[1])
    assert endpoint.step() is Progress.ENDED
    assert close_facts(endpoint.closing.received) == (1000, "")
    assert types(endpoint) == ["close"]


def test_a_close_after_ours_is_not_answered():
    endpoint = ServerEndpoint()
    endpoint.close(1001, "first")
    endpoint.receive_data(from_client(CLOSE, close_payload(1001, "first")))
    assert close_facts(endpoint.get_peer_close()) == (1001, "first")
    assert types(endpoint) == ["close"]
    assert endpoint.state is State.CLOSED


def test_on_close_is_called_for_a_subclass():
    # Improved: the method was dispatched for every type but this one.
    class Listening(ServerEndpoint):
        seen: CloseFrame | None = None

        def on_close(self, frame: CloseFrame) -> None:
            self.seen = frame

    endpoint = Listening()
    fed(from_client(CLOSE, close_payload(1000, "bye")), endpoint=endpoint).get_next_message()
    assert close_facts(endpoint.seen) == (1000, "bye")
    assert close_facts(drain(endpoint)[0]) == (1000, "bye")


# ---- pings, pongs, and types of one's own ----------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"x", bytes(125)])
def test_a_ping_gets_one_pong_with_the_same_payload(payload: bytes):
    endpoint = fed(from_client(PING, payload))
    assert endpoint.get_next_message() is None
    assert facts(drain(endpoint)) == [("pong", payload)]


def test_a_known_pong_sets_the_counter_to_zero():
    endpoint = ServerEndpoint(max_pings=1)
    payload = endpoint.ping()
    fed(from_client(PONG, payload), endpoint=endpoint).get_next_message()
    drain(endpoint)
    endpoint.check_heartbeat()
    assert types(endpoint) == ["ping"]


def test_an_unmatched_pong_closes_with_1002_as_the_seed_says():
    # Decision: every released code ignored it; where the seed is explicit it is the default.
    endpoint = fed(from_client(PONG, b"never sent"))
    assert endpoint.get_next_message() is None
    assert endpoint.is_closed()
    assert close_facts(drain(endpoint)[0]) == (1002, "unrecognized pong")


def test_an_unmatched_pong_is_ignored_on_request():
    # Decision: RFC 6455 section 5.5.3 allows it, so there is an option.
    endpoint = fed(from_client(PONG, b"never sent"), unrecognized_pong="ignore")
    assert endpoint.get_next_message() is None
    assert not endpoint.is_closed()
    assert drain(endpoint) == []


def test_the_trio_connections_ignore_unmatched_pongs_by_default():
    assert AcceptSettings().unrecognized_pong == "ignore"
    assert ConnectSettings().unrecognized_pong == "ignore"


def test_on_ping_and_on_pong_of_a_subclass_replace_the_default():
    class Silent(ServerEndpoint):
        seen: tuple[str, ...] = ()

        def on_ping(self, frame: PingFrame) -> None:
            self.seen += (frame.type,)

        def on_pong(self, frame: PongFrame) -> None:
            self.seen += (frame.type,)

    endpoint = Silent()
    fed(from_client(PING, b"x"), from_client(PONG, b"y"), endpoint=endpoint).get_next_message()
    assert endpoint.seen == ("ping", "pong")
    assert drain(endpoint) == []
    assert not endpoint.is_closed()


class Blinking(ServerEndpoint):
    """Knows a control frame of an extension."""

    frame_types = (BlinkFrame, BooyaFrame)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[bytes] = []

    def on_blink(self, frame: BlinkFrame) -> str:
        self.seen.append(frame.payload)
        return "ignored"


def test_a_control_frame_of_ones_own_goes_to_on_type():
    endpoint = Blinking()
    fed(from_client(11, b"!"), endpoint=endpoint).get_next_message()
    assert endpoint.seen == [b"!"]


def test_a_parser_with_a_type_that_the_class_cannot_handle_is_refused_when_made():
    # Improved: the error came with the first such frame.
    with pytest.raises(TypeError, match="no on_blink"):
        ServerEndpoint(parser=Parser(frame_types=[BlinkFrame]))


def test_control_frames_during_a_fragmented_message_are_handled_and_the_fragments_kept():
    endpoint = Blinking()
    fed(
        from_client(TEXT, b"a", fin=False),
        from_client(PING, b"p"),
        from_client(CONTINUATION, b"b", fin=False),
        from_client(11, b"!"),
        from_client(CONTINUATION, b"c"),
        endpoint=endpoint,
    )
    assert [message.payload for message in fully(endpoint)] == ["abc"]
    assert facts(drain(endpoint)) == [("pong", b"p")]
    assert endpoint.seen == [b"!"]


# ---- on_data_frame ---------------------------------------------------------------------------


def test_on_data_frame_gets_every_data_frame_and_no_other():
    seen: list[tuple[str, bytes, bool]] = []
    endpoint = fed(
        from_client(BINARY, b"a", fin=False),
        from_client(PING, b"p"),
        from_client(CONTINUATION, b"b"),
        from_client(TEXT, b"c"),
        on_data_frame=lambda frame: seen.append((frame.type, frame.payload, frame.fin)),
    )
    assert len(fully(endpoint)) == 2
    assert seen == [("binary", b"a", False), ("continuation", b"b", True), ("text", b"c", True)]


def test_on_data_frame_may_replace_the_frame_so_that_nothing_is_buffered():
    chunks: list[bytes] = []

    def take(frame: DataFrame) -> DataFrame:
        chunks.append(frame.payload)
        return type(frame)(b"", fin=frame.fin, rsv=frame.rsv)

    endpoint = fed(
        from_client(BINARY, b"ab", fin=False), from_client(CONTINUATION, b"cd"), on_data_frame=take
    )
    (message,) = fully(endpoint)
    assert chunks == [b"ab", b"cd"]
    assert message.payload == b""
    assert [(frame.type, frame.fin) for frame in message.get_frames()] == [
        ("binary", False),
        ("continuation", True),
    ]


def test_a_message_that_is_not_buffered_may_come_in_many_frames():
    # 5 MB in frames of 1000 bytes, none of which is kept: that is what the callback is for.
    endpoint = ServerEndpoint(on_data_frame=lambda frame: type(frame)(b"", fin=frame.fin))
    endpoint.receive_data(from_client(BINARY, bytes(1000), fin=False))
    fragment = from_client(CONTINUATION, bytes(1000), fin=False)
    for _ in range(5000):
        endpoint.receive_data(fragment)
        assert endpoint.get_next_message() is None
    endpoint.receive_data(from_client(CONTINUATION))
    (message,) = fully(endpoint)
    assert message.payload == b""


def test_a_replaced_frame_keeps_the_rsv_bits_that_it_is_given():
    endpoint = fed(
        from_client(BINARY, b"ab", rsv=0b010),
        parser=Parser(rsv=0b010),
        on_data_frame=lambda frame: BinaryFrame(b"z", rsv=frame.rsv),
    )
    (message,) = fully(endpoint)
    assert message.get_frames() == (BinaryFrame(b"z", rsv=0b010),)


def test_on_data_frame_never_sees_an_illegal_frame():
    # Improved: the callback ran before the check of the sequence.
    seen: list[DataFrame] = []
    endpoint = fed(from_client(CONTINUATION, b"x"), on_data_frame=seen.append)
    fails(endpoint, ProtocolError, 1002)
    assert seen == []


def test_an_error_of_on_data_frame_comes_out_and_the_frame_is_done_with():
    def refuse(frame: DataFrame) -> None:
        if frame.payload == b"bad":
            raise KeyError("bad")

    endpoint = fed(from_client(TEXT, b"bad"), from_client(TEXT, b"ok"), on_data_frame=refuse)
    with pytest.raises(KeyError):
        endpoint.get_next_message()
    assert [message.payload for message in fully(endpoint)] == ["ok"]


# ---- the sequence of frames ------------------------------------------------------------------


def test_a_continuation_without_a_fragment_is_a_protocol_error_told_with_1002():
    error = fails(fed(from_client(CONTINUATION, b"x")), ProtocolError, 1002)
    assert str(error) == "a continuation frame outside of a message"


@pytest.mark.parametrize(("opcode", "type"), [(TEXT, "text"), (BINARY, "binary"), (3, "booya")])
def test_another_message_inside_a_fragmented_one_is_a_protocol_error(opcode: int, type: str):
    endpoint = Blinking()
    fed(from_client(TEXT, b"a", fin=False), from_client(opcode, b"b"), endpoint=endpoint)
    error = fails(endpoint, ProtocolError, 1002)
    assert str(error) == f"a {type} frame inside a fragmented message"


def test_the_close_for_a_protocol_error_carries_the_text_of_the_error():
    endpoint = fed(from_client(CONTINUATION))
    with pytest.raises(ProtocolError) as caught:
        endpoint.get_next_message()
    assert close_facts(drain(endpoint)[0]) == (1002, str(caught.value))


# ---- create_message --------------------------------------------------------------------------


@pytest.mark.parametrize("type", ["text", "binary"])
def test_create_message_makes_one_frame_and_sends_nothing(type: str):
    endpoint = ServerEndpoint()
    message = endpoint.create_message(type, b"hi")
    assert message.type == type
    (frame,) = message.get_frames()
    assert (frame.fin, frame.mask, frame.payload) == (True, b"", b"hi")
    assert endpoint.get_write_queue_size() == 0


def test_create_message_masks_by_role():
    (frame,) = ClientEndpoint().create_message("text", "hi").get_frames()
    assert len(frame.mask) == 4


def test_create_message_without_a_payload_is_empty():
    assert ServerEndpoint().create_message("binary").payload == b""


def test_create_message_encodes_text_and_counts_octets():
    # Improved: the length field counted characters.
    message = ServerEndpoint().create_message("text", "€uro")
    assert message.to_bytes() == frame_bytes(TEXT, "€uro".encode())
    assert message.payload == "€uro"


@pytest.mark.parametrize("type", ["ping", "close", "continuation", "booya", ""])
def test_create_message_refuses_what_is_no_data_type(type: str):
    # Improved: control frames got through, and the error for the rest had no type.
    with pytest.raises(ValueError, match=r"no data frame of the type|cannot be a continuation"):
        ServerEndpoint().create_message(type)


def test_create_message_knows_registered_types():
    message = Blinking().create_message("booya", b"x")
    assert message.type == "booya"
    assert message.to_bytes() == frame_bytes(3, b"x")


def test_a_created_message_can_be_sent():
    endpoint = ClientEndpoint()
    endpoint.send_message(endpoint.create_message("text", "hi"))
    assert facts(drain(endpoint)) == [("text", b"hi")]


# ---- the heartbeat ---------------------------------------------------------------------------


@pytest.mark.parametrize("max_pings", [0, 1, 3, 5])
def test_check_heartbeat_closes_on_call_max_pings_plus_one(max_pings: int):
    endpoint = ServerEndpoint(max_pings=max_pings)
    for _ in range(max_pings):
        endpoint.check_heartbeat()
        assert types(endpoint) == ["ping"]
        assert not endpoint.is_closed()
    endpoint.check_heartbeat()
    (close,) = drain(endpoint)
    # Decision: PROTOCOL_ERROR as the seed says (the code sent 1008), with HEAD's reason.
    assert close_facts(close) == (1002, f"Unanswered ping(s): {max_pings}")
    assert endpoint.is_closed()


def test_check_heartbeat_returns_nothing():
    endpoint = ServerEndpoint(max_pings=1)
    beats: list[object] = [endpoint.check_heartbeat(), endpoint.check_heartbeat()]  # type: ignore[func-returns-value]
    assert beats == [None, None]


def test_check_heartbeat_sends_no_ping_with_the_close():
    endpoint = ServerEndpoint(max_pings=0)
    endpoint.check_heartbeat()
    assert types(endpoint) == ["close"]


def test_check_heartbeat_after_the_close_raises():
    # The seed: further I/O attempts raise.
    endpoint = ServerEndpoint(max_pings=0)
    endpoint.check_heartbeat()
    with pytest.raises(EndpointClosed):
        endpoint.check_heartbeat()
    assert types(endpoint) == ["close"]


def test_check_heartbeat_after_a_close_of_the_peer_raises():
    endpoint = fed(from_client(CLOSE))
    endpoint.get_next_message()
    with pytest.raises(EndpointClosed):
        endpoint.check_heartbeat()
    assert types(endpoint) == ["close"]


@pytest.mark.parametrize(
    "frames",
    [[from_client(TEXT, b"x")], [from_client(PING)], [from_client(PONG, b"wrong")]],
    ids=["data", "ping", "wrong pong"],
)
def test_nothing_but_a_matching_pong_resets_the_counter(frames: list[bytes]):
    endpoint = ServerEndpoint(max_pings=1, unrecognized_pong="ignore")
    endpoint.check_heartbeat()
    fully(fed(*frames, endpoint=endpoint))
    endpoint.check_heartbeat()
    assert endpoint.is_closed()


# ---- close and its state ---------------------------------------------------------------------


def test_close_is_1000_by_default():
    # Decision: HEAD said 1001, which means that one is going away; 1000 is an ordinary end.
    endpoint = ServerEndpoint()
    endpoint.close()
    assert close_facts(drain(endpoint)[0]) == (1000, "")


def test_close_takes_code_and_reason():
    endpoint = ServerEndpoint()
    endpoint.close(CloseCode.ENDPOINT_UNAVAILABLE, "going")
    assert close_facts(drain(endpoint)[0]) == (1001, "going")


def test_close_twice_sends_one_frame():
    endpoint = ServerEndpoint()
    endpoint.close()
    with pytest.raises(EndpointClosed):
        endpoint.close()
    assert types(endpoint) == ["close"]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
def test_close_with_a_bad_code_changes_nothing(code: int):
    endpoint = ServerEndpoint()
    with pytest.raises(InvalidCloseCode):
        endpoint.close(code)
    with pytest.raises(InvalidCloseCode):
        endpoint.close(1000, "x" * 124)
    assert not endpoint.is_closed()
    assert endpoint.get_write_queue_size() == 0


def test_is_closed_is_true_as_soon_as_a_close_is_queued():
    for closing in (
        lambda endpoint: endpoint.close(),
        lambda endpoint: fed(from_client(CLOSE), endpoint=endpoint).get_next_message(),
    ):
        endpoint = ServerEndpoint()
        assert endpoint.is_closed() is False
        closing(endpoint)
        assert endpoint.is_closed() is True
        assert endpoint.get_write_queue_size() == 1


def test_the_close_frames_of_both_sides_are_kept():
    endpoint = ServerEndpoint()
    assert endpoint.closing.sent is None
    assert endpoint.closing.received is None
    endpoint.close(1001)
    assert close_facts(endpoint.closing.sent) == (1001, "")
    fed(from_client(CLOSE, close_payload(1001, "ok")), endpoint=endpoint).get_peer_close()
    assert close_facts(endpoint.closing.received) == (1001, "ok")


def test_each_frame_is_one_write_of_bytes():
    out = Written()
    endpoint = ServerEndpoint(out=out)
    endpoint.send_message("hi")
    endpoint.send_message(b"\0")
    endpoint.close()
    assert out.writes == [
        frame_bytes(TEXT, b"hi"),
        frame_bytes(BINARY, b"\0"),
        frame_bytes(CLOSE, close_payload(1000)),
    ]


def test_get_frames_of_a_message_shows_the_rsv_bits_of_each():
    endpoint = fed(
        from_client(TEXT, b"a", fin=False, rsv=0b001),
        from_client(CONTINUATION, b"b", rsv=0b010),
        parser=Parser(rsv=0b011),
    )
    (message,) = fully(endpoint)
    assert message.get_frames() == (
        TextFrame(b"a", fin=False, rsv=0b001, mask=MASK),
        ContinuationFrame(b"b", rsv=0b010, mask=MASK),
    )

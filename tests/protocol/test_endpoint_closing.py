"""How an endpoint ends: who closes when, and what is true from then on."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from trio_wsendpoint.errors import (
    EndpointClosed,
    InvalidCloseCode,
    InvalidPayload,
    LocalError,
    MessageTooBig,
    PeerError,
    PolicyViolation,
    ProtocolError,
    RateExceeded,
    UnexpectedEOF,
)
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol import (
    CloseFrame,
    Endpoint,
    Message,
    Parser,
    PingFrame,
    PongFrame,
    Progress,
    ServerEndpoint,
    State,
    TextFrame,
)

from .wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close_facts,
    close_payload,
    drain,
    facts,
    frame_bytes,
    from_client,
    payloads,
    server,
    state_of,
)

PEER_CLOSE = from_client(CLOSE, close_payload(1001, "going"))
VIOLATION = b"\xf1"


def feed(endpoint: Endpoint, *frames: bytes) -> None:
    for data in frames:
        endpoint.receive_data(data)


def close_sent() -> ServerEndpoint:
    endpoint = server()
    endpoint.close(4000, "ours")
    return endpoint


def close_received() -> ServerEndpoint:
    endpoint = server()
    feed(endpoint, PEER_CLOSE)
    assert endpoint.get_next_message() is None
    return endpoint


def closed() -> ServerEndpoint:
    endpoint = close_received()
    endpoint.shift_write_queue()
    return endpoint


def closed_by_us() -> ServerEndpoint:
    endpoint = close_sent()
    endpoint.shift_write_queue()
    feed(endpoint, PEER_CLOSE)
    assert endpoint.get_peer_close() == CloseFrame(1001, "going", mask=b"\x37\xfa\x21\x3d")
    return endpoint


def failed() -> ServerEndpoint:
    endpoint = server()
    feed(endpoint, VIOLATION)
    with pytest.raises(ProtocolError):
        endpoint.get_next_message()
    return endpoint


def lost() -> ServerEndpoint:
    endpoint = server()
    endpoint.receive_eof()
    with pytest.raises(UnexpectedEOF):
        endpoint.get_next_message()
    return endpoint


ENDED: list[tuple[Callable[[], ServerEndpoint], State]] = [
    (close_sent, State.CLOSE_SENT),
    (close_received, State.CLOSE_RECEIVED),
    (closed, State.CLOSED),
    (closed_by_us, State.CLOSED),
    (failed, State.FAILED),
    (lost, State.FAILED),
]


@pytest.mark.parametrize(("make", "state"), ENDED)
def test_io_after_the_end_is_refused(make: Callable[[], ServerEndpoint], state: State):
    endpoint = make()
    assert state_of(endpoint) is state
    assert endpoint.is_closed()
    assert not endpoint.is_open
    queued = endpoint.get_write_queue_size()
    calls: list[Callable[[], Any]] = [
        endpoint.get_next_message,
        lambda: endpoint.send_message("x"),
        lambda: endpoint.send_message(Message([TextFrame("x")])),
        lambda: endpoint.send_frame(TextFrame("x")),
        lambda: endpoint.send_frame(PingFrame()),
        lambda: endpoint.send_frame(CloseFrame(1000)),
        endpoint.ping,
        endpoint.check_heartbeat,
        endpoint.close,
        lambda: endpoint.close(None),
    ]
    for call in calls:
        with pytest.raises(EndpointClosed) as caught:
            call()
        assert str(caught.value) == endpoint.closing.explain() != "the connection is open"
    assert endpoint.get_write_queue_size() == queued
    assert state_of(endpoint) is state


@pytest.mark.parametrize(("make", "state"), ENDED)
def test_at_most_one_close_frame_and_nothing_after_it(
    make: Callable[[], ServerEndpoint], state: State
):
    endpoint = make()
    feed(endpoint, from_client(PING, b"p"), from_client(TEXT, b"x"), PEER_CLOSE, PEER_CLOSE)
    endpoint.get_peer_close()
    endpoint.fail(ProtocolError("again"))
    endpoint.release_end()
    endpoint.reset_heartbeat()
    left = drain(endpoint)
    assert [frame.type for frame in left] in ([], ["close"])
    assert endpoint.shift_write_queue() is None


# ---- our close -------------------------------------------------------------------------------


def test_close_leaves_last():
    endpoint = server(limits=Limits(fragment_size=1))
    endpoint.send_message("ab")
    endpoint.ping()
    feed(endpoint, from_client(PING, b"p"))
    endpoint.get_next_message()
    endpoint.close()
    assert endpoint.closing.sent == CloseFrame(1000)
    types = [frame.type for frame in drain(endpoint)]
    assert types == ["pong", "ping", "text", "continuation", "close"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), CloseFrame(1000)),
        ((None,), CloseFrame()),
        ((4999, "bye €"), CloseFrame(4999, "bye €")),
        ((1014,), CloseFrame(1014)),
    ],
)
def test_close_codes(arguments: tuple[Any, ...], expected: CloseFrame):
    endpoint = server()
    endpoint.close(*arguments)
    assert drain(endpoint) == [expected]


@pytest.mark.parametrize(
    "arguments", [(1005,), (999,), (5000,), (None, "why"), (1000, "x" * 124), (1000, "\ud800")]
)
def test_a_wrong_close_changes_nothing(arguments: tuple[Any, ...]):
    endpoint = server()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - looked at below
        endpoint.close(*arguments)
    assert isinstance(caught.value, (InvalidCloseCode, UnicodeEncodeError))
    assert endpoint.is_open
    assert endpoint.get_write_queue_size() == 0
    endpoint.send_message("still fine")


def test_a_queued_close_can_be_flushed():
    class Slow(io.BytesIO):
        def getblocking(self) -> bool:
            return False

    out = Slow()
    endpoint = server(out=out)
    endpoint.send_message("x")
    endpoint.close(1000)
    assert endpoint.get_write_queue_size() == 2
    assert not endpoint.flush_write_queue()
    assert endpoint.flush_write_queue()
    assert out.getvalue() == frame_bytes(TEXT, b"x") + frame_bytes(CLOSE, close_payload(1000))


# ---- get_peer_close --------------------------------------------------------------------------


def test_get_peer_close_needs_a_close_of_ours():
    with pytest.raises(LocalError, match=r"the endpoint is open: close\(\) it, or get_next_messag"):
        server().get_peer_close()


def test_the_peers_frames_are_passed_over_until_its_close():
    endpoint = close_sent()
    drain(endpoint)
    assert endpoint.get_peer_close() is None
    feed(endpoint, from_client(TEXT, b"\xff", fin=False) + from_client(PING, b"p"))
    feed(endpoint, from_client(CONTINUATION, bytes(1000))[:500])
    assert endpoint.get_peer_close() is None
    assert state_of(endpoint) is State.CLOSE_SENT
    feed(endpoint, from_client(CONTINUATION, bytes(1000))[500:], PEER_CLOSE)
    assert close_facts(endpoint.get_peer_close()) == (1001, "going")
    assert state_of(endpoint) is State.CLOSED
    assert endpoint.closing.code == 1001
    assert endpoint.closing.explain() == (
        "we closed with 4000 'ours'; the peer answered with 1001 (ENDPOINT_UNAVAILABLE) 'going'"
    )
    assert drain(endpoint) == []


def test_get_peer_close_reads_its_source_once_a_call():
    answers = [from_client(PING), None, from_client(TEXT) + PEER_CLOSE, b"never"]

    class Source:
        def read(self, size: int) -> bytes | None:
            return answers.pop(0)

    endpoint = server(parser=Parser(Source()))
    endpoint.close()
    for left in (3, 2):
        assert endpoint.get_peer_close() is None
        assert len(answers) == left
    assert close_facts(endpoint.get_peer_close()) == (1001, "going")
    assert close_facts(endpoint.get_peer_close()) == (1001, "going")
    assert answers == [b"never"]


@pytest.mark.parametrize(
    ("data", "error"), [(VIOLATION, ProtocolError), (b"", UnexpectedEOF), (b"\x81", UnexpectedEOF)]
)
def test_a_peer_that_does_not_close(data: bytes, error: type[PeerError]):
    endpoint = close_sent()
    feed(endpoint, data)
    endpoint.receive_eof()
    with pytest.raises(error):
        endpoint.get_peer_close()
    assert state_of(endpoint) is State.FAILED
    assert isinstance(endpoint.closing.error, error)
    assert endpoint.closing.code == 1006
    assert drain(endpoint) == [CloseFrame(4000, "ours")]
    assert endpoint.get_peer_close() is None


def test_get_peer_close_when_it_was_the_peer_that_closed():
    endpoint = close_received()
    assert close_facts(endpoint.get_peer_close()) == (1001, "going")
    assert state_of(endpoint) is State.CLOSE_RECEIVED


def flood(endpoint: Endpoint) -> int:
    """Send 10 MB of data, and pings; return the most memory that was held meanwhile."""
    data = from_client(BINARY, bytes(60_000)) + from_client(PING, b"p")
    tracemalloc.start()
    try:
        for _ in range(170):
            feed(endpoint, data)
            endpoint.get_peer_close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("make", [close_sent, close_received, closed, closed_by_us, failed])
def test_a_flood_after_the_end_is_kept_nowhere(make: Callable[[], ServerEndpoint]):  # C64
    endpoint = make()
    drain(endpoint)
    assert flood(endpoint) < 600_000
    assert endpoint.parser.buffered < 64
    assert drain(endpoint) == []


def test_one_endless_frame_after_our_close_is_kept_nowhere():
    endpoint = close_sent()
    feed(endpoint, bytes.fromhex("82 ff 40 00 00 00 00 00 00 00") + bytes(4))
    tracemalloc.start()
    try:
        for _ in range(170):
            feed(endpoint, bytes(60_000))
            assert endpoint.get_peer_close() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 600_000


# ---- the peer's close ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        *(
            close_payload(code)
            for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)
        ),
        close_payload(3000),
        close_payload(4999, "x" * 123),
        close_payload(1000, "€uro"),
    ],
)
def test_a_close_is_answered_with_the_identical_one(payload: bytes):  # C58
    endpoint = server()
    feed(endpoint, from_client(CLOSE, payload), from_client(TEXT, b"late"))
    assert endpoint.get_next_message() is None
    assert endpoint.is_closed()
    assert state_of(endpoint) is State.CLOSE_RECEIVED
    assert facts(drain(endpoint)) == [("close", payload)]
    assert state_of(endpoint) is State.CLOSED
    code = int.from_bytes(payload[:2], "big") if payload else 1005
    assert endpoint.closing.code == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_close_codes_that_must_not_come(code: int):  # C57
    endpoint = server()
    feed(endpoint, from_client(CLOSE, close_payload(code)))
    with pytest.raises(ProtocolError, match=f"close code {code} must not be sent"):
        endpoint.get_next_message()
    expected = close_payload(1002, f"close code {code} must not be sent")
    assert facts(drain(endpoint)) == [("close", expected)]
    assert state_of(endpoint) is State.FAILED


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xe2\x82", 1007)]
)
def test_close_payloads_that_must_not_come(payload: bytes, code: int):  # C56, C59
    endpoint = server()
    feed(endpoint, from_client(CLOSE, payload))
    with pytest.raises(PeerError):
        endpoint.get_next_message()
    assert close_facts(endpoint.shift_write_queue())[0] == code


def test_messages_before_the_close_come_first():
    endpoint = server()
    feed(endpoint, from_client(TEXT, b"a") + from_client(TEXT, b"b", fin=False) + PEER_CLOSE)
    assert payloads(endpoint) == ["a"]  # the message that had begun is discarded (C54)
    assert endpoint.is_closed()
    assert close_facts(endpoint.shift_write_queue()) == (1001, "going")


def test_on_close_may_answer_with_a_code_of_its_own():
    class Mine(ServerEndpoint):
        def on_close(self, frame: CloseFrame) -> None:
            assert self.state is State.CLOSE_RECEIVED
            self.close(4444, "mine")

    endpoint = Mine()
    feed(endpoint, PEER_CLOSE)
    assert endpoint.get_next_message() is None
    assert drain(endpoint) == [CloseFrame(4444, "mine")]
    assert state_of(endpoint) is State.CLOSED


def test_on_close_cannot_close_twice_or_send():
    class Mine(ServerEndpoint):
        def on_close(self, frame: CloseFrame) -> None:
            with pytest.raises(EndpointClosed):
                self.send_message("x")
            with pytest.raises(InvalidCloseCode):
                self.close(1005)
            self.close(4444)
            self.close(4445)

    endpoint = Mine()
    feed(endpoint, PEER_CLOSE)
    with pytest.raises(EndpointClosed):
        endpoint.get_next_message()
    assert drain(endpoint) == [CloseFrame(4444)]


def test_on_close_that_raises_does_not_keep_the_answer():
    class Mine(ServerEndpoint):
        def on_close(self, frame: CloseFrame) -> None:
            raise ZeroDivisionError

    endpoint = Mine()
    feed(endpoint, PEER_CLOSE)
    with pytest.raises(ZeroDivisionError):
        endpoint.get_next_message()
    assert close_facts(endpoint.shift_write_queue()) == (1011, "")


def test_on_close_is_called_for_the_answer_to_our_close_too():
    class Mine(ServerEndpoint):
        calls = 0

        def on_close(self, frame: CloseFrame) -> None:
            self.calls += 1
            with pytest.raises(EndpointClosed):
                self.close(4444)

    endpoint = Mine()
    endpoint.close(4000)
    feed(endpoint, PEER_CLOSE, PEER_CLOSE)
    endpoint.get_peer_close()
    assert endpoint.calls == 1
    assert drain(endpoint) == [CloseFrame(4000)]


# ---- violations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "error", "code"),
    [
        (VIOLATION, ProtocolError, 1002),
        (from_client(TEXT, b"\xff"), InvalidPayload, 1007),
        (from_client(TEXT, fin=False) + from_client(0, fin=False) * 2, PolicyViolation, 1008),
        (from_client(BINARY, bytes(101)), MessageTooBig, 1009),
    ],
)
def test_a_violation_is_told_then_raised(data: bytes, error: type[PeerError], code: int):  # C65
    endpoint = server(limits=Limits(message_size=100, fragments=2))
    endpoint.send_message("queued before")
    feed(endpoint, from_client(TEXT, b"fine") + from_client(PING, b"p") + data)
    message = endpoint.get_next_message()
    assert message is not None
    assert message.payload == "fine"
    with pytest.raises(error) as caught:
        endpoint.get_next_message()
    assert state_of(endpoint) is State.FAILED
    assert endpoint.closing.error is caught.value
    # What came before it is answered before our close.
    left = drain(endpoint)
    assert left[:2] == [PongFrame(b"p"), TextFrame("queued before")]
    assert close_facts(left[2]) == (code, str(caught.value))
    assert len(left) == 3
    assert endpoint.step() is Progress.ENDED
    assert endpoint.closing.code == 1006
    assert str(caught.value) in endpoint.closing.explain()


def test_a_long_reason_is_cut_between_characters():
    endpoint = server()
    endpoint.fail(ProtocolError("€" * 60))
    assert close_facts(endpoint.shift_write_queue()) == (1002, "€" * 41)
    endpoint = server()
    endpoint.fail(ProtocolError("x" + "é" * 100))
    assert close_facts(endpoint.shift_write_queue()) == (1002, "x" + "é" * 61)


def test_a_reason_with_a_surrogate_is_mended():
    endpoint = server()
    endpoint.fail(ProtocolError("bad \ud800"))
    assert close_facts(endpoint.shift_write_queue()) == (1002, "bad ?")


@pytest.mark.parametrize("data", [b"", b"\x81", from_client(TEXT, b"abc")[:-1]])
def test_bytes_that_end_without_a_close(data: bytes):
    endpoint = server()
    endpoint.send_message("unsent")
    feed(endpoint, data)
    endpoint.receive_eof()
    with pytest.raises(UnexpectedEOF):
        endpoint.get_next_message()
    assert state_of(endpoint) is State.FAILED
    assert endpoint.closing.code == 1006
    assert drain(endpoint) == [TextFrame("unsent")]  # 1006 is never sent


def test_whole_messages_come_before_the_end():
    endpoint = server()
    feed(endpoint, from_client(TEXT, b"a") + from_client(TEXT, b"b")[:-1])
    endpoint.receive_eof()
    message = endpoint.get_next_message()
    assert message is not None
    with pytest.raises(UnexpectedEOF):
        endpoint.get_next_message()


def test_fail_after_our_close_sends_nothing_more():
    endpoint = close_sent()
    error = ProtocolError("oh")
    endpoint.fail(error)
    assert (endpoint.state, endpoint.closing.error) == (State.FAILED, error)
    assert drain(endpoint) == [CloseFrame(4000, "ours")]


def test_the_first_failure_is_kept():
    endpoint = failed()
    first = endpoint.closing.error
    endpoint.fail(UnexpectedEOF("later"))
    assert endpoint.closing.error is first


def test_fail_forgets_what_had_begun():
    endpoint = server()
    feed(endpoint, from_client(TEXT, b"a", fin=False))
    endpoint.get_next_message()
    endpoint.fail(ProtocolError("ours"))
    assert endpoint.step() is Progress.ENDED


# ---- hold_end --------------------------------------------------------------------------------


def held_close(**options: Any) -> ServerEndpoint:
    endpoint = server(hold_end=True, **options)
    feed(endpoint, from_client(TEXT, b"a") + PEER_CLOSE + VIOLATION)
    assert payloads(endpoint) == ["a"]
    return endpoint


def held_violation() -> ServerEndpoint:
    endpoint = server(hold_end=True)
    feed(endpoint, from_client(TEXT, b"a") + VIOLATION + PEER_CLOSE)
    assert payloads(endpoint) == ["a"]
    return endpoint


def test_a_close_is_held_until_it_is_released():
    endpoint = held_close()
    assert close_facts(endpoint.held) == (1001, "going")  # type: ignore[arg-type]
    assert endpoint.is_open
    assert endpoint.step() is Progress.HELD
    assert endpoint.get_next_message() is None
    endpoint.send_message("an answer first")
    endpoint.ping()
    endpoint.release_end()
    assert endpoint.held is None
    assert state_of(endpoint) is State.CLOSE_RECEIVED
    types = [frame.type for frame in drain(endpoint)]
    assert types == ["ping", "text", "close"]
    assert state_of(endpoint) is State.CLOSED
    endpoint.release_end()
    assert drain(endpoint) == []


def test_a_violation_is_held_until_it_is_released():
    endpoint = held_violation()
    assert isinstance(endpoint.held, ProtocolError)
    error = endpoint.held
    assert endpoint.is_open
    assert endpoint.step() is Progress.HELD
    endpoint.send_message("an answer first")
    endpoint.release_end()
    assert state_of(endpoint) is State.FAILED
    assert endpoint.closing.error is error
    types = [frame.type for frame in drain(endpoint)]
    assert types == ["text", "close"]
    with pytest.raises(EndpointClosed, match="reserved bits"):
        endpoint.get_next_message()


def test_a_bad_payload_is_held_in_its_place():
    endpoint = server(hold_end=True)
    feed(endpoint, from_client(TEXT, b"a") + from_client(TEXT, b"\xff"))
    assert payloads(endpoint) == ["a"]
    assert isinstance(endpoint.held, InvalidPayload)
    endpoint.release_end()
    assert close_facts(endpoint.shift_write_queue())[0] == 1007


def test_release_with_nothing_held():
    endpoint = server(hold_end=True)
    endpoint.release_end()
    assert endpoint.is_open


def test_the_end_of_the_bytes_is_not_held():
    endpoint = server(hold_end=True)
    endpoint.receive_eof()
    with pytest.raises(UnexpectedEOF):
        endpoint.get_next_message()
    assert endpoint.held is None


def test_without_hold_end_nothing_is_held():
    endpoint = close_received()
    assert endpoint.held is None


def test_close_while_the_peers_close_is_held():
    endpoint = held_close()
    endpoint.close(4000, "ours")
    assert endpoint.held is None
    assert state_of(endpoint) is State.CLOSED
    assert close_facts(endpoint.get_peer_close()) == (1001, "going")
    assert drain(endpoint) == [CloseFrame(4000, "ours")]


def test_close_while_a_violation_is_held():
    endpoint = held_violation()
    endpoint.close(4000, "ours")
    assert endpoint.held is None
    assert state_of(endpoint) is State.FAILED
    assert isinstance(endpoint.closing.error, ProtocolError)
    assert drain(endpoint) == [CloseFrame(4000, "ours")]


def test_a_wrong_close_while_held_changes_nothing():
    endpoint = held_close()
    with pytest.raises(InvalidCloseCode):
        endpoint.close(1005)
    assert endpoint.held is not None
    assert endpoint.is_open


@pytest.mark.parametrize("make", [held_close, held_violation])
def test_fail_while_held(make: Callable[[], ServerEndpoint]):
    endpoint = make()
    endpoint.fail(UnexpectedEOF("the peer is gone"))
    assert endpoint.held is None
    assert state_of(endpoint) is State.FAILED
    endpoint.release_end()
    assert drain(endpoint) == []
    assert endpoint.closing.received is None


@pytest.mark.parametrize("make", [held_close, held_violation])
def test_heartbeat_that_closes_while_held(make: Callable[[], ServerEndpoint]):
    endpoint = make()
    endpoint.max_pings = 0
    endpoint.check_heartbeat()
    assert endpoint.held is None
    assert endpoint.closing.is_over
    assert [frame.type for frame in drain(endpoint)] == ["close"]


def test_after_our_close_nothing_is_held():
    endpoint = server(hold_end=True)
    endpoint.close(4000)
    feed(endpoint, PEER_CLOSE)
    assert close_facts(endpoint.get_peer_close()) == (1001, "going")
    endpoint = server(hold_end=True)
    endpoint.close(4000)
    feed(endpoint, VIOLATION)
    with pytest.raises(ProtocolError):
        endpoint.get_peer_close()


@pytest.mark.parametrize("make", [held_close, held_violation])
def test_bytes_behind_what_is_held_are_kept_nowhere(make: Callable[[], ServerEndpoint]):
    endpoint = make()
    before = endpoint.parser.buffered
    feed(endpoint, bytes(100_000))
    assert endpoint.parser.buffered == before
    endpoint.receive_eof()
    assert endpoint.get_next_message() is None


# ---- an out that fails -----------------------------------------------------------------------


class Broken(io.BytesIO):
    """Writes until it is told not to."""

    is_broken = False
    blocks = True

    def getblocking(self) -> bool:
        return self.blocks

    def write(self, data: Any) -> int:
        if self.is_broken:
            raise BrokenPipeError("gone")
        return super().write(data)


def test_an_error_of_out_ends_the_endpoint():
    out = Broken()
    endpoint = server(out=out)
    endpoint.send_message("a")
    out.is_broken = True
    with pytest.raises(BrokenPipeError):
        endpoint.send_message("b")
    assert state_of(endpoint) is State.FAILED
    assert isinstance(endpoint.closing.error, BrokenPipeError)
    assert endpoint.get_write_queue_size() == 0
    assert endpoint.shift_write_queue() is None
    with pytest.raises(EndpointClosed, match="gone"):
        endpoint.send_message("c")
    with pytest.raises(EndpointClosed, match="gone"):
        endpoint.close()


def test_an_error_of_out_while_our_close_is_written():
    out = Broken()
    out.is_broken = True
    endpoint = server(out=out)
    with pytest.raises(BrokenPipeError):
        endpoint.close()
    assert state_of(endpoint) is State.FAILED
    assert endpoint.get_peer_close() is None


def test_an_error_of_out_while_the_answer_is_written():
    out = Broken()
    out.is_broken = True
    endpoint = server(out=out)
    feed(endpoint, PEER_CLOSE)
    with pytest.raises(BrokenPipeError):
        endpoint.get_next_message()
    assert state_of(endpoint) is State.FAILED
    assert endpoint.closing.code == 1001


def test_an_error_of_out_while_a_violation_is_told():
    out = Broken()
    out.is_broken = True
    endpoint = server(out=out)
    feed(endpoint, VIOLATION)
    with pytest.raises(BrokenPipeError):
        endpoint.get_next_message()
    assert isinstance(endpoint.closing.error, ProtocolError)  # that came first


@pytest.mark.parametrize("data", [PEER_CLOSE, VIOLATION])
def test_an_error_of_out_while_an_end_is_held(data: bytes):
    out = Broken()
    endpoint = server(out=out, hold_end=True)
    feed(endpoint, data)
    assert endpoint.get_next_message() is None
    assert endpoint.step() is Progress.HELD
    out.is_broken = True
    with pytest.raises(BrokenPipeError):
        endpoint.send_message("late")
    endpoint.release_end()
    assert endpoint.held is None
    assert state_of(endpoint) is State.FAILED
    assert isinstance(endpoint.closing.error, BrokenPipeError)
    assert endpoint.get_write_queue_size() == 0
    assert endpoint.step() is Progress.ENDED


def test_an_error_of_out_inside_on_close():
    class Mine(ServerEndpoint):
        def on_close(self, frame: CloseFrame) -> None:
            self.flush_write_queue()

    out = Broken()
    out.blocks = False
    endpoint = Mine(out=out)
    endpoint.send_message("x")
    out.is_broken = True
    feed(endpoint, PEER_CLOSE)
    with pytest.raises(BrokenPipeError):
        endpoint.get_next_message()
    assert endpoint.closing.sent is None
    assert endpoint.get_write_queue_size() == 0


def test_an_owner_may_refuse_by_rules_of_its_own():
    endpoint = ServerEndpoint()
    assert not endpoint.refuse(RateExceeded("too many"))
    assert endpoint.state is State.FAILED
    assert endpoint.shift_write_queue() == CloseFrame(1013, "too many")
    held = ServerEndpoint(hold_end=True)
    assert held.refuse(RateExceeded("too many"))
    assert held.refuse(ProtocolError("behind it, nothing counts"))
    assert held.is_open
    held.release_end()
    assert held.shift_write_queue() == CloseFrame(1013, "too many")

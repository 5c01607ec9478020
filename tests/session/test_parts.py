"""The parts of a session: phases, what comes in, what goes out, pings, rates."""

from __future__ import annotations

import pytest

from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, frame_bytes
from tests.session.helpers import end, frames, give, joined, make, outcome_of, sent, wait, written
from trio_wsendpoint import CloseCause, Limits, PongFrame, ServerEndpoint
from trio_wsendpoint.errors import RateExceeded
from trio_wsendpoint.session import TRANSITIONS, Change, Need, Phase, PingEnd, Wake, Wish
from trio_wsendpoint.session.outbox import CHUNK, MOST_OVER
from trio_wsendpoint.session.pings import Ping, Pings
from trio_wsendpoint.session.rates import PeerRate, RateLimit
from trio_wsendpoint.session.statistics import Totals, TrafficStatistics

# ---- the table -----------------------------------------------------------------------------------


def test_the_table_leads_forward_only_and_to_the_end() -> None:
    order = list(Phase)
    assert list(TRANSITIONS) == order
    for phase, row in TRANSITIONS.items():
        assert all(order.index(after) > order.index(phase) for after in row.values())
        assert bool(row) is (phase is not Phase.OVER)
    assert {change for row in TRANSITIONS.values() for change in row} == set(Change)


# ---- in ------------------------------------------------------------------------------------------


def test_reading_stops_for_an_inbox_that_is_full() -> None:
    session = make(limits=Limits(receive_buffer=200))
    assert give(session, TEXT, b"one") is Need.DATA
    assert give(session, TEXT, b"two") is Need.APP
    assert give(session, TEXT, b"three") is Need.APP
    assert len(session.inbox.messages) == 2
    session.ask(Wish.POLLED)
    assert session.take_wakes() & Wake.READER
    first = session.take(0)
    assert first is not None
    assert first.payload == "one"
    session.advance(0)
    assert [message.payload for message in session.inbox.messages] == ["two", "three"]
    session.skip_message()
    assert session.inbox.size == 128 + 5
    session.close(1000, "", 0)
    assert session.inbox.size == 0


def test_a_message_that_is_skipped_while_it_comes_in() -> None:
    session = make()
    session.inbox.begin_stream()
    session.ask(Wish.PART)
    give(session, TEXT, b"half", fin=False)
    assert bool(session.inbox.has_answer)
    session.ask(Wish.PART)
    assert session.take_part(0) == b"half"
    assert session.take_part(0) == b""
    assert not bool(session.inbox.has_answer)
    session.skip_message()
    session.inbox.end_stream()
    give(session, CONTINUATION, b"other half")
    give(session, TEXT, b"next")
    message = session.take(0)
    assert message is not None
    assert message.payload == "next"


def test_a_part_that_is_taken_makes_room() -> None:
    session = make(limits=Limits(receive_buffer=100))
    session.inbox.begin_stream()
    session.ask(Wish.PART)
    assert give(session, BINARY, bytes(200), fin=False) is Need.APP
    session.take_wakes()
    assert len(session.take_part(0)) == 200
    assert session.take_wakes() & Wake.READER
    assert session.advance(0) is Need.DATA


def test_a_batch_of_frames_ends_for_other_tasks() -> None:
    session = make(limits=Limits(receive_buffer=1 << 20))
    session.receive_data(frame_bytes(TEXT, b"x", mask=MASK) * 65, 0)
    assert session.advance(0) is Need.TURN
    assert session.advance(0) is Need.DATA
    assert len(session.inbox.messages) == 65


def test_each_pong_gets_its_turns_and_then_the_latest_wins() -> None:
    session = make()
    session.receive_data(frame_bytes(PING, b"1", mask=MASK) + frame_bytes(PING, b"2", mask=MASK), 0)
    assert session.advance(0) is Need.TURN
    assert session.intake.give_pong_a_turn()
    assert sent(session) == [("pong", b"1")]
    assert not session.intake.give_pong_a_turn()
    session.advance(0)
    while session.intake.give_pong_a_turn():
        session.advance(0)
    give(session, PING, b"3")
    assert sent(session) == [("pong", b"3")]


def test_a_pong_gets_its_turn_also_where_messages_pass_the_inbox_by() -> None:
    session = make()
    pings = frame_bytes(PING, b"1", mask=MASK) + frame_bytes(PING, b"2", mask=MASK)
    assert session.take_next(0, pings) is None
    assert session.advance(0) is Need.TURN
    assert sent(session) == [("pong", b"1")]
    session.advance(0)
    assert sent(session) == [("pong", b"2")]


@pytest.mark.parametrize(("kind", "code"), [(PONG, b"\x03\xf0"), (TEXT, b"\x03\xf5")])
def test_a_peer_that_sends_too_often(kind: int, code: bytes) -> None:
    session = make(limits=Limits(control_rate=2, message_rate=2))
    for _ in range(4):
        give(session, kind, b"x")
    while session.take(0) is not None:
        pass
    wait(session)
    [(name, payload)] = sent(session)
    assert (name, payload[:2]) == ("close", code)
    assert session.statistics(0).close_cause is CloseCause.LIMIT


def test_a_close_frame_that_is_one_too_many_is_the_last_in_any_case() -> None:
    session = make(limits=Limits(control_rate=1))
    give(session, PONG)
    give(session, CLOSE, b"\x03\xe8")
    wait(session)
    assert sent(session) == [("close", b"\x03\xe8")]


def test_what_comes_after_the_peers_close_is_read_for_a_while() -> None:
    session = make()
    give(session, CLOSE, b"\x03\xe8")
    wait(session)
    session.receive_data(bytes(65536), 0)
    assert session.advance(0) is Need.DATA
    assert not bool(session.intake.is_eof)
    session.receive_data(b"x", 0)
    assert bool(session.intake.is_eof)
    assert session.advance(0) is Need.END
    end(session)


def test_messages_may_pass_the_inbox_by() -> None:
    session = make()
    intake = session.intake
    data = frame_bytes(TEXT, b"one", mask=MASK)
    session.ping(0)

    def take_next(now: float, data: bytes = b"") -> object:
        message = session.take_next(now, data)
        return None if message is None else message.payload

    assert take_next(1, data) == "one"
    assert take_next(2, data) == "one"
    assert (intake.heard, session.handed_over) == (2, 2)
    assert take_next(3, data + data) == "one"
    assert not bool(intake.is_drained)
    assert take_next(3) == "one"
    assert bool(intake.is_drained)
    assert take_next(3) is None
    assert take_next(4, data[:3]) is None
    assert take_next(4, data[3:]) == "one"
    assert take_next(5, frame_bytes(PONG, mask=MASK)) is None
    assert session.counts().messages_received == 5
    assert session.endpoint.control_frames == 1


def test_messages_that_pass_the_inbox_by_are_within_the_rate() -> None:
    session = make(limits=Limits(message_rate=1))
    data = frame_bytes(TEXT, b"one", mask=MASK)
    assert session.take_next(0, data) is not None
    while session.take_next(0, data) is not None:
        pass
    assert isinstance(session.endpoint.held, RateExceeded)
    assert session.take_next(0, data) is None


def test_the_rest_of_a_large_message_has_room_of_its_own() -> None:
    session = make(limits=Limits(message_size=1 << 20))
    data = frame_bytes(BINARY, bytes(400_000), mask=MASK)
    assert session.intake.get_room() is None
    session.receive_data(data[:200_000], 0)
    session.advance(0)
    assert session.intake.is_in_large_payload
    assert session.intake.get_room() is None
    session.ask(Wish.MESSAGE)
    room = session.intake.get_room()
    assert room is not None
    size = min(len(room), len(data) - 200_000)
    room[:size] = data[200_000 : 200_000 + size]
    room.release()
    session.intake.fill_room(size, 0)
    session.receive_data(data[200_000 + size :], 0)
    session.advance(0)
    message = session.take(0)
    assert message is not None
    assert message.payload == bytes(400_000)


def test_the_end_of_bytes_without_a_close_frame() -> None:
    session = make()
    session.receive_data(b"", 0)
    assert session.advance(0) is Need.END
    end(session)
    assert session.statistics(0).close_cause is CloseCause.LOST


def test_time_that_passes_renews_what_an_extension_allows() -> None:
    class Extension:
        rsv = 0b100

        def __init__(self) -> None:
            self.renewed: list[float] = []

        def renew(self, seconds: float) -> None:
            self.renewed.append(seconds)

    extension = Extension()
    session = make(extension=extension)
    session.advance(2)
    session.advance(5)
    assert extension.renewed == [2, 3]


# ---- out -----------------------------------------------------------------------------------------


def test_small_frames_leave_together_and_large_ones_uncopied() -> None:
    session = make(limits=Limits(fragment_size=1 << 20))
    session.send("a", compress=True)
    session.ping(0)
    session.send(bytes(CHUNK - 10), compress=True)
    session.send(bytes(CHUNK), compress=True)
    session.send(bytes(CHUNK - 4), compress=True)
    batches = []
    while (batch := session.next_batch(0)) is not None:
        batches.append(batch)
        session.note_sent(len(joined(batch)), 0)
    assert [type(batch) for batch in batches] == [bytes, tuple, bytes]
    found = frames(b"".join(map(joined, batches)))
    assert [kind for kind, _ in found] == ["ping", "text", "binary", "binary", "binary"]


def test_a_second_batch_is_refused_before_the_first_was_taken() -> None:
    session = make()
    session.send("a", compress=True)
    session.send("b", compress=True)
    batch = session.next_batch(0)
    with pytest.raises(RuntimeError, match="has not taken all"):
        session.next_batch(0)
    session.note_sent(len(joined(batch)), 0)
    assert session.next_batch(0) is None


def test_answers_that_are_corked_leave_together() -> None:
    session = make(limits=Limits(send_buffer=100))
    outbox = session.outbox
    assert outbox.cork(b"one")
    assert outbox.cork(b"two")
    assert not outbox.cork(bytes(95))
    assert (outbox.corked_bytes, outbox.queued_bytes, outbox.queued_frames) == (6, 6, 2)
    assert outbox.hand_out(b"three") == b"onetwothree"
    outbox.note_sent(11)
    assert outbox.hand_out(b"four") == b"four"
    outbox.note_sent(4)
    outbox.cork(b"five")
    assert written(session) == b"five"
    assert outbox.messages == 5


def test_what_is_dropped_is_counted() -> None:
    session = make()
    session.outbox.cork(b"corked")
    session.next_batch(0)
    session.note_sent(2, 0)
    session.outbox.cork(b"again")
    session.send("queued", compress=True)
    session.ping(0)
    session.lose_writing(OSError("gone"), 0)
    session.lose_writing(OSError("again"), 0)
    assert session.outbox.dropped == 4 + 5 + len("queued") + 14
    assert str(session.outbox.error) == "gone"


def test_a_control_frame_that_is_dropped_is_not() -> None:
    session = make()
    session.ping(0)
    session.next_batch(0)
    session.note_sent(0, 0)
    session.lose_writing(OSError("gone"), 0)
    assert session.outbox.dropped == 0


def test_of_a_batch_only_what_is_of_messages_counts_as_dropped() -> None:
    session = make()
    session.ping(0)
    session.send("queued", compress=True)
    assert session.next_batch(0) is not None  # both, joined
    session.note_sent(3, 0)
    session.lose_writing(OSError("gone"), 0)
    assert session.outbox.dropped == 2 + len("queued")


def test_a_sender_has_room_until_the_buffer_is_full() -> None:
    session = make(limits=Limits(send_buffer=10))
    assert session.outbox.has_space_for(20)
    session.send("x", compress=True)
    assert not session.outbox.has_space_for(1)
    session.take_wakes()
    written(session)
    assert session.take_wakes() & Wake.SENDERS
    assert session.outbox.has_space_for(20)


def test_a_message_waits_that_would_make_too_much_wait() -> None:
    outbox = (session := make(limits=Limits(send_buffer=10_000))).outbox
    assert outbox.has_space_for(10**6)
    session.send(b"x" * 9_000, compress=True)
    assert outbox.has_space_for(MOST_OVER)
    assert not outbox.has_space_for(MOST_OVER + 1_000)
    assert session.next_batch(0)
    session.note_sent(1_000, 0)  # what the stream has not taken of it waits as well
    assert outbox.has_space_for(MOST_OVER)
    assert not outbox.has_space_for(MOST_OVER + 2_000)
    session.note_sent(outbox.unsent, 0)
    assert outbox.has_space_for(10**6)


# ---- pings ---------------------------------------------------------------------------------------


def test_a_pong_answers_its_ping_and_those_before() -> None:
    session = make()
    heard: list[float] = []
    session.pings.listen(heard.append)
    first, one = session.ping(0)
    second, two = session.ping(0)
    written(session, 1)
    assert first != second
    give(session, PONG, second, 3)
    assert (one.end, two.end) == (PingEnd.ANSWERED, PingEnd.ANSWERED)
    assert heard == [2, 2]
    assert session.statistics(3).round_trip == 2


def test_a_pong_to_a_later_ping_answers_it_and_one_of_nobodys_does_not() -> None:
    session = make()
    payload, ping = session.ping(0)
    written(session, 1)
    later = session.endpoint.ping()
    written(session, 2)
    give(session, PONG, b"unasked", 3)
    assert outcome_of(ping) is PingEnd.WAITING
    give(session, PONG, later, 4)
    assert outcome_of(ping) is PingEnd.ANSWERED
    assert payload not in session.pings.waiting


def test_a_ping_that_has_not_left_is_not_answered() -> None:
    pings = Pings()
    ping = Ping(b"x", 5)
    pings.add(b"x", ping)
    pings.leave(b"before", 0)
    pings.answer(PongFrame(b"x"), 1)
    assert outcome_of(ping) is PingEnd.WAITING
    pings.forget(b"x")
    pings.forget(b"x")
    assert pings.due == float("inf")


def test_a_ping_whose_time_was_up_before_the_connection_ended_is_late() -> None:
    pings = Pings()
    late, closed = Ping(b"x", 5), Ping(b"y", 6)
    pings.add(b"x", late)
    pings.add(b"y", closed)
    pings.close(5)
    assert (late.end, closed.end) == (PingEnd.LATE, PingEnd.CLOSED)


def test_the_end_of_the_connection_ends_them() -> None:
    session = make()
    _, ping = session.ping(0)
    session.note_closed(1)
    assert outcome_of(ping) is PingEnd.CLOSED
    assert session.take_wakes() & Wake.PINGS


# ---- rates and statistics ------------------------------------------------------------------------


def test_a_rate_is_a_count_in_a_second() -> None:
    rate = RateLimit(2)
    assert rate.is_idle(0)
    assert [rate.allow(0), rate.allow(0.5), rate.allow(0.9), rate.allow(1)] == [1, 1, 0, 1]
    assert not rate.is_idle(1.5)
    assert rate.is_idle(2)


def test_a_peer_may_have_done_it_while_nothing_was_read() -> None:
    rate = PeerRate(2)
    rate.spare(1)
    assert [rate.allow(0) for _ in range(5)] == [True, True, True, True, False]


def test_totals_add_up_those_that_have_ended_and_those_that_are_here() -> None:
    totals = Totals()
    session = make(ServerEndpoint)
    session.send("x", compress=True)
    written(session)
    totals.add(session.counts(), session.endpoint.closing)  # open still: without a cause
    session.note_closed(1)
    totals.add(session.counts(), session.endpoint.closing)
    found = totals.with_present([session.statistics(1)])
    assert found["messages_sent"] == 3
    assert found["closes"] == {CloseCause.LOST: 1}


def test_a_ratio_of_nothing_is_none() -> None:
    nothing = TrafficStatistics()
    assert nothing.compression_ratio_sent is None
    assert nothing.compression_ratio_received is None
    some = TrafficStatistics(
        plain_sent=4, compressed_sent=2, plain_received=9, compressed_received=3
    )
    assert (some.compression_ratio_sent, some.compression_ratio_received) == (2, 3)

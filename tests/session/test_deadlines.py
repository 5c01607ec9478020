"""What is due when: each deadline of `Timeouts`, with the time as a number."""

from __future__ import annotations

import math

import pytest

from tests.protocol.wire import BINARY, CLOSE, PONG, TEXT
from tests.session.helpers import (
    end,
    ending_of,
    give,
    is_open,
    make,
    outcome_of,
    phase_of,
    sent,
    wait,
    written,
)
from trio_wsendpoint import ClientEndpoint, Heartbeat, Limits, ServerEndpoint
from trio_wsendpoint.session import Ending, How, Need, Phase, PingEnd, Session, Wake, Wish
from trio_wsendpoint.session.deadlines import Deadlines, Due

# ---- the deadlines as data -----------------------------------------------------------------------


def test_the_earliest_is_told_and_an_earlier_one_is_noticed() -> None:
    deadlines = Deadlines(20)
    assert deadlines.earliest == math.inf
    assert deadlines.set(Due.CLOSE, 5)
    assert not deadlines.set(Due.CLOSE, 6)
    assert deadlines.set(Due.CLOSE, 4)
    assert not deadlines.set(Due.DRAIN, 60)  # an earlier one runs
    assert deadlines.earliest == 4
    assert deadlines.passed(3.9) == []
    assert deadlines.passed(60) == [Due.CLOSE, Due.DRAIN]
    deadlines.drop(Due.CLOSE)
    deadlines.drop(Due.CLOSE)
    assert Due.CLOSE not in deadlines
    assert deadlines.earliest == 60
    deadlines.clear()
    assert deadlines.earliest == math.inf


def test_an_open_session_without_a_heartbeat_has_none() -> None:
    assert make().deadline == math.inf


# ---- write ---------------------------------------------------------------------------------------


def begin_batch(session: Session, now: float) -> int:
    session.send(b"x" * 1000, compress=False)
    batch = session.next_batch(now)
    assert isinstance(batch, bytes)
    return len(batch)


def test_a_peer_that_accepts_nothing_is_given_up() -> None:
    session = make()
    begin_batch(session, 1)
    session.note_sent(0, 1)
    assert session.take_wakes() & Wake.DEADLINE
    assert session.deadline == 21
    session.tick(20.9)
    assert is_open(session)
    session.tick(21)
    assert ending_of(session) is Ending.ABORT
    assert "accepted nothing for 20 s" in str(session.endpoint.closing.error)
    end(session, 21)
    assert session.outbox.dropped == 1004
    assert session.outcome().how is How.LOST


def test_progress_puts_it_off_without_moving_the_deadline() -> None:
    session = make()
    begin_batch(session, 0)
    session.note_sent(0, 0)
    session.take_wakes()
    session.note_sent(1, 15)
    session.note_sent(0, 16)
    assert not session.take_wakes() & Wake.DEADLINE
    assert session.deadline == 20
    session.tick(20)
    assert is_open(session)
    assert session.deadline == 35
    session.tick(35)
    assert ending_of(session) is Ending.ABORT


def test_what_was_taken_in_time_is_no_matter() -> None:
    session = make()
    size = begin_batch(session, 0)
    session.note_sent(0, 0)
    session.note_sent(size, 1)
    session.tick(20)
    assert is_open(session)
    assert session.deadline == math.inf


def test_a_batch_has_the_whole_time_although_one_before_it_had_to_wait() -> None:
    session = make()
    size = begin_batch(session, 0)
    session.note_sent(0, 0)
    session.note_sent(size, 1)
    begin_batch(session, 15)
    session.note_sent(0, 15)
    session.tick(20)
    assert session.deadline == 35
    session.tick(34.9)
    assert is_open(session)
    session.tick(35)
    assert ending_of(session) is Ending.ABORT


def test_what_the_stream_took_not_whole_after_it_broke_is_not_waited_for() -> None:
    session = make()
    begin_batch(session, 0)
    session.note_sent(0, 0)
    session.lose_writing(OSError("gone"), 1)
    session.tick(20)
    assert session.endpoint.closing.error is None


# ---- drain and close -----------------------------------------------------------------------------


def test_a_peer_that_trickles_has_to_drain_all_in_time() -> None:
    session = make()
    begin_batch(session, 0)
    session.note_sent(0, 0)
    session.close(1000, "", 0)
    for now in range(10, 60, 10):
        session.note_sent(1, now)
        session.tick(now)
        assert ending_of(session) is Ending.NOTHING
    session.note_sent(1, 59)
    session.tick(60)
    assert ending_of(session) is Ending.ABORT
    assert "did not accept all within 60 s" in str(session.endpoint.closing.error)
    end(session, 60)
    assert session.outbox.dropped == 1004 - 6


def test_the_peer_has_its_time_to_close_after_our_last_byte() -> None:
    session = make()
    size = begin_batch(session, 0)
    session.note_sent(0, 0)
    session.close(1000, "", 0)
    session.note_sent(size, 10)
    assert sent(session, 10) == [("close", b"\x03\xe8")]
    assert session.deadline == 15
    session.tick(15)
    assert ending_of(session) is Ending.ABORT
    end(session, 15)
    assert "did not close in time" in session.endpoint.closing.explain()
    assert session.outbox.dropped == 0


def test_a_peer_that_was_given_up_gets_no_time_to_drain() -> None:
    session = make(heartbeat=Heartbeat(interval=3, max_pings=1), max_pings=1)
    begin_batch(session, 0)
    session.note_sent(0, 0)
    for now in (3, 6):
        session.tick(now)
    assert phase_of(session) is Phase.CLOSING
    assert session.deadline == 11
    session.tick(11)
    assert ending_of(session) is Ending.ABORT
    end(session, 11)
    assert session.outbox.dropped


# ---- linger --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [ServerEndpoint, ClientEndpoint])
def test_the_end_of_the_peers_bytes_is_awaited_for_a_while(role: type[ServerEndpoint]) -> None:
    session = make(role)
    give(session, CLOSE, b"\x03\xe8")
    wait(session)
    written(session, 1)
    if role is ServerEndpoint:
        assert ending_of(session) is Ending.END_OURS
        session.note_ours_ended(1)
    assert ending_of(session) is Ending.READ
    assert session.deadline == 3
    session.tick(3)
    assert ending_of(session) is Ending.ABORT
    end(session, 3)
    assert session.outcome().how is How.ENDED


# ---- answer --------------------------------------------------------------------------------------


def test_a_close_behind_messages_is_answered_in_time() -> None:
    session = make()
    give(session, TEXT, b"one")
    assert give(session, CLOSE, b"\x03\xe8") is Need.APP
    assert session.deadline == 1
    session.tick(0.9)
    assert is_open(session)
    session.tick(1)
    assert not is_open(session)
    assert sent(session, 1) == [("close", b"\x03\xe8")]
    message = session.take(1)
    assert message is not None
    assert message.payload == "one"


def test_an_app_that_goes_on_to_take_has_longer() -> None:
    session = make()
    for text in (b"1", b"2", b"3", b"4", b"5", b"6", b"7"):
        give(session, TEXT, text)
    give(session, CLOSE, b"\x03\xe8")
    for now in (0.8, 1.6, 2.4, 3.2, 4.0, 4.8):
        assert session.take(now) is not None
        session.tick(now)
        assert is_open(session), now
        session.advance(now)
    session.tick(5)
    assert not is_open(session)


def test_a_deadline_that_has_moved_is_planned_anew() -> None:
    session = make()
    give(session, TEXT, b"1")
    give(session, TEXT, b"2")
    give(session, CLOSE, b"\x03\xe8")
    session.take(0.8)
    session.tick(1)
    assert is_open(session)
    assert session.deadline == 1.8
    session.tick(1.8)
    assert not is_open(session)


def test_a_close_takes_effect_late_if_reading_is_late() -> None:
    session = make()
    give(session, TEXT, b"1")
    give(session, CLOSE, b"\x03\xe8")
    session.advance(2)
    assert not is_open(session)


# ---- ping ----------------------------------------------------------------------------------------


def test_a_ping_without_a_pong_is_late() -> None:
    session = make()
    payload, ping = session.ping(1)
    _, later = session.ping(2)
    written(session, 3)
    assert session.deadline == 8
    session.tick(8)
    assert session.take_wakes() & Wake.PINGS
    assert outcome_of(ping) is PingEnd.LATE
    assert outcome_of(later) is PingEnd.WAITING
    give(session, PONG, payload, 8)
    assert outcome_of(later) is PingEnd.WAITING
    assert is_open(session)


# ---- heartbeat and pause -------------------------------------------------------------------------


def test_a_silent_peer_is_pinged_and_given_up() -> None:
    session = make(heartbeat=Heartbeat(interval=10, max_pings=2), max_pings=2)
    for now in (10, 20):
        assert session.deadline == now
        session.tick(now)
        [(kind, _)] = sent(session, now)
        assert kind == "ping"
    session.tick(30)
    assert sent(session, 30)[-1][0] == "close"
    assert not is_open(session)
    assert session.deadline == 35
    end_of_peer(session, 35)
    assert session.outcome().how is How.LOST
    assert "Unanswered ping(s): 2" in str(session.endpoint.closing.sent)


def end_of_peer(session: Session, now: float) -> None:
    session.tick(now)
    assert ending_of(session) is Ending.ABORT
    session.note_closed(now)


def test_a_peer_that_sends_is_not_pinged() -> None:
    session = make(heartbeat=Heartbeat(interval=10))
    give(session, TEXT, b"x", 9)
    session.tick(10)
    assert session.deadline == 19
    assert session.next_batch(10) is None


def test_a_process_that_was_asleep_asks_before_it_judges() -> None:
    session = make(heartbeat=Heartbeat(interval=10, max_pings=1), max_pings=1)
    session.tick(10)
    session.tick(100)
    assert is_open(session)
    session.tick(110)
    assert not is_open(session)


def test_a_peer_is_not_judged_by_time_in_which_nothing_is_read() -> None:
    limits = Limits(receive_buffer=1)
    session = make(limits=limits, heartbeat=Heartbeat(interval=10, max_pings=0), max_pings=0)
    assert give(session, TEXT, b"x", 0) is Need.APP
    for now in (10, 20):
        session.tick(now)
        assert is_open(session)
    # One ping shows the peer that we live; while it waits, no other does.
    assert [kind for kind, _ in sent(session, 20)] == ["ping"]
    session.take_wakes()
    assert session.take(25) is not None
    assert session.take_wakes() & Wake.READER
    session.tick(30)
    assert is_open(session)
    session.tick(35)
    assert not is_open(session)


def test_a_pause_spares_the_rate_of_the_peer() -> None:
    limits = Limits(receive_buffer=1, message_rate=2)
    session = make(limits=limits)
    for number in range(8):
        give(session, BINARY, bytes([number]), 0.001 * number)
    for number in range(8):
        now = 10 + number / 100
        session.ask(Wish.MESSAGE)
        session.advance(now)
        assert session.take(now) is not None, number
    assert is_open(session)


def test_a_beat_that_comes_after_the_app_has_closed_is_no_failure() -> None:
    session = make(heartbeat=Heartbeat(interval=10))
    session.endpoint.close()
    session.tick(10)
    assert session.failure is None
    assert not is_open(session)


def test_compression_lets_go_of_its_memory_when_it_is_idle() -> None:
    class Extension:
        rsv = 0b100
        released = 0

        def wants(self, type: str, size: int) -> bool:
            return False

        def release(self) -> None:
            self.released += 1

    extension = Extension()
    session = make(extension=extension)
    assert session.deadline == 15
    session.tick(15)
    session.send("x", compress=True)
    session.tick(30)
    for now in (45, 60, 75, 89):
        session.tick(now)
    assert extension.released == 0
    session.tick(104)
    assert extension.released == 1

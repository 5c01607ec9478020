"""How a connection ended, as the session tells it."""

from __future__ import annotations

import pytest

from tests.protocol.wire import CLOSE, PING, TEXT
from tests.session.helpers import (
    Told,
    end,
    ending_of,
    give,
    is_open,
    make,
    phase_of,
    sent,
    wait,
    written,
)
from trio_wsendpoint import ClientEndpoint, ServerEndpoint
from trio_wsendpoint.session import Ending, How, Owner, Phase, Session, Wish


def closed(code: int = 1000) -> Session:
    """Return a session that the peer has closed."""
    session = make()
    give(session, CLOSE, code.to_bytes(2, "big"))
    wait(session)
    return session


def test_an_open_connection_has_lost_nothing_yet() -> None:
    outcome = make().outcome()
    assert (outcome.how, outcome.text, outcome.cause) == (How.LOST, "", None)


@pytest.mark.parametrize(("code", "how"), [(1000, How.ENDED), (1001, How.ENDED), (4000, How.LOST)])
def test_the_peer_closes(code: int, how: How) -> None:
    session = closed(code)
    end(session)
    assert session.outcome().how is how
    assert session.outcome().text is None
    assert session.outcome(sending=True).how is How.LOST
    assert session.outcome(is_cut_short=True).how is How.LOST


def test_we_close() -> None:
    session = make()
    session.close(1000, "", 0)
    assert session.owner is Owner.GONE
    assert session.outcome().how is How.LOCAL


def test_a_server_that_stops_tells_the_app_that_waits() -> None:
    session = make()
    assert not session.dismiss(1001, "bye")
    session.ask(Wish.MESSAGE)
    assert session.dismiss(1001, "bye")
    assert session.farewell == (1001, "bye")
    assert session.inbox.has_answer
    give(session, TEXT, b"dropped")
    assert session.take(0) is None
    outcome = session.outcome()
    assert (outcome.how, outcome.text) == (How.LOCAL, "the server stops")
    session.close(1001, "bye", 0)
    assert not session.dismiss(1001, "bye")
    assert session.outcome().how is How.LOCAL


def test_the_stream_breaks_in_reading() -> None:
    session = make()
    session.lose(OSError("gone"), 1)
    assert ending_of(session) is Ending.CLOSE
    end(session, 1)
    outcome = session.outcome()
    assert outcome.how is How.LOST
    assert outcome.text == "the connection was lost: OSError('gone')"
    assert outcome.cause is session.endpoint.closing.error


def test_the_stream_breaks_in_writing_and_what_the_peer_said_is_told() -> None:
    session = make()
    session.send("hello", compress=True)
    session.lose_writing(OSError("gone"), 0)
    assert phase_of(session) is Phase.CLOSING
    assert session.next_batch(0) is None
    give(session, CLOSE, b"\x0f\xa0")
    wait(session)
    end(session)
    outcome = session.outcome()
    assert outcome.how is How.LOST
    assert outcome.text == (
        "the connection was lost: OSError('gone'); the peer closed with 4000; we confirmed it"
    )
    assert session.outbox.dropped


def test_the_stream_breaks_in_writing_and_nothing_is_told() -> None:
    session = make()
    session.lose_writing(OSError("gone"), 0)
    session.note_closed(5)
    assert "the connection was lost: OSError('gone')" in str(session.endpoint.closing.error)
    assert session.outcome().text == "the connection was lost: OSError('gone')"


def test_our_answer_is_lost() -> None:
    session = closed()
    session.abort("given up", 1)
    session.abort("again", 1)
    assert ending_of(session) is Ending.ABORT
    session.note_closed(1)
    session.abort("too late", 2)
    session.note_closed(3)
    assert phase_of(session) is Phase.OVER
    assert session.ended_at == 1
    assert session.outcome().how is How.ENDED  # to receive, our answer is nothing


def test_our_answer_could_not_leave() -> None:
    session = closed()
    session.stop()
    assert "our answer to its close was lost" in str(session.endpoint.closing.error)


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_peer_that_answers_our_1002_or_1011_in_order_has_not_ended_it(code: int) -> None:
    for ours in (1002, 1011):
        session = make()
        session.endpoint.close(ours)
        session.notice(0)
        written(session)
        give(session, CLOSE, code.to_bytes(2, "big"))
        end(session)
        assert session.outcome().how is How.LOST, ours


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_message_of_ours_was_left_unfinished_while_the_peer_closed(code: int) -> None:
    session = make()
    session.begin_message("text", compress=True)
    session.send_chunk("half")
    session.leave_message(0)
    give(session, CLOSE, code.to_bytes(2, "big"))
    end(session)
    assert session.endpoint.closing.sent is not None
    assert session.endpoint.closing.sent.code == 1011
    assert session.outcome().how is How.LOST


def test_a_message_of_which_nothing_was_queued_is_taken_back() -> None:
    session = make()
    session.begin_message("text", compress=True)
    session.leave_message(0)
    session.leave_message(0)
    assert is_open(session)
    session.begin_message("text", compress=True)
    session.send_chunk("whole", final=True)
    assert session.counts().messages_sent == 1
    assert sent(session) == [("text", b"whole")]
    session.close(1000, "", 0)
    session.leave_message(0)
    assert session.failure is None


# ---- the end of the stream -----------------------------------------------------------------------


def test_a_server_ends_its_bytes_first() -> None:
    session = closed()
    assert phase_of(session) is Phase.CLOSING
    written(session)
    assert ending_of(session) is Ending.END_OURS
    session.note_ours_ended(0)
    assert ending_of(session) is Ending.READ
    session.receive_data(b"", 0)
    assert ending_of(session) is Ending.CLOSE
    session.note_closed(0)
    assert ending_of(session) is Ending.NOTHING


def test_a_client_waits_for_that() -> None:
    session = make(ClientEndpoint)
    session.close(1000, "", 0)
    written(session)
    give(session, CLOSE, b"\x03\xe8")
    assert ending_of(session) is Ending.READ


@pytest.mark.parametrize("role", [ServerEndpoint, ClientEndpoint])
def test_a_side_that_fails_ends_its_bytes(role: type[ServerEndpoint]) -> None:
    session = make(role)
    give(session, TEXT, b"\xff")
    wait(session)
    assert sent(session)[-1][1][:2] == b"\x03\xef"
    assert ending_of(session) is Ending.END_OURS
    session.note_ours_ended(0)
    assert ending_of(session) is Ending.READ


def test_a_stream_that_cannot_be_half_closed_is_closed() -> None:
    session = make(half_closes=False)
    session.close(1000, "", 0)
    written(session)
    give(session, CLOSE, b"\x03\xe8")
    assert ending_of(session) is Ending.CLOSE


def test_one_that_fails_over_such_a_stream_reads_on_so_that_its_close_is_not_lost() -> None:
    session = make(half_closes=False)
    give(session, TEXT, b"\xff")
    wait(session)
    written(session)
    assert ending_of(session) is Ending.READ
    assert session.deadline == 2


def test_a_stream_that_closes_by_itself() -> None:
    session = make()
    session.note_closed(3)
    assert phase_of(session) is Phase.OVER
    assert session.statistics(9).age == 3
    assert session.deadline == float("inf")


def test_statistics_tell_what_waits_and_what_went() -> None:
    session = make()
    give(session, TEXT, b"one")
    give(session, PING, b"p")
    session.send("two", compress=True)
    found = session.statistics(4, waiting_senders=2)
    assert (found.inbox_messages, found.write_queue_frames, found.tasks_waiting_send) == (1, 2, 2)
    assert (found.age, found.close_code, found.close_cause) == (4, None, None)
    assert (found.messages_sent, found.pings_received) == (1, 1)


def test_an_endpoint_that_does_not_hold_its_end_is_refused() -> None:
    endpoint = ServerEndpoint()
    assert not endpoint.holds_end
    with pytest.raises(ValueError, match="hold_end=True, not ServerEndpoint"):
        Session(endpoint, now=0)
    assert Session(ServerEndpoint(hold_end=True), now=0).is_open


def test_a_callback_of_an_endpoint_that_fails_ends_as_a_loss() -> None:
    class Odd(ServerEndpoint):
        def on_close(self, frame: object) -> None:
            raise Told("of the user's")

    session = make(Odd)
    give(session, CLOSE, b"\x03\xe8")
    wait(session)
    end(session)
    outcome = session.outcome()
    assert outcome.how is How.LOST
    assert outcome.text is not None
    assert outcome.text.startswith("internal error: Told(")
    assert outcome.cause is session.failure


def test_the_peers_close_that_waits_takes_effect_before_the_stream_breaks() -> None:
    session = make()
    give(session, TEXT, b"one")
    give(session, CLOSE, b"\x03\xe8")
    session.lose(OSError("gone"), 0)
    assert session.endpoint.closing.received is not None
    assert session.take(0) is not None
    end(session)
    assert session.outcome().how is How.ENDED


def test_what_broke_is_told_before_what_the_peer_did_wrong() -> None:
    session = make()
    session.lose_writing(OSError("gone"), 0)
    give(session, TEXT, b"\xff")
    wait(session)
    text = session.outcome().text
    assert text is not None
    assert text.startswith("the connection was lost: OSError('gone'); text is not UTF-8")


def test_our_bytes_end_only_when_no_frame_is_left() -> None:
    session = closed()
    session.note_ours_ended(0)  # its answer has not left
    assert phase_of(session) is Phase.CLOSING
    written(session)
    session.note_ours_ended(0)
    assert phase_of(session) is Phase.LINGERING
    session.abort("given up", 1)
    assert phase_of(session) is Phase.GIVEN_UP
    session.note_ours_ended(1)
    assert phase_of(session) is Phase.GIVEN_UP


@pytest.mark.parametrize("end", ["dismiss", "leave"])
def test_an_app_that_wants_no_message_any_more_gets_none(end: str) -> None:
    session = make()
    inbox = session.inbox
    getattr(inbox, end)()
    wish = inbox.wish
    for ask in (inbox.begin_stream, inbox.end_stream, lambda: inbox.ask(Wish.MESSAGE)):
        ask()
        assert inbox.wish is wish
    give(session, TEXT, b"late")
    assert not inbox.messages


def test_a_message_that_is_taken_in_parts_is_asked_for_until_its_end() -> None:
    session = make()
    inbox = session.inbox
    inbox.ask(Wish.MESSAGE)
    inbox.begin_stream()
    assert inbox.wish is Wish.LATER
    inbox.ask(Wish.PART)
    assert inbox.wish is Wish.PART
    give(session, TEXT, b"begun", fin=False)
    inbox.ask(Wish.PART)
    assert inbox.wish is Wish.REST
    inbox.ask(Wish.NOTHING)
    assert inbox.wish is Wish.LATER
    inbox.end_stream()
    assert inbox.wish is Wish.NOTHING

"""The closing table: every state and event, and what is derived from the facts."""

from __future__ import annotations

import pytest

from trio_wsendpoint.errors import EndpointClosed, ProtocolError
from trio_wsendpoint.protocol import CloseFrame, Closing, Event, State
from trio_wsendpoint.protocol.closing import TRANSITIONS

#: The table of the design once more: None is "ignored", "refused" is EndpointClosed.
EXPECTED = {
    (State.OPEN, Event.WE_CLOSE): State.CLOSE_SENT,
    (State.OPEN, Event.PEER_CLOSES): State.CLOSE_RECEIVED,
    (State.OPEN, Event.ANSWER_LEAVES): None,
    (State.OPEN, Event.BYTES_END): State.FAILED,
    (State.OPEN, Event.WE_FAIL): State.FAILED,
    (State.CLOSE_SENT, Event.WE_CLOSE): "refused",
    (State.CLOSE_SENT, Event.PEER_CLOSES): State.CLOSED,
    (State.CLOSE_SENT, Event.ANSWER_LEAVES): None,
    (State.CLOSE_SENT, Event.BYTES_END): State.FAILED,
    (State.CLOSE_SENT, Event.WE_FAIL): State.FAILED,
    (State.CLOSE_RECEIVED, Event.WE_CLOSE): "refused",
    (State.CLOSE_RECEIVED, Event.PEER_CLOSES): None,
    (State.CLOSE_RECEIVED, Event.ANSWER_LEAVES): State.CLOSED,
    (State.CLOSE_RECEIVED, Event.BYTES_END): State.FAILED,
    (State.CLOSE_RECEIVED, Event.WE_FAIL): State.FAILED,
    (State.CLOSED, Event.WE_CLOSE): "refused",
    (State.CLOSED, Event.PEER_CLOSES): None,
    (State.CLOSED, Event.ANSWER_LEAVES): None,
    (State.CLOSED, Event.BYTES_END): None,
    (State.CLOSED, Event.WE_FAIL): None,
    (State.FAILED, Event.WE_CLOSE): "refused",
    (State.FAILED, Event.PEER_CLOSES): None,
    (State.FAILED, Event.ANSWER_LEAVES): None,
    (State.FAILED, Event.BYTES_END): None,
    (State.FAILED, Event.WE_FAIL): None,
}


#: Events that lead to each state.
WAYS: dict[State, list[Event]] = {
    State.OPEN: [],
    State.CLOSE_SENT: [Event.WE_CLOSE],
    State.CLOSE_RECEIVED: [Event.PEER_CLOSES],
    State.CLOSED: [Event.WE_CLOSE, Event.PEER_CLOSES],
    State.FAILED: [Event.WE_FAIL],
}


def at(state: State) -> Closing:
    """Return a closing that has come to this state."""
    closing = Closing()
    for event in WAYS[state]:
        closing.move(event)
    return closing


def test_the_table_has_every_state_and_nothing_unknown():
    assert set(TRANSITIONS) == set(State)
    assert set(EXPECTED) == {(state, event) for state in State for event in Event}
    for row in TRANSITIONS.values():
        assert set(row) <= set(Event)
        assert set(row.values()) <= set(State)


@pytest.mark.parametrize(("state", "event"), EXPECTED, ids=lambda value: value.name)
def test_every_state_and_event(state: State, event: Event):
    closing = at(state)
    expected = EXPECTED[state, event]
    if expected == "refused":
        with pytest.raises(EndpointClosed):
            closing.move(event)
        assert closing.state is state
    elif expected is None:
        assert closing.move(event) is False
        assert closing.state is state
    else:
        assert closing.move(event) is True
        assert closing.state is expected


def test_no_way_leads_back():
    rank = {State.OPEN: 0, State.CLOSE_SENT: 1, State.CLOSE_RECEIVED: 1}
    for state, row in TRANSITIONS.items():
        for following in row.values():
            assert rank.get(following, 2) > rank.get(state, 2)


@pytest.mark.parametrize(
    ("state", "is_open", "expects_frames", "is_over"),
    [
        (State.OPEN, True, True, False),
        (State.CLOSE_SENT, False, True, False),
        (State.CLOSE_RECEIVED, False, False, False),
        (State.CLOSED, False, False, True),
        (State.FAILED, False, False, True),
    ],
)
def test_what_each_state_means(state: State, is_open: bool, expects_frames: bool, is_over: bool):
    closing = at(state)
    assert closing.state is state
    assert closing.is_open is is_open
    assert closing.expects_frames is expects_frames
    assert closing.is_over is is_over


def test_the_close_code_of_the_connection():
    closing = Closing()
    assert closing.code == 1006
    closing.sent = CloseFrame(1000)
    assert closing.code == 1006
    closing.received = CloseFrame()
    assert closing.code == 1005
    closing.received = CloseFrame(4321)
    assert closing.code == 4321


def closing_after(*events, sent=None, received=None, error=None):
    closing = Closing()
    for event in events:
        closing.move(event)
    closing.sent, closing.received, closing.error = sent, received, error
    return closing


BYE = CloseFrame(1000, "bye")


@pytest.mark.parametrize(
    ("closing", "text"),
    [
        (closing_after(), "the connection is open"),
        # We close first.
        (closing_after(Event.WE_CLOSE, sent=BYE), "we closed with 1000 (SUCCESS) 'bye'"),
        (
            closing_after(Event.WE_CLOSE, Event.PEER_CLOSES, sent=BYE, received=BYE),
            "we closed with 1000 (SUCCESS) 'bye'; the peer confirmed it",
        ),
        (
            closing_after(
                Event.WE_CLOSE, Event.PEER_CLOSES, sent=BYE, received=CloseFrame(1000, "so long")
            ),
            "we closed with 1000 (SUCCESS) 'bye'; the peer answered with 1000 (SUCCESS) 'so long'",
        ),
        # The peer closes first.
        (
            closing_after(Event.PEER_CLOSES, received=BYE),
            "the peer closed with 1000 (SUCCESS) 'bye'",
        ),
        (
            closing_after(Event.PEER_CLOSES, Event.ANSWER_LEAVES, sent=BYE, received=BYE),
            "the peer closed with 1000 (SUCCESS) 'bye'; we confirmed it",
        ),
        (
            closing_after(Event.PEER_CLOSES, sent=CloseFrame(1000), received=BYE),
            "the peer closed with 1000 (SUCCESS) 'bye'; we confirmed it",
        ),
        (
            closing_after(Event.PEER_CLOSES, sent=BYE, received=CloseFrame(1000)),
            "the peer closed with 1000 (SUCCESS); we answered with 1000 (SUCCESS) 'bye'",
        ),
        (
            closing_after(Event.PEER_CLOSES, sent=CloseFrame(None), received=CloseFrame(None)),
            "the peer closed with no code; we confirmed it",
        ),
        (
            closing_after(Event.PEER_CLOSES, sent=CloseFrame(4000), received=CloseFrame(None)),
            "the peer closed with no code; we answered with 4000",
        ),
        # Something goes wrong.
        (
            closing_after(
                Event.WE_FAIL, sent=CloseFrame(1002, "oh no"), error=ProtocolError("oh no")
            ),
            "oh no; we closed with 1002 (PROTOCOL_ERROR)",
        ),
        (
            closing_after(
                Event.WE_FAIL, sent=CloseFrame(1002, "a lo"), error=ProtocolError("a long text")
            ),
            "a long text; we closed with 1002 (PROTOCOL_ERROR)",
        ),
        (
            closing_after(Event.WE_CLOSE, Event.BYTES_END, sent=BYE, error=ProtocolError("lost")),
            "lost; we closed with 1000 (SUCCESS) 'bye'",
        ),
        (
            closing_after(Event.WE_CLOSE, Event.WE_FAIL, sent=BYE, error=ProtocolError("oh no")),
            "oh no; we closed with 1000 (SUCCESS) 'bye'",
        ),
        (
            closing_after(Event.PEER_CLOSES, Event.BYTES_END, received=BYE),
            "the peer closed with 1000 (SUCCESS) 'bye'",
        ),
        # The error's text is the peer's reason too: that one is the peer's own.
        (
            closing_after(
                Event.PEER_CLOSES,
                received=CloseFrame(4000, "oh no"),
                error=ProtocolError("oh no"),
            ),
            "oh no; the peer closed with 4000 'oh no'",
        ),
    ],
)
def test_explain(closing, text):
    assert closing.explain() == text


def test_a_refused_close_says_what_has_happened():
    closing = Closing()
    closing.move(Event.PEER_CLOSES)
    closing.received = CloseFrame(1001)
    with pytest.raises(EndpointClosed, match=r"the peer closed with 1001 \(ENDPOINT_UNAVAILABLE\)"):
        closing.move(Event.WE_CLOSE)

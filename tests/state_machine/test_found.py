"""The table of the model, and what the machine has found, each as short as it can be told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.wire import BINARY, CLOSE, TEXT, close_payload, drain, examples, from_client
from trio_wsendpoint.errors import PolicyViolation
from trio_wsendpoint.protocol import CloseFrame, Frame, Parser, PingFrame, ServerEndpoint
from trio_wsendpoint.protocol.closing import TRANSITIONS

from .model import TABLE

#: The library's words for the events of the model.
WORDS = {
    "we close": "we close",
    "peer closes": "the peer closes",
    "answer leaves": "our answer leaves",
    "bytes end": "the bytes end",
    "we fail": "we fail the connection",
}


def test_the_model_has_the_same_table() -> None:
    table = {
        (state.value, event.value): following.value
        for state, events in TRANSITIONS.items()
        for event, following in events.items()
    }
    assert {
        (state, WORDS[event]): following for (state, event), following in TABLE.items()
    } == table


def test_pieces_that_come_between_two_frames_stay_in_order() -> None:
    endpoint = ServerEndpoint()
    for text in ("first" * 4, "second"):
        endpoint.receive_data(from_client(TEXT, text.encode()))
    texts = [endpoint.get_next_message()]
    # The first piece is used up, the second is not begun.
    endpoint.receive_data(from_client(TEXT, b"third"))
    texts += [endpoint.get_next_message(), endpoint.get_next_message()]
    assert [text and text.payload for text in texts] == ["first" * 4, "second", "third"]


@examples(200)
@given(
    st.lists(st.sampled_from([0, 12, 40]), max_size=8),
    st.sampled_from([1, 6, 7, 18, 46]),
    st.lists(st.integers(0, 2), min_size=8, max_size=8),
)
def test_pieces_that_come_between_any_two_frames_stay_in_order(
    sizes: list[int], cut: int, reads: list[int]
) -> None:
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    stream = b"".join(from_client(BINARY, payload) for payload in sent)
    pieces = (stream[start : start + cut] for start in range(0, len(stream), cut))
    parser = Parser(masked=True)
    got: list[Frame | None] = []
    for piece, frames in zip(pieces, itertools.cycle(reads), strict=False):
        parser.receive_data(piece)
        got += [parser.get_next_frame() for _ in range(frames)]
    while (frame := parser.get_next_frame()) is not None:
        got.append(frame)
    assert [frame.payload for frame in got if frame is not None] == sent
    assert parser.buffered == 0


def test_what_is_held_came_first() -> None:
    endpoint = ServerEndpoint(hold_end=True)
    endpoint.receive_data(from_client(CLOSE, close_payload(1000, "bye")))
    assert endpoint.get_next_message() is None
    assert endpoint.refuse(PolicyViolation("too much"))
    endpoint.release_end()
    assert drain(endpoint) == [CloseFrame(1000, "bye")]
    assert not isinstance(endpoint.closing.error, PolicyViolation)
    with pytest.raises(RuntimeError):
        endpoint.send_frame(PingFrame())

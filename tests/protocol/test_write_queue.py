"""Who leaves before whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import EndpointClosed
from trio_wsendpoint.protocol import BinaryFrame, CloseFrame, Frame, PingFrame, PongFrame, TextFrame
from trio_wsendpoint.protocol.write_queue import WriteQueue

from .wire import StatusFrame, examples


def shift_all(queue: WriteQueue) -> list[Frame]:
    frames = []
    while (frame := queue.shift()) is not None:
        frames.append(frame)
    return frames


def test_an_empty_queue():
    queue = WriteQueue()
    assert queue.shift() is None
    assert len(queue) == queue.size == 0


def test_pong_then_control_then_data_then_close():
    queue = WriteQueue()
    frames = [
        TextFrame("1"),
        BinaryFrame(b"2"),
        PingFrame(b"a"),
        StatusFrame(b"b"),
        PingFrame(b"c"),
        PongFrame(b"d"),
        CloseFrame(1000),
    ]
    for frame in frames:
        queue.add(frame)
    assert len(queue) == 7
    text, binary, ping, status, ping2, pong, close = frames
    expected = [pong, ping, status, ping2, text, binary, close]
    for frame in expected:
        assert queue.shift() is frame
    assert queue.shift() is None
    assert len(queue) == queue.size == 0


def test_a_later_pong_takes_the_place_of_an_earlier_one():
    queue = WriteQueue()
    for number in range(10_000):
        queue.add(PongFrame(b"%d" % number))
    assert len(queue) == 1
    assert queue.size == 4 + 14
    assert shift_all(queue) == [PongFrame(b"9999")]


def test_a_pong_that_has_left_takes_no_place():
    queue = WriteQueue()
    queue.add(PongFrame(b"1"))
    assert queue.shift() == PongFrame(b"1")
    queue.add(PongFrame(b"2"))
    assert queue.shift() == PongFrame(b"2")


@pytest.mark.parametrize("is_shifted", [False, True])
@pytest.mark.parametrize(
    "frame", [TextFrame("x"), PingFrame(), PongFrame(), CloseFrame(1000)], ids=lambda f: f.type
)
def test_nothing_follows_a_close(frame: Frame, is_shifted: bool):
    queue = WriteQueue()
    queue.add(TextFrame("1"))
    queue.add(CloseFrame(1001))
    if is_shifted:
        assert len(shift_all(queue)) == 2
    size = queue.size
    with pytest.raises(EndpointClosed, match=f"a {frame.type} frame cannot follow"):
        queue.add(frame)
    assert queue.size == size
    assert len(queue) == (0 if is_shifted else 2)


def test_clear_forgets_everything_and_what_may_come():
    queue = WriteQueue()
    for frame in (TextFrame("1"), PingFrame(), PongFrame(b"x")):
        queue.add(frame)
    queue.clear()
    assert len(queue) == queue.size == 0
    assert queue.shift() is None
    with pytest.raises(EndpointClosed):
        queue.add(PongFrame())
    queue = WriteQueue()
    queue.add(CloseFrame())
    queue.clear()


@examples(200)
@given(
    st.lists(
        st.one_of(
            st.just(None),
            st.binary(max_size=9).map(PongFrame),
            st.binary(max_size=9).map(PingFrame),
            st.binary(max_size=9).map(BinaryFrame),
        ),
        max_size=30,
    )
)
def test_size_is_what_waits_and_each_lane_keeps_its_order(steps: list[Frame | None]):
    queue = WriteQueue()
    waiting: list[Frame] = []
    for step in steps:
        if step is None:
            frame = queue.shift()
            expected = min(waiting, key=lambda f: (f.is_control, f.type != "pong"), default=None)
            for kind in ("pong", "ping", "binary"):
                of_kind = [f for f in waiting if f.type == kind]
                if of_kind:
                    expected = of_kind[0]
                    break
            assert frame is expected
            if frame is not None:
                waiting = [f for f in waiting if f is not frame]
        else:
            if isinstance(step, PongFrame):
                waiting = [f for f in waiting if f.type != "pong"]
            queue.add(step)
            waiting.append(step)
        assert len(queue) == len(waiting)
        assert queue.size == sum(len(f.payload) + 14 for f in waiting)


def test_has_pong_tells_of_a_pong_that_the_next_would_replace():
    queue = WriteQueue()
    states = [queue.has_pong]
    queue.add(PingFrame())
    queue.add(PongFrame())
    states.append(queue.has_pong)
    queue.shift()
    states.append(queue.has_pong)
    assert states == [False, True, False]

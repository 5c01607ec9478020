"""Messages into frames, frames into the queue."""

from __future__ import annotations

import io
from typing import Any

import pytest

from trio_wsendpoint.errors import EndpointClosed, LocalError
from trio_wsendpoint.protocol import (
    BinaryFrame,
    CloseFrame,
    Closing,
    ContinuationFrame,
    Event,
    Frame,
    PingFrame,
    PongFrame,
    State,
    TextFrame,
)
from trio_wsendpoint.protocol.sender import Sender

from .fake_extension import Doubling
from .wire import BINARY, StatusFrame, frame_bytes, state_of


class Numbers:
    """Random bytes that are 0, 1, 2, ..., and how often they were drawn."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.next = 0

    def __call__(self, size: int) -> bytes:
        self.calls.append(size)
        data = bytes((self.next + place) % 256 for place in range(size))
        self.next += size
        return data


def make(**options: Any) -> Sender:
    settings: dict[str, Any] = {
        "masks": False,
        "out": None,
        "before_send_frame": None,
        "fragment_size": 1000,
        "extension": None,
        "random_bytes": Numbers(),
    }
    closing = options.pop("closing", None) or Closing()
    return Sender(closing, **{**settings, **options})


def shift_all(sender: Sender) -> list[Frame]:
    frames = []
    while (frame := sender.shift()) is not None:
        frames.append(frame)
    return frames


def test_masks_are_drawn_in_advance_and_used_once():
    numbers = Numbers()
    sender = make(masks=True, random_bytes=numbers)
    assert numbers.calls == []
    masks = [sender.make_mask() for _ in range(33)]
    assert masks == [bytes(range(k, k + 4)) for k in range(0, 132, 4)]
    assert numbers.calls == [128, 128]


def test_a_server_draws_no_masks():
    numbers = Numbers()
    sender = make(random_bytes=numbers)
    assert sender.make_mask() == b""
    sender.add_message(b"x", compress=True)
    assert numbers.calls == []


def test_each_frame_is_masked_anew():
    sender = make(masks=True, fragment_size=2)
    sender.add_message("abc", compress=True)
    sender.add_frame(PongFrame(b"p", mask=b"same"))
    masks = [frame.mask for frame in shift_all(sender)]
    assert masks == [b"\x08\x09\x0a\x0b", b"\0\x01\x02\x03", b"\x04\x05\x06\x07"]


def test_a_mask_of_someone_elses_is_taken_off():
    sender = make()
    sender.add_frame(TextFrame("x", mask=b"abcd", rsv=1))
    assert shift_all(sender) == [TextFrame("x", rsv=1)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, [0]), (1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4]), (9, [4, 4, 1])],
)
def test_messages_are_cut_at_fragment_size(size: int, expected: list[int]):
    sender = make(fragment_size=4)
    data = bytes(range(size))
    sender.add_message(data, compress=True)
    assert sender.frames == len(expected)
    assert sender.size == size + 14 * len(expected)
    frames = shift_all(sender)
    assert [len(frame.payload) for frame in frames] == expected
    assert b"".join(frame.payload for frame in frames) == data
    assert [type(frame) for frame in frames] == [BinaryFrame] + [ContinuationFrame] * (
        len(expected) - 1
    )
    assert [frame.fin for frame in frames] == [False] * (len(expected) - 1) + [True]
    assert sender.size == sender.frames == 0


def test_buffers_of_any_item_size_are_cut_by_bytes():
    view = memoryview(bytes(12)).cast("I")
    sender = make(fragment_size=8)
    sender.add_message(view, compress=True)
    assert [len(frame.payload) for frame in shift_all(sender)] == [8, 4]


def test_a_shifted_control_frame_passes_the_fragments():
    sender = make(fragment_size=1)
    sender.add_message("abc", compress=True)
    assert sender.shift() == TextFrame("a", fin=False)
    sender.add_frame(PingFrame(b"p"))
    assert [frame.type for frame in shift_all(sender)] == ["ping", "continuation", "continuation"]


def test_a_message_is_encoded_once_and_then_cut():
    extension = Doubling()
    sender = make(fragment_size=2, extension=extension)
    sender.add_message(b"\x01\x02\x03", compress=True)
    assert shift_all(sender) == [
        BinaryFrame(b"\xfe\xfd", fin=False, rsv=4),
        ContinuationFrame(b"\xfc"),
    ]
    sender.add_message("", compress=True)  # not worth it
    sender.add_message("x", compress=False)
    assert shift_all(sender) == [TextFrame(""), TextFrame("x")]
    assert extension.asked == [("binary", 3), ("text", 0)]


def test_extension_errors_queue_nothing():
    class Broken(Doubling):
        def encode(self, data: Any, *, final: bool, flush: bool = False) -> bytes:
            raise MemoryError

    sender = make(extension=Broken())
    with pytest.raises(MemoryError):
        sender.add_message("abc", compress=True)
    assert sender.frames == 0


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (None, ContinuationFrame(), "a continuation frame cannot be sent outside of a fragmented"),
        (TextFrame(fin=False), TextFrame(), "a text frame cannot be sent inside a fragmented"),
        (BinaryFrame(fin=False), BinaryFrame(fin=False), "a binary frame cannot be sent inside"),
    ],
)
def test_data_frames_out_of_sequence(first: Frame | None, second: Frame, text: str):
    sender = make()
    if first is not None:
        sender.add_frame(first)
    count = sender.frames
    with pytest.raises(LocalError, match=text):
        sender.add_frame(second)
    assert sender.frames == count


def test_no_message_between_the_fragments_of_another():
    sender = make()
    sender.add_frame(TextFrame("a", fin=False))
    with pytest.raises(LocalError, match="a message is being sent in fragments: end it first"):
        sender.add_message("b", compress=True)
    sender.add_frame(StatusFrame())
    sender.add_frame(ContinuationFrame())
    sender.add_message("c", compress=True)
    assert sender.frames == 4


def test_queued_frames_do_not_follow_what_the_caller_does_to_his():
    sender = make()
    frame = PingFrame(b"a")
    sender.add_frame(frame)
    frame.payload = b"b"
    assert shift_all(sender) == [PingFrame(b"a")]


# ---- before_send_frame -----------------------------------------------------------------------


def test_before_send_frame_sees_ping_pong_and_close_as_they_leave():
    seen: list[Frame] = []
    sender = make(before_send_frame=seen.append)
    for frame in (
        TextFrame("x"),
        PingFrame(b"1"),
        StatusFrame(),
        PongFrame(b"2"),
        CloseFrame(1000),
    ):
        sender.add_frame(frame)
    assert seen == []
    left = shift_all(sender)
    assert [frame.type for frame in left] == ["pong", "ping", "status", "text", "close"]
    assert seen == [PongFrame(b"2"), PingFrame(b"1"), CloseFrame(1000)]
    assert all(any(frame is other for other in left) for frame in seen)


def test_before_send_frame_comes_before_the_bytes_are_made():
    def change(frame: Frame) -> None:
        frame.payload += b"!"

    out = io.BytesIO()
    sender = make(out=out, before_send_frame=change)
    sender.add_frame(PingFrame(b"hey"))
    assert out.getvalue() == PingFrame(b"hey!").to_bytes()


def test_an_error_of_before_send_frame_keeps_the_frame_and_is_not_repeated():
    calls: list[Frame] = []

    def refuse(frame: Frame) -> None:
        calls.append(frame)
        raise ZeroDivisionError

    sender = make(before_send_frame=refuse)
    sender.add_frame(PingFrame(b"1"))
    with pytest.raises(ZeroDivisionError):
        sender.shift()
    assert sender.frames == 1
    assert sender.size == 15  # as any frame of one byte, with the longest header
    sender.add_frame(PongFrame(b"2"))
    assert sender.shift() == PingFrame(b"1")
    assert len(calls) == 1
    with pytest.raises(ZeroDivisionError):
        sender.shift()
    assert sender.shift() == PongFrame(b"2")
    assert sender.shift() is None


def test_before_send_frame_may_use_the_queue():
    inner: list[Frame | None] = []

    def again(frame: Frame) -> None:
        if frame.payload == b"1":
            sender.add_frame(PingFrame(b"2"))
            inner.append(sender.shift())  # the very frame that is being shown

    sender = make(before_send_frame=again)
    sender.add_frame(PingFrame(b"1"))
    assert sender.shift() is None
    assert inner == [PingFrame(b"1")]
    assert sender.shift() == PingFrame(b"2")


# ---- out -------------------------------------------------------------------------------------


def test_flush_needs_an_out():
    with pytest.raises(LocalError, match="there is no out to write to: shift_write_queue"):
        make().flush()


def test_a_blocking_out_is_written_at_once():
    out = io.BytesIO()
    sender = make(out=out, fragment_size=2)
    sender.add_message("abc", compress=True)
    assert out.getvalue() == bytes.fromhex("01 02 61 62 80 01 63")
    assert sender.frames == 0
    assert sender.flush()


class Trickle:
    """A non-blocking out that takes one byte a call."""

    def __init__(self) -> None:
        self.data = b""
        self.error: OSError | None = None

    def getblocking(self) -> bool:
        return False

    def send(self, data: memoryview) -> int:
        if self.error is not None:
            raise self.error
        self.data += bytes(data[:1])
        return 1


def test_flush_writes_one_frame_or_the_rest_of_one():
    out = Trickle()
    sender = make(out=out)
    sender.add_message("", compress=True)
    sender.add_message("a", compress=True)
    assert (out.data, sender.frames) == (b"", 2)
    progress = []
    while not sender.flush():
        progress.append((len(out.data), sender.frames))
    assert progress == [(1, 2), (2, 1), (3, 1), (4, 1)]
    assert out.data == bytes.fromhex("81 00 81 01 61")
    assert sender.frames == 0


def test_a_partly_written_frame_cannot_be_passed():
    sender = make(out=Trickle())
    sender.add_message("a", compress=True)
    sender.add_message("b", compress=True)
    assert not sender.flush()
    with pytest.raises(LocalError, match="a frame is written in part: flush_write_queue"):
        sender.shift()


def test_an_error_of_out_ends_the_connection():
    out = Trickle()
    closing = Closing()
    sender = make(out=out, closing=closing)
    for text in "abc":
        sender.add_message(text, compress=True)
    sender.flush()
    out.error = BrokenPipeError("gone")
    with pytest.raises(BrokenPipeError, match="gone"):
        sender.flush()
    assert state_of(closing) is State.FAILED
    assert closing.error is out.error
    # Nothing waits any more, not even the rest of the frame.
    assert sender.frames == sender.size == 0
    assert sender.flush()
    assert sender.shift() is None
    with pytest.raises(EndpointClosed):
        sender.add_frame(PongFrame())


def test_the_first_error_of_a_connection_is_kept():
    out = Trickle()
    closing = Closing()
    sender = make(out=out, closing=closing)
    sender.add_message("a", compress=True)
    first = closing.error = ValueError("the peer's mistake")
    closing.move(Event.WE_FAIL)
    out.error = BrokenPipeError("gone")
    with pytest.raises(BrokenPipeError):
        sender.flush()
    assert closing.error is first


def test_clear_without_an_out():
    sender = make()
    sender.add_message("a", compress=True)
    sender.clear()
    assert sender.shift() is None


def test_an_answer_has_left_when_all_of_it_is_written():
    closing = Closing()
    sender = make(closing=closing, out=Trickle())
    closing.move(Event.PEER_CLOSES)
    sender.add_frame(CloseFrame())
    assert not sender.flush()
    assert state_of(closing) is State.CLOSE_RECEIVED
    assert sender.flush()
    assert state_of(closing) is State.CLOSED


def test_an_answer_that_cannot_be_written_is_lost():
    out = Trickle()
    closing = Closing()
    sender = make(closing=closing, out=out)
    closing.move(Event.PEER_CLOSES)
    sender.add_frame(CloseFrame())
    sender.flush()
    out.error = BrokenPipeError("gone")
    with pytest.raises(BrokenPipeError):
        sender.flush()
    assert state_of(closing) is State.FAILED


def test_the_answer_that_leaves_is_told_to_the_table():
    closing = Closing()
    sender = make(closing=closing)
    closing.move(Event.PEER_CLOSES)
    sender.add_frame(CloseFrame(1000))
    assert state_of(closing) is State.CLOSE_RECEIVED
    sender.shift()
    assert state_of(closing) is State.CLOSED


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_fragments_are_views_until_they_leave(kind: Any):
    payload = bytes(range(30))
    data = kind(bytearray(payload)) if kind is memoryview else kind(payload)
    sender = make(fragment_size=20)
    sender.add_message(data, compress=False)
    sender.add_message(data, compress=False)
    if kind is not bytes:
        data[:] = bytes(30)  # what was sent does not change with it
    frame = sender.shift(copy=False)
    assert frame is not None
    waiting: Any = frame.payload
    assert type(waiting) is memoryview
    assert frame.to_bytes() == frame_bytes(BINARY, payload[:20], fin=False)
    assert b"".join(frame.to_buffers()) == frame.to_bytes()
    sender.shift()
    frame = sender.shift()
    assert frame is not None
    assert frame.payload == payload[:20]
    assert type(frame.payload) is bytes


def test_a_listener_is_shown_bytes():
    sender = make(fragment_size=2)
    shown: list[Any] = []
    sender.frame_listener = lambda frame, size: shown.append((type(frame.payload), size))
    sender.add_message(b"abc", compress=False)
    while sender.shift(copy=False) is not None:
        pass
    assert shown == [(bytes, 2), (bytes, 1)]

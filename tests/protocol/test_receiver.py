"""One step at a time, from what the parser has."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint.errors import UnexpectedEOF
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol import (
    BinaryFrame,
    CloseFrame,
    Closing,
    DataFrame,
    Defragmenter,
    Event,
    Message,
    Parser,
    PingFrame,
    Progress,
    TextFrame,
    Traffic,
)
from trio_wsendpoint.protocol.receiver import Receiver

from .fake_extension import Doubling
from .wire import BINARY, CLOSE, CONTINUATION, MASK, PING, TEXT, close_payload, frame_bytes


class Setting:
    """A receiver and what it is made of."""

    def __init__(self, on_data_frame: Any = None, extension: Doubling | None = None) -> None:
        self.closing = Closing()
        self.parser = Parser()
        self.parser.first_rsv = 4
        self.traffic = Traffic()
        self.parser.make(Message, self.traffic)
        self.defragmenter = Defragmenter(Limits(message_size=200_000), extension, self.traffic)
        self.receiver = Receiver(
            self.closing, self.parser, self.defragmenter, on_data_frame, self.traffic
        )

    def feed(self, *data: bytes) -> None:
        for piece in data:
            self.parser.receive_data(piece)

    def step(self) -> Any:
        """Do what the endpoint's `step` does with the receiver."""
        receiver = self.receiver
        if receiver.frame is not None or receiver.is_inflating:
            return receiver.go_on(receiver.frame)
        found = self.parser.read_next(receiver.most)
        return found if isinstance(found, Message) else receiver.begin(found)

    def steps(self) -> list[Any]:
        """Step until there is nothing more to do."""
        outcomes: list[Any] = []
        while not outcomes or outcomes[-1] is not Progress.NEED_DATA:
            outcomes.append(self.step())
        return outcomes[:-1]


def test_a_step_is_one_frame_or_a_part_of_one():
    setting = Setting()
    assert setting.steps() == []
    setting.feed(
        frame_bytes(TEXT, b"a", fin=False) + frame_bytes(PING, b"p") + frame_bytes(CONTINUATION)
    )
    handled, ping, message = setting.steps()
    assert handled is Progress.HANDLED
    assert ping == PingFrame(b"p")
    assert isinstance(message, Message)
    assert message.payload == "a"


def test_a_payload_comes_in_pieces():
    setting = Setting()
    wire = frame_bytes(BINARY, b"abcdef")
    setting.feed(wire[:2])
    assert setting.steps() == []
    setting.feed(wire[2:4], wire[4:5])
    assert setting.steps() == [Progress.HANDLED, Progress.HANDLED]
    setting.feed(wire[5:])
    (message,) = setting.steps()
    assert message.payload == b"abcdef"


def test_a_control_frame_comes_in_pieces():
    setting = Setting()
    wire = frame_bytes(PING, b"abcdef")
    setting.feed(wire[:4])
    assert setting.steps() == [Progress.HANDLED]
    setting.feed(wire[4:])
    assert setting.steps() == [PingFrame(b"abcdef")]


def test_an_encoded_piece_is_decoded_a_part_at_a_time():
    setting = Setting(extension=Doubling(factor=70_000))
    setting.feed(frame_bytes(BINARY, b"\xfe\xfd", rsv=4))
    *parts, message = setting.steps()
    assert parts == [Progress.HANDLED] * 3
    assert message.payload == b"\x01" * 70_000 + b"\x02" * 70_000


def test_the_end_of_the_bytes():
    setting = Setting()
    setting.feed(frame_bytes(TEXT, b"a"))
    setting.parser.receive_eof()
    assert isinstance(setting.step(), Message)
    with pytest.raises(UnexpectedEOF, match="the bytes ended without a close frame"):
        setting.step()


# ---- on_data_frame ---------------------------------------------------------------------------


def test_on_data_frame_sees_whole_data_frames_only():
    seen: list[DataFrame] = []
    setting = Setting(seen.append)
    wire = frame_bytes(TEXT, b"abc", fin=False)
    setting.feed(wire[:3])
    assert setting.steps() == [Progress.HANDLED]
    assert seen == []
    setting.feed(wire[3:] + frame_bytes(PING) + frame_bytes(CONTINUATION, b"d"))
    handled, ping, message = setting.steps()
    assert handled is Progress.HANDLED
    assert ping == PingFrame()
    assert message.payload == "abcd"
    assert [frame.payload for frame in seen] == [b"abc", b"d"]
    assert [frame.type for frame in seen] == ["text", "continuation"]


def test_a_frame_may_be_replaced():
    setting = Setting(lambda frame: type(frame)(frame.payload.upper(), fin=frame.fin))
    setting.feed(frame_bytes(TEXT, b"abc", fin=False) + frame_bytes(CONTINUATION, b"d"))
    _, message = setting.steps()
    assert message.payload == "ABCD"


@pytest.mark.parametrize(
    ("returned", "error", "text"),
    [
        (b"bytes", TypeError, "on_data_frame returns a DataFrame or None, not b'bytes'"),
        (PingFrame(), TypeError, "on_data_frame returns a DataFrame or None"),
        (BinaryFrame(), ValueError, "<BinaryFrame.* cannot take the place of <TextFrame"),
        (TextFrame(fin=False), ValueError, "fin=False> cannot take the place of <TextFrame"),
    ],
)
def test_wrong_replacements(returned: Any, error: type[Exception], text: str):
    setting = Setting(lambda frame: returned)
    setting.feed(frame_bytes(TEXT, b"abc") + frame_bytes(PING))
    with pytest.raises(error, match=text):
        setting.step()
    assert setting.steps() == [PingFrame()]  # the frame is handled


def test_an_error_of_the_callback_comes_out_once():
    def fail(frame: DataFrame) -> None:
        raise ZeroDivisionError

    setting = Setting(fail)
    setting.feed(frame_bytes(TEXT, b"abc") + frame_bytes(PING))
    with pytest.raises(ZeroDivisionError):
        setting.step()
    assert setting.steps() == [PingFrame()]


def test_a_callback_that_closes_gets_no_message():
    def close(frame: DataFrame) -> None:
        setting.closing.move(Event.WE_CLOSE)

    setting = Setting(close)
    setting.feed(frame_bytes(TEXT, b"abc") + frame_bytes(TEXT, b"def"))
    assert setting.steps() == [Progress.HANDLED, Progress.HANDLED]


# ---- after our close -------------------------------------------------------------------------


@pytest.mark.parametrize("on_data_frame", [None, lambda frame: None])
def test_data_is_passed_over_after_our_close(on_data_frame: Any):
    setting = Setting(on_data_frame)
    setting.feed(frame_bytes(BINARY, b"abcdef")[:4])  # and in the middle of a frame
    setting.steps()
    setting.closing.move(Event.WE_CLOSE)
    setting.receiver.discard()
    setting.feed(b"cdef"[:2])
    assert setting.steps() == [Progress.HANDLED]
    setting.feed(b"cdef"[2:], frame_bytes(TEXT, b"\xff"), frame_bytes(CLOSE, close_payload(1000)))
    assert setting.steps() == [Progress.HANDLED, Progress.HANDLED, CloseFrame(1000)]


def test_close_in_the_middle_of_decoding():
    setting = Setting(extension=Doubling(factor=100_000))
    setting.feed(frame_bytes(BINARY, b"\xfe", rsv=4))
    assert setting.step() is Progress.HANDLED
    setting.closing.move(Event.WE_CLOSE)
    setting.receiver.discard()
    setting.feed(frame_bytes(PING))
    assert setting.steps() == [Progress.HANDLED, PingFrame()]


LARGE = bytes(range(256)) * 640


def begin(setting: Setting, wire: bytes, size: int = 65536) -> bytes:
    """Give the beginning of `wire` to the receiver; return the rest."""
    setting.feed(wire[:size])
    setting.steps()
    return wire[size:]


@pytest.mark.parametrize("mask", [b"", MASK])
@pytest.mark.parametrize("size", [1 << 20, 30_001])
def test_what_is_large_comes_straight_to_where_it_stays(mask: bytes, size: int):
    setting = Setting()
    rest = begin(setting, frame_bytes(BINARY, LARGE, mask=mask))
    while rest:
        room = setting.receiver.get_room()
        assert room is not None
        with room:
            count = min(size, len(room), len(rest))
            room[:count] = rest[:count]
        setting.receiver.fill(count)
        rest = rest[count:]
        assert setting.parser.remaining == len(rest)
    assert setting.receiver.get_room() is None
    message = setting.step()
    assert isinstance(message, Message)
    assert message.payload == LARGE
    assert setting.steps() == []
    assert setting.traffic.wire_received == len(LARGE)
    assert setting.traffic.frames_received == 1


def test_the_ways_can_be_mixed():
    setting = Setting()
    wire = frame_bytes(BINARY, LARGE, fin=False, mask=MASK)
    wire += frame_bytes(CONTINUATION, LARGE[:30_000], mask=MASK)
    rest = begin(setting, wire, 70_001)
    room = setting.receiver.get_room()
    assert room is not None
    with room:
        room[:10_003] = rest[:10_003]
    setting.receiver.fill(10_003)
    setting.feed(rest[10_003:100_000], rest[100_000:])
    *_, message = setting.steps()
    assert isinstance(message, Message)
    assert message.payload == LARGE + LARGE[:30_000]


def test_where_there_is_no_room():
    """There is some for large binary payloads alone, that nobody looks at on their way."""
    setting = Setting()
    assert setting.receiver.get_room() is None
    begin(setting, frame_bytes(TEXT, b"a" * len(LARGE)))
    assert setting.receiver.get_room() is None

    setting = Setting(extension=Doubling())
    begin(setting, frame_bytes(BINARY, b"a" * 90_000, rsv=4))
    assert setting.receiver.get_room() is None

    setting = Setting(on_data_frame=lambda frame: None)
    begin(setting, frame_bytes(BINARY, LARGE))
    assert setting.receiver.get_room() is None

    setting = Setting()
    begin(setting, frame_bytes(BINARY, LARGE), size=30_000)
    assert setting.receiver.get_room() is None  # too little has come

    setting = Setting()
    setting.feed(frame_bytes(BINARY, LARGE)[:10])
    assert setting.step() is Progress.NEED_DATA
    assert setting.receiver.get_room() is None  # nothing but the header

    setting = Setting()
    begin(setting, frame_bytes(BINARY, LARGE))
    setting.feed(b"more")
    assert setting.receiver.get_room() is None  # this is before it
    setting.closing.move(Event.WE_CLOSE)
    setting.steps()
    assert setting.receiver.get_room() is None
    setting.receiver.discard()
    setting.receiver.fill(4)  # of a room that there was: nobody wants it
    assert setting.traffic.wire_received < len(LARGE)


def test_a_message_that_is_skipped_has_no_room():
    setting = Setting()
    begin(setting, frame_bytes(BINARY, LARGE))
    setting.defragmenter.skip()
    assert setting.receiver.get_room() is None

"""Net::WebSocket's Defragmenter: frames into messages."""

from __future__ import annotations

import pytest

from trio_wsendpoint import BinaryFrame, ContinuationFrame, ProtocolError, TextFrame
from trio_wsendpoint.protocol import Defragmenter

from .helpers import CONTINUATION, PING, fails, fed, from_client, types


def test_a_whole_frame_is_a_message():
    message = Defragmenter().add(TextFrame("x"))
    assert message is not None
    assert message.payload == "x"


def test_fragments_are_kept_until_the_last():
    defragmenter = Defragmenter()
    assert defragmenter.add(BinaryFrame(b"a", fin=False)) is None
    assert defragmenter.in_message
    assert defragmenter.add(ContinuationFrame(b"b", fin=False)) is None
    message = defragmenter.add(ContinuationFrame(b"c"))
    assert message is not None
    assert message.payload == b"abc"
    assert not defragmenter.in_message


def test_a_continuation_outside_of_a_message_is_a_protocol_error():
    with pytest.raises(ProtocolError, match="outside of a message"):
        Defragmenter().add(ContinuationFrame(b"x"))


def test_another_first_frame_inside_a_message_is_a_protocol_error():
    defragmenter = Defragmenter()
    defragmenter.add(TextFrame("a", fin=False))
    with pytest.raises(ProtocolError, match="inside a fragmented message"):
        defragmenter.add(TextFrame("b"))


def test_the_close_is_queued_before_the_error_is_raised():
    # It was the callback on_protocol_error that did it.
    endpoint = fed(from_client(CONTINUATION))
    with pytest.raises(ProtocolError):
        endpoint.get_next_message()
    assert endpoint.get_write_queue_size() == 1
    fails(fed(from_client(CONTINUATION)), ProtocolError, 1002)


def test_control_frames_are_never_dropped():
    # Improved: without on_control_frame they were.
    endpoint = fed(from_client(PING))
    endpoint.get_next_message()
    assert types(endpoint) == ["pong"]

"""What a read without waiting finds, and what it tells the session."""

from __future__ import annotations

import pytest
import trio

from tests.protocol.wire import BINARY, MASK, TEXT, frame_bytes
from tests.session.helpers import make
from trio_wsendpoint import Limits
from trio_wsendpoint.connection.inlet import Found, Inlet
from trio_wsendpoint.session.intake import LEAST_READ, READ_SIZE
from trio_wsendpoint.testing import NonBlockingMemoryStream, memory_stream_pair

HELLO = frame_bytes(TEXT, b"hello", mask=MASK)


def ends() -> tuple[NonBlockingMemoryStream, NonBlockingMemoryStream]:
    pair = memory_stream_pair(nonblocking=True)
    assert isinstance(pair.client, NonBlockingMemoryStream)
    assert isinstance(pair.server, NonBlockingMemoryStream)
    return pair.client, pair.server


async def test_a_plain_frame_is_returned_past_the_session() -> None:
    peer, ours = ends()
    session = make()
    inlet = Inlet(session, ours)
    await peer.send_all(HELLO)
    message = inlet.read_message()
    assert message is not None
    assert message.payload == "hello"
    assert session.inbox.messages == ()
    assert session.counts().messages_received == 1


async def test_nothing_is_a_miss_and_a_message_ends_the_row_of_them() -> None:
    peer, ours = ends()
    inlet = Inlet(make(), ours)
    assert inlet.read_message() is None
    assert inlet.read_message() is None
    assert inlet.misses == 2
    await peer.send_all(HELLO)
    assert inlet.read_message() is not None
    assert inlet.misses == 0


async def test_a_short_read_tells_that_it_was_all() -> None:
    peer, ours = ends()
    session = make(limits=Limits(receive_buffer=1))
    inlet = Inlet(session, ours)
    assert inlet.read() is Found.NOTHING
    await peer.send_all(HELLO)
    assert inlet.read() is Found.ALL
    many = HELLO * (LEAST_READ // len(HELLO) + 1)
    await peer.send_all(many)
    assert inlet.read() is Found.SOME
    assert inlet.read() is Found.ALL
    assert session.intake.bytes_received == len(HELLO) + len(many)
    assert inlet.read() is Found.NOTHING


async def test_a_stream_that_broke_is_told_to_the_session() -> None:
    peer, ours = ends()
    session = make()
    inlet = Inlet(session, ours)
    await trio.aclose_forcefully(ours)
    assert inlet.read() is Found.SOME
    assert session.intake.is_eof
    assert not session.is_open
    await trio.aclose_forcefully(peer)


@pytest.mark.parametrize(
    ("then", "is_open", "is_eof"),
    [(None, True, False), (b"", True, True), (trio.BrokenResourceError("reset"), False, True)],
)
async def test_the_beginning_of_a_message_comes_before_what_follows_it(
    monkeypatch: pytest.MonkeyPatch,
    then: bytes | Exception | None,
    is_open: bool,
    is_eof: bool,
) -> None:
    """A read that is full is followed by another one, for a message that lacks little."""
    whole = frame_bytes(BINARY, bytes(READ_SIZE + 100), mask=MASK)
    reads: list[bytes | Exception | None] = [whole[:READ_SIZE], then]

    def receive_nowait(max_bytes: int) -> bytes | None:
        found = reads.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    _, ours = ends()
    monkeypatch.setattr(ours, "receive_nowait", receive_nowait)
    session = make()
    inlet = Inlet(session, ours)
    assert inlet.read_message() is None
    assert session.failure is None  # a loss is no fault of ours
    assert session.intake.bytes_received == READ_SIZE
    assert (session.is_open, session.intake.is_eof) == (is_open, is_eof)

"""What IO::Framed promised to Net::WebSocket: sources, and an `out`."""

from __future__ import annotations

import io

import pytest

from trio_wsendpoint import Endpoint, Parser, ServerEndpoint, UnexpectedEOF

from .helpers import BINARY, Narrow, Written, drain, frame_bytes, from_client


def queued(out: object) -> Endpoint:
    endpoint = ServerEndpoint(out=out)
    endpoint.send_message(b"12345")
    return endpoint


def test_blocking_mode_writes_at_once():
    out = Written()
    queued(out)
    assert out.writes == [frame_bytes(BINARY, b"12345")]


def test_a_partial_write_trims_the_head_item():
    out = Narrow(room=5)
    endpoint = queued(out)
    endpoint.flush_write_queue()
    out.room = 5
    endpoint.flush_write_queue()
    assert out.data == frame_bytes(BINARY, b"12345")
    assert endpoint.get_write_queue_size() == 0


def test_would_block_is_no_error_when_writing():
    out = Narrow()
    endpoint = queued(out)
    assert endpoint.flush_write_queue() is False
    assert endpoint.get_write_queue_size() == 1


def test_would_block_is_no_error_when_reading():
    class Dry:
        def read(self, size: int) -> bytes:
            raise BlockingIOError

    parser = Parser(Dry())
    assert parser.get_next_frame() is None
    assert not parser.at_eof


def test_other_errors_of_a_write_come_out():
    class Broken:
        def write(self, data: object) -> int:
            raise ConnectionResetError("reset")

    with pytest.raises(ConnectionResetError):
        queued(Broken())


def test_other_errors_of_a_read_come_out():
    class Broken:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError("reset")

    with pytest.raises(ConnectionResetError):
        ServerEndpoint(parser=Parser(Broken())).get_next_message()


def test_an_empty_read_is_the_end_and_raises():
    endpoint = ServerEndpoint(parser=Parser(io.BytesIO(b"")))
    with pytest.raises(UnexpectedEOF):
        endpoint.get_next_message()


def test_a_read_that_is_not_there_yet_returns_none():
    class Later:
        data: bytes | None = None

        def read(self, size: int) -> bytes | None:
            return self.data

    source = Later()
    endpoint = ServerEndpoint(parser=Parser(source))
    assert endpoint.get_next_message() is None
    source.data = from_client(BINARY, b"x")
    message = endpoint.get_next_message()
    assert message is not None
    assert message.payload == b"x"


def test_the_queue_is_counted_in_frames_and_in_bytes():
    endpoint = ServerEndpoint()
    assert (endpoint.get_write_queue_size(), endpoint.write_queue_bytes) == (0, 0)
    endpoint.send_message(bytes(1000))
    assert endpoint.get_write_queue_size() == 1
    assert endpoint.write_queue_bytes >= 1000
    drain(endpoint)
    assert (endpoint.get_write_queue_size(), endpoint.write_queue_bytes) == (0, 0)

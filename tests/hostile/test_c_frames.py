"""Rows C44 to C65: frames that must not be, and frames that may be but seldom are.

Each input goes twice: byte by byte into an endpoint without I/O, which must object at the byte
that the row says (and at no earlier one), and over a stream to a live server, which must tell
the peer why while its bystanders go on.
"""

from __future__ import annotations

import array
import tracemalloc
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import Clock, Peer, connected
from tests.hostile.measure_violations import measure
from tests.hostile.server_under_test import hold, request, server_under_test
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    client,
    close_payload,
    drain,
    facts,
    frame_bytes,
    from_client,
    scalar_xor,
    server,
)
from trio_wsendpoint import (
    CloseFrame,
    ConnectionLost,
    ContinuationFrame,
    Deflate,
    Endpoint,
    Frame,
    InvalidCloseCode,
    Limits,
    Message,
    PeerError,
    PingFrame,
    TextFrame,
    Timeouts,
)
from trio_wsendpoint.protocol.opcodes import is_wire_code

DEFLATE_OFFER = {"Sec_WebSocket_Extensions": "permessage-deflate"}


def first_objection(endpoint: Endpoint, data: bytes) -> tuple[int, int]:
    """Return the close code and how many bytes it took, fed one at a time."""
    for place in range(len(data)):
        endpoint.receive_data(data[place : place + 1])
        try:
            assert endpoint.get_next_message() is None, f"delivered at byte {place + 1}"
        except PeerError as error:
            told, at = error.close_code, place + 1
            break
    else:
        raise AssertionError("no objection")
    answered = [(frame.type, frame.payload[:2]) for frame in drain(endpoint)]
    assert answered[-1] == ("close", close_payload(told))
    assert "close" not in dict(answered[:-1])
    return told, at


async def answers(under_test: Any, data: bytes, handshake: bytes | None = None) -> list[Any]:
    """Return type and payload of all that a live server answers to these frames."""
    stream = await under_test.open(handshake)
    await stream.send_all(data)
    return await Peer(stream, masks=True).rest()


async def next_of(peer: Peer) -> Frame:
    """The next frame, which there must be."""
    frame = await peer.next_frame()
    assert frame is not None
    return frame


async def refuses(data: bytes, code: int, at: int, **options: Any) -> None:
    """The server fails the connection at byte `at` with `code`, and tells nothing else."""
    assert first_objection(server(limits=options.get("limits")), data) == (code, at)
    async with server_under_test(**options) as under_test:
        # It has what it takes and no more: it must not wait for the rest.
        answered = await answers(under_test, data[:at])
        assert [(kind, payload[:2]) for kind, payload in answered] == [
            ("close", close_payload(code))
        ]


async def test_c44_a_client_that_does_not_mask(autojump_clock):
    await refuses(b"\x81\x02hi", 1002, at=2)


async def test_c45_a_server_that_masks(autojump_clock):
    masked = frame_bytes(TEXT, b"hi", mask=MASK)
    assert first_objection(client(), masked) == (1002, 2)
    async with connected() as (connection, peer):
        await peer.stream.send_all(masked)
        with pytest.raises(ConnectionLost, match="a masked frame from a server"):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1002


@pytest.mark.parametrize("rsv", range(1, 8))
async def test_c46_reserved_bits(rsv, autojump_clock):
    for opcode in TEXT, BINARY, PING, CLOSE:
        assert first_objection(server(), from_client(opcode, b"payload", rsv=rsv)) == (1002, 1)
    await refuses(from_client(TEXT, b"payload", rsv=rsv), 1002, at=1)
    if rsv != 0b100:  # RSV1 is what compression is marked with; the others nothing
        async with server_under_test(deflate=Deflate()) as under_test:
            (close,) = await answers(
                under_test,
                from_client(TEXT, b"", rsv=rsv)[:1],
                request(**DEFLATE_OFFER),
            )
            assert close[1][:2] == close_payload(1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_c47_unknown_opcodes(opcode, autojump_clock):
    await refuses(from_client(opcode, b"payload"), 1002, at=1)


@pytest.mark.parametrize(
    ("form", "size", "at"), [(3, 5, 4), (3, 125, 4), (9, 5, 8), (9, 126, 8), (9, 65535, 8)]
)
async def test_c48_lengths_in_more_bytes_than_they_need(form, size, at, autojump_clock):
    await refuses(from_client(BINARY, b"x" * size, form=form), 1002, at=at)


def test_c48_the_shortest_forms_are_welcome():
    for size in 0, 125, 126, 65535, 65536:
        endpoint = server()
        endpoint.receive_data(from_client(BINARY, b"x" * size))
        message = endpoint.get_next_message()
        while message is None:  # a step handles what a step can
            message = endpoint.get_next_message()
        assert message.size == size


async def test_c49_a_length_with_its_highest_bit_set(autojump_clock):
    await refuses(b"\x82\xff\x80" + bytes(7) + MASK, 1002, at=3)
    await refuses(b"\x82\xff" + b"\xff" * 8 + MASK, 1002, at=3)


async def test_c50_a_declared_length_is_not_believed(autojump_clock):
    header = b"\x82\xff\x40" + bytes(7) + MASK
    tracemalloc.start()
    try:
        assert first_objection(server(), header + b"1234") == (1009, len(header))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"C50: {peak} bytes for a frame of 2**62")
    assert peak < 65536
    await refuses(header + b"1234", 1009, at=len(header))
    # One within the limit costs what has come of it, not what was said.
    endpoint = server(limits=Limits(message_size=1 << 30))
    tracemalloc.start()
    try:
        endpoint.receive_data(b"\x82\xff" + (1 << 30).to_bytes(8, "big") + MASK + b"1234")
        assert endpoint.get_next_message() is None
        assert tracemalloc.get_traced_memory()[1] < 65536
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 900_000])
async def test_c51_control_frames_that_are_too_long(opcode, size, autojump_clock):
    await refuses(from_client(opcode, b"x" * size), 1002, at=2)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
async def test_c52_fragmented_control_frames(opcode, autojump_clock):
    await refuses(from_client(opcode, b"12345", fin=False), 1002, at=1)


async def test_c53_control_frames_between_fragments(autojump_clock):
    async with server_under_test() as under_test:
        stream = await under_test.open()
        peer = Peer(stream, masks=True)
        await peer.send(TextFrame("one ", fin=False), PingFrame(b"1"))
        assert facts([await next_of(peer)]) == [("pong", b"1")]  # before the message is whole
        await stream.send_all(
            from_client(PONG, b"unasked") + from_client(CONTINUATION, b"two ", fin=False)
        )
        await peer.send(PingFrame(b"2"))
        assert facts([await next_of(peer)]) == [("pong", b"2")]
        await peer.send(ContinuationFrame(b"three"))
        assert facts([await next_of(peer)]) == [("text", b"one two three")]


async def test_c54_a_close_between_fragments(autojump_clock):
    ended = []

    async def handler(connection):
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        ended.append((caught.value.code, caught.value.reason))

    start = from_client(TEXT, b"half a mess", fin=False)
    async with server_under_test(handler) as under_test:
        data = start + from_client(CLOSE, close_payload(4321, "changed my mind"))
        assert await answers(under_test, data) == [
            ("close", close_payload(4321, "changed my mind"))
        ]
    assert ended == [(4321, "changed my mind")]


@pytest.mark.parametrize(
    ("before", "opcode"),
    [
        (b"", CONTINUATION),
        (from_client(TEXT, b"whole"), CONTINUATION),
        (from_client(TEXT, b"a", fin=False) + from_client(CONTINUATION, b"b"), CONTINUATION),
        (from_client(TEXT, b"a", fin=False), TEXT),
        (from_client(BINARY, b"", fin=False) + from_client(PING, b""), BINARY),
    ],
)
async def test_c55_frames_out_of_sequence(before, opcode, autojump_clock):
    endpoint = server()
    endpoint.receive_data(before)
    while (message := endpoint.get_next_message()) is not None:
        assert isinstance(message, Message)
    drain(endpoint)
    assert first_objection(endpoint, from_client(opcode, b"x")) == (1002, 1)
    async with server_under_test() as under_test:
        answered = await answers(under_test, before + from_client(opcode, b"x"))
        assert answered[-1][1][:2] == close_payload(1002)
        assert [kind for kind, _ in answered].count("close") == 1


async def test_c56_a_close_of_one_byte(autojump_clock):
    await refuses(from_client(CLOSE, b"\x03"), 1002, at=2)


BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]


async def test_c57_close_codes_that_must_not_be_sent(autojump_clock):
    async with server_under_test() as under_test:
        for code in BAD_CODES:
            frame = from_client(CLOSE, close_payload(code, "r"))
            assert first_objection(server(), frame) == (1002, len(frame))
            (close,) = await answers(under_test, frame)
            assert close[1][:2] == close_payload(1002)


async def test_c58_close_codes_that_may_be_sent(autojump_clock):
    codes = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
    async with server_under_test() as under_test:
        for code in codes:
            payload = close_payload(code, "reason")
            assert await answers(under_test, from_client(CLOSE, payload)) == [("close", payload)]
        assert await answers(under_test, from_client(CLOSE, b"")) == [("close", b"")]
    for code in range(65536):
        assert is_wire_code(code) is (code in codes or 3000 <= code <= 4999), code


@pytest.mark.parametrize("reason", [b"\xff", b"\xed\xa0\x80", b"fine \xe2\x82", b"\xc0\xaf"])
async def test_c59_close_reasons_that_are_not_utf_8(reason, autojump_clock):
    frame = from_client(CLOSE, b"\x03\xe8" + reason)
    await refuses(frame, 1007, at=len(frame))


async def test_c60_reasons_of_our_own(autojump_clock):
    async with server_under_test(hold) as under_test:
        stream = await under_test.open()
        connection = under_test.server.connections[-1]
        for reason in "x" * 124, "é" * 62:
            with pytest.raises(InvalidCloseCode, match="124 bytes of UTF-8; 123 is the most"):
                await connection.aclose(1000, reason)
        with pytest.raises((TypeError, AttributeError)):
            await connection.aclose(1000, array.array("i", [1, 2, 3]))
        assert connection.is_open
        peer = Peer(stream, masks=True)
        await peer.send(CloseFrame(1000, "é" * 61 + "x"))
        assert await peer.expect_close() == (1000, "é" * 61 + "x")
    # Where the library itself has more to say than fits, it cuts between two characters.
    for text in "é" * 100, "x" + "é" * 100, "🎈" * 40, "\udcff" * 200:
        endpoint = server()
        endpoint.fail(PeerError(text))
        (close,) = drain(endpoint)
        assert isinstance(close, CloseFrame)
        assert 120 <= len(close.reason.encode()) <= 123
        assert text.encode(errors="replace").decode().startswith(close.reason)


#: Bytes that are not UTF-8, and after how many of them that is certain.
BAD_TEXT = [
    (b"\xc0\xaf", 1),  # overlong
    (b"\xe0\x80\xaf", 2),
    (b"\xed\xa0\x80", 2),  # a surrogate
    (b"\xf4\x90\x80\x80", 2),  # above U+10FFFF
    (b"\xf8\x88\x80\x80\x80", 1),  # five bytes
    (b"\x80", 1),  # lone
    (b"\xe2\x28\xa1", 2),
    (b"\xff", 1),
]


@pytest.mark.parametrize(("bad", "certain"), BAD_TEXT)
async def test_c61_text_that_is_not_utf_8(bad, certain, autojump_clock):
    good = "κόσμε".encode()
    frame = from_client(TEXT, good + bad + good)
    await refuses(frame, 1007, at=6 + len(good) + certain)


async def test_c61_text_that_ends_inside_a_character(autojump_clock):
    for cut in b"\xce", b"\xe2\x82", b"\xf0\x9f\x8e":
        frame = from_client(TEXT, b"text " + cut)
        await refuses(frame, 1007, at=len(frame))


@pytest.mark.parametrize(("bad", "certain"), BAD_TEXT)
async def test_c62_bad_text_is_found_at_its_byte(bad, certain, autojump_clock):
    # In the first of many fragments.
    frames = from_client(TEXT, b"ok " + bad, fin=False) + from_client(CONTINUATION, b"", fin=False)
    assert first_objection(server(), frames) == (1007, 6 + 3 + certain)
    # In a fragment that the character began before.
    if certain == 2:
        first = from_client(TEXT, bad[:1], fin=False)
        frames = first + from_client(CONTINUATION, bad[1:], fin=False)
        assert first_objection(server(), frames) == (1007, len(first) + 6 + 1)
    # At the beginning of a frame of a megabyte, of which the rest never comes; and the app
    # is not even receiving.
    header = from_client(TEXT, b"x" * 1_000_000)[:14]
    async with server_under_test(hold, timeouts=Timeouts(answer=0.5)) as under_test:
        clock = Clock()
        answered = await answers(under_test, header + scalar_xor(b"ok " + bad[:certain], MASK))
        assert [(kind, payload[:2]) for kind, payload in answered] == [
            ("close", close_payload(1007))
        ]
        assert clock.now <= 0.5 + 1


async def test_c63_a_character_in_four_fragments(autojump_clock):
    balloon = "🎈".encode()
    frames = from_client(TEXT, balloon[:1], fin=False)
    for place in 1, 2, 3:
        frames += from_client(PING, bytes([place]))
        frames += from_client(CONTINUATION, balloon[place : place + 1], fin=False)
    frames += from_client(CONTINUATION, b"")
    async with server_under_test() as under_test:
        for whole in True, False:
            stream = await under_test.open()
            peer = Peer(stream, masks=True)
            for piece in [frames] if whole else [frames[i : i + 1] for i in range(len(frames))]:
                await stream.send_all(piece)
                if not whole:
                    await trio.testing.wait_all_tasks_blocked()
            got = facts([await next_of(peer) for _ in range(4)])
            assert got == [("pong", b"\1"), ("pong", b"\2"), ("pong", b"\3"), ("text", balloon)]


async def test_c64_ten_megabytes_after_the_close(autojump_clock):
    sent = 0
    async with server_under_test() as under_test:
        stream = await under_test.open()
        peer = Peer(stream, masks=True)
        clock = Clock()
        await peer.send(CloseFrame(1000))
        block = from_client(BINARY, b"x" * 4096) + from_client(PING, b"p") * 10
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - some time, it does
            while sent < 10 * 1024 * 1024:
                await stream.send_all(block)
                sent += len(block)
                await trio.testing.wait_all_tasks_blocked()
        print(f"C64: {sent} bytes were accepted after the close, {clock.now} s")
        assert sent <= 3 * 65536  # what it had asked for when it had had enough comes on top
        assert clock.now <= 1
        # One close, and no answer to anything behind ours.
        assert await peer.rest() == [("close", b"\x03\xe8")]


async def test_c64_frames_after_the_close_of_a_peer_that_stays(autojump_clock):
    async with server_under_test(timeouts=Timeouts(linger=1)) as under_test:
        stream = await under_test.open()
        peer = Peer(stream, masks=True)
        clock = Clock()
        await stream.send_all(
            from_client(TEXT, b"a") + from_client(CLOSE, b"") + from_client(TEXT, b"b")
        )
        assert await peer.rest() == [("text", b"a"), ("close", b"")]
        await under_test.settled()
        assert clock.now <= 1 + 0.01


async def test_c65_the_close_frame_of_every_violation_arrives():
    async with server_under_test() as under_test:
        seen, seconds = await measure(under_test.server.port, count=500)
    print(f"C65: {seen['arrived']} of 500 Close frames arrived, in {seconds:.1f} s")
    assert seen == {"arrived": 500}

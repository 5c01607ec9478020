"""`RateLimit`, and what comes of a peer that is over one: 1008 and 1013, in their place."""

from __future__ import annotations

import contextlib

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    BinaryFrame,
    CloseFrame,
    ConnectionLost,
    ContinuationFrame,
    Limits,
    PingFrame,
    PongFrame,
    TextFrame,
)
from trio_wsendpoint.session.rates import PeerRate, RateLimit

from .server_under_test import (
    MASK,
    read_all,
    receive_exactly,
    request,
    server_under_test,
)

# ---- RateLimit ---------------------------------------------------------------------------------


def test_a_rate_is_a_count_in_a_second():
    rate = RateLimit(3)
    assert [rate.allow(10.0) for _ in range(3)] == [True] * 3
    assert not rate.allow(10.5)
    assert not rate.allow(10.999)
    # The second begins with the first of them, and the next one with the first after it.
    assert rate.allow(11.25)
    assert [rate.allow(12.0) for _ in range(3)] == [True, True, False]
    assert rate.allow(12.25)


def test_several_at_a_time():
    rate = RateLimit(10)
    assert rate.allow(0, 4)
    assert rate.allow(0, 6)
    assert not rate.allow(0.9, 1)
    assert not rate.allow(1.0, 11)
    assert rate.allow(2.0, 10)
    assert RateLimit(1).allow(0.0, 0)


def test_a_rate_of_the_past_is_idle():
    rate = RateLimit(1)
    assert rate.is_idle(0)
    rate.allow(0)
    assert not rate.is_idle(0)
    assert not rate.is_idle(0.99)
    assert rate.is_idle(1)


def test_what_is_over_the_limit_does_not_renew_the_second():
    rate = RateLimit(1)
    allowed = [rate.allow(number / 10) for number in range(50)]
    assert allowed == [number % 10 == 0 for number in range(50)]


def test_never_more_than_twice_the_limit_in_any_second():
    """The windows lie side by side: a burst at the end of one, and at the beginning of the next."""
    rate = RateLimit(5)
    times = [number / 64 for number in range(640) if rate.allow(number / 64)]
    assert all(sum(at <= other < at + 1 for other in times) <= 10 for at in times)
    assert len(times) == 50


def test_what_a_peer_did_while_we_did_not_read_is_spared():
    rate = PeerRate(10)
    assert rate.allow(0.0, 10)
    assert not rate.allow(0.0, 1)
    rate = PeerRate(10)
    rate.spare(2.5)
    # 10 of this second, and 25 of the time that we did not look.
    assert [rate.allow(7.0) for _ in range(35)] == [True] * 35
    assert not rate.allow(7.0)
    assert rate.allow(8.0)


# ---- control frames ----------------------------------------------------------------------------


def text(payload):
    return TextFrame(payload, mask=MASK).to_bytes()


def ping(payload=b"p"):
    return PingFrame(payload, mask=MASK).to_bytes()


def pong(payload=b"p"):
    return PongFrame(payload, mask=MASK).to_bytes()


def frames_of(data):
    """The (first byte, payload) of each small frame of a server."""
    frames = []
    while data:
        size = data[1]
        assert size < 126
        frames.append((data[0], data[2 : 2 + size]))
        data = data[2 + size :]
    return frames


async def frames_after(under_test, data, *, piece=None):
    """Open a connection, send `data` (in pieces), and return all frames until the end."""
    stream = await under_test.open()
    for at in range(0, len(data), piece or len(data)):
        await stream.send_all(data[at : at + (piece or len(data))])
    frames = frames_of(await read_all(stream))
    await stream.aclose()
    return frames


@pytest.mark.parametrize("piece", [None, 1, 7])
async def test_control_frames_over_their_rate_get_1008_in_their_place(piece, autojump_clock):
    async with server_under_test(limits=Limits(control_rate=20)) as under_test:
        data = text("before") + ping() * 19 + pong() + text("between") + ping(b"q") + text("after")
        frames = await frames_after(under_test, data, piece=piece)
        # What came before is answered, then the Close; the rest is passed over.
        messages = [payload for first, payload in frames if first == 0x81]
        assert messages == [b"before", b"between"]
        assert {payload for first, payload in frames if first == 0x8A} <= {b"p", b"q"}
        assert (0x8A, b"p") in frames
        first, payload = frames[-1]
        assert (first, payload[:2]) == (0x88, (1008).to_bytes(2, "big"))
        assert payload[2:] == b"more than 20 control frames in a second (Limits.control_rate)"
        assert [first for first, _ in frames].count(0x88) == 1
        assert trio.current_time() < 1


async def test_control_frames_within_their_rate_may_come_for_ever(autojump_clock):
    async with server_under_test(limits=Limits(control_rate=20)) as under_test:
        stream = await under_test.open()
        for number in range(10):
            await stream.send_all(ping(b"%d" % number) * 19 + text(f"{number}"))
            while (frame := frames_of(await receive_exactly(stream, 3)))[0][0] == 0x8A:
                assert frame == [(0x8A, b"%d" % number)]
            assert frame == [(0x81, b"%d" % number)]
            await trio.sleep(1)


@pytest.mark.parametrize("frame", [ping(), ping(b""), pong(), pong(bytes(125))])
async def test_a_flood_of_a_million_is_over_after_the_first_thousand(frame, autojump_clock):
    async with server_under_test() as under_test:
        stream = await under_test.open()
        began, sent = trio.current_time(), 0
        with contextlib.suppress(trio.BrokenResourceError):
            for _ in range(2000):
                await stream.send_all(frame * 500)
                sent += 500
                await trio.sleep(0.02)
        # They are passed over for `Timeouts.linger`, so that the Close frame arrives.
        assert trio.current_time() - began < 1.1
        assert sent <= 30_000
        frames = frames_of(await read_all(stream))
        assert frames[-1][1][:2] == (1008).to_bytes(2, "big")
        assert len(frames) <= Limits().control_rate + 2  # that one is answered, too


async def test_control_frames_within_a_message_count_as_well(autojump_clock):
    async with server_under_test(limits=Limits(control_rate=5)) as under_test:
        start = TextFrame("a", fin=False, mask=MASK).to_bytes()
        end = ContinuationFrame(b"b", mask=MASK).to_bytes()
        frames = await frames_after(under_test, start + ping() * 5 + end + start + ping() + end)
        assert [payload for first, payload in frames if first == 0x81] == [b"ab"]
        assert frames[-1][1][:2] == (1008).to_bytes(2, "big")


async def receive_slowly(connection, heard):
    while True:
        heard.append(await connection.receive())
        await trio.sleep(0.1)


async def test_the_app_is_told_after_the_messages(autojump_clock):
    told: list[object] = []

    async def handler(connection):
        with pytest.raises(ConnectionLost) as caught:
            await receive_slowly(connection, told)
        told.append(caught.value)

    async with server_under_test(handler, limits=Limits(control_rate=2)) as under_test:
        frames = await frames_after(under_test, text("a") + text("b") + ping() * 3 + text("c"))
        await under_test.settled()
        assert told[:2] == ["a", "b"]
        assert "more than 2 control frames in a second" in str(told[2])
        assert frames[-1][1][:2] == (1008).to_bytes(2, "big")


# ---- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [None, 1, 7])
async def test_messages_over_their_rate_get_1013_in_their_place(piece, autojump_clock):
    """Bystanders have the same limit: what they say stays within it."""
    async with server_under_test(limits=Limits(message_rate=30)) as under_test:
        data = b"".join(text(f"{number}") for number in range(40)) + ping()
        frames = await frames_after(under_test, data, piece=piece)
        *messages, (first, payload) = frames
        assert messages == [(0x81, b"%d" % number) for number in range(30)]
        assert (first, payload[:2]) == (0x88, (1013).to_bytes(2, "big"))
        assert payload[2:] == b"more than 30 messages in a second (Limits.message_rate)"
        assert trio.current_time() < 1


async def test_messages_within_their_rate_may_come_for_ever(autojump_clock):
    async with server_under_test(limits=Limits(message_rate=30)) as under_test:
        stream = await under_test.open()
        for _ in range(10):
            await stream.send_all(text("x") * 30)
            assert await receive_exactly(stream, 90) == b"\x81\x01x" * 30
            await trio.sleep(1)


async def test_a_message_counts_once_in_however_many_frames(autojump_clock):
    async with server_under_test(limits=Limits(message_rate=5)) as under_test:
        stream = await under_test.open()
        middle = ContinuationFrame(b"", fin=False, mask=MASK).to_bytes()
        message = (
            BinaryFrame(b"", fin=False, mask=MASK).to_bytes()
            + middle * 50
            + ContinuationFrame(b"x", mask=MASK).to_bytes()
        )
        await stream.send_all(message * 5)
        assert await receive_exactly(stream, 15) == b"\x82\x01x" * 5
        await stream.send_all(message)
        assert frames_of(await read_all(stream))[0][1][:2] == (1013).to_bytes(2, "big")


async def test_messages_that_waited_for_a_slow_app_are_not_too_many(autojump_clock):
    """The peer kept to the rate: it is we who read ten seconds of it at once."""
    heard = []

    async def handler(connection):
        await trio.sleep(10)
        async for message in connection:
            heard.append(message)
            await connection.send(message)

    limits = Limits(message_rate=30, control_rate=30, receive_buffer=1)
    async with server_under_test(handler, limits=limits) as under_test:
        stream = await under_test.open()
        for number in range(10):
            for _ in range(20):
                await stream.send_all(text(f"{number}"))
                await stream.send_all(ping())
            await trio.sleep(1)
        messages = 0
        while messages < 200:
            first, size = await receive_exactly(stream, 2)
            payload = await receive_exactly(stream, size)
            assert first in {0x81, 0x8A}, (first, payload)
            messages += first == 0x81
        assert heard == [f"{number}" for number in range(10) for _ in range(20)]


async def test_without_a_rate_there_is_none(autojump_clock):
    async with server_under_test() as under_test:
        stream = await under_test.open()
        for _ in range(6):
            await stream.send_all(text("x") * 500)
            assert await receive_exactly(stream, 1500) == b"\x81\x01x" * 500
        assert trio.current_time() < 1


async def test_a_client_may_limit_its_server_as_well(autojump_clock):
    async def talk(connection):
        for number in range(100):
            await connection.send(f"{number}")
        await connection.wait_closed()

    async with server_under_test(talk) as under_test:
        heard: list[str] = []
        async with under_test.client(limits=Limits(message_rate=7)) as connection:
            with pytest.raises(ConnectionLost, match="more than 7 messages in a second"):
                await receive_slowly(connection, heard)
        assert heard == [str(number) for number in range(7)]


async def test_a_close_frame_is_answered_whatever_the_rate(autojump_clock):
    """It ends what the rate is there to end."""
    close = CloseFrame(1000, "bye", mask=MASK).to_bytes()
    async with server_under_test(limits=Limits(control_rate=3)) as under_test:
        frames = await frames_after(under_test, text("hi") + ping() * 3 + close)
        assert (0x81, b"hi") in frames
        assert frames[-1] == (0x88, b"\x03\xe8bye")


async def test_frames_behind_the_request_count_too(autojump_clock):
    async with server_under_test(limits=Limits(control_rate=3)) as under_test:
        stream = await under_test.connect()
        await stream.send_all(request() + ping() * 4)
        data = await read_all(stream)
        frames = frames_of(data.partition(b"\r\n\r\n")[2])
        assert frames[-1][1][:2] == (1008).to_bytes(2, "big")

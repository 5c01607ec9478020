"""Messages with types, and a connection as a stream of bytes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    ConnectionClosedLocally,
    ConnectionEnded,
    ConnectionLost,
    JSONCodec,
    Limits,
    MessageByteStream,
    MessageChannel,
    UndecodableMessage,
    UnexpectedText,
)
from trio_wsendpoint.testing import connection_pair, memory_stream_pair

# ---- values --------------------------------------------------------------------------------------


async def test_values_go_both_ways():
    async with connection_pair() as (client, server):
        ours = MessageChannel(client, JSONCodec())
        theirs = MessageChannel(server, JSONCodec())
        values: list[Any] = [{"a": [1, 2.5, None, True, "é"]}, [], "text", 0, None]
        for value in values:
            await ours.send(value)
            assert await theirs.receive() == value
            await theirs.send(value)
            assert await ours.receive() == value
        await ours.aclose()
        with pytest.raises(ConnectionEnded):
            await theirs.receive()
        with pytest.raises(ConnectionClosedLocally):
            await ours.send(1)


async def test_iterating_ends_with_the_peers_close():
    async with connection_pair() as (client, server):
        for number in range(3):
            await MessageChannel(client, JSONCodec()).send(number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
            assert [value async for value in MessageChannel(server, JSONCodec())] == [0, 1, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
async def test_what_has_no_form_is_refused_before_anything_is_sent(value):
    async with connection_pair() as (client, server):
        channel = MessageChannel(client, JSONCodec())
        with pytest.raises((ValueError, TypeError)):
            await channel.send(value)
        await channel.send("next")
        assert await server.receive() == '"next"'


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("{", "a text message of 1 bytes does not decode: JSONDecodeError: Expecting property"),
        (b"\xff", "a binary message of 1 bytes does not decode: UnicodeDecodeError"),
        ("NaN", "ValueError: NaN is no JSON"),
        ("[-Infinity]", "ValueError: -Infinity is no JSON"),
        ("1 2", "JSONDecodeError: Extra data"),
        ("", "JSONDecodeError"),
        ("[" * 100_000, "ValueError: it is nested too deep"),
        ("9" * 5000, "ValueError: Exceeds the limit"),
    ],
)
async def test_a_message_that_does_not_decode(message, says):
    async with connection_pair() as (client, server):
        channel = MessageChannel(server, JSONCodec())
        await client.send(message)
        await client.send("1")
        with pytest.raises(UndecodableMessage) as caught:
            await channel.receive()
        assert says in str(caught.value)
        assert caught.value.message == message
        assert caught.value.__cause__ is not None
        assert await channel.receive() == 1


async def test_its_text_is_safe_in_a_log():
    class Quoting(JSONCodec):
        def decode(self, message):
            raise LookupError(message)

    async with connection_pair() as (client, server):
        await client.send("\x1b[2J\u202e\n" * 1000)
        with pytest.raises(UndecodableMessage) as caught:
            await MessageChannel(server, Quoting()).receive()
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


async def test_it_may_close_with_1007():
    async with connection_pair() as (client, server):
        channel = MessageChannel(server, JSONCodec(), on_undecodable="close")
        await client.send("{")
        with pytest.raises(UndecodableMessage):
            await channel.receive()
        with pytest.raises(ConnectionLost) as caught:
            await client.receive()
        assert (caught.value.code, caught.value.reason) == (1007, "it does not decode")


async def test_nan_if_it_is_wanted():
    async with connection_pair() as (client, server):
        codec = JSONCodec(allow_nan=True)
        await MessageChannel(client, codec).send(float("inf"))
        assert await MessageChannel(server, codec).receive() == float("inf")


async def test_hooks_of_the_codec():
    async with connection_pair() as (client, server):
        codec = JSONCodec(default=list, object_hook=lambda found: tuple(found.items()))
        await MessageChannel(client, codec).send({"a": {3}})
        assert await MessageChannel(server, codec).receive() == (("a", [3]),)


def test_an_option_that_makes_no_sense():
    with pytest.raises(ValueError, match='"raise" or "close", not \'ignore\''):
        MessageChannel(None, JSONCodec(), on_undecodable="ignore")  # type: ignore[arg-type]


# ---- bytes ---------------------------------------------------------------------------------------


class Ticking(trio.abc.Instrument):
    """Moves a clock by 10 ms in each turn of Trio's loop, however long that takes.

    Trio's check sends without a pause until that fails, so that `autojump` never comes.
    """

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock

    def before_io_wait(self, timeout: float) -> None:
        self._clock.jump(0.01)


@pytest.mark.parametrize("nonblocking", [False, True])
def test_it_is_a_stream_as_trio_checks_it(nonblocking):
    async def main():
        async with trio.open_nursery() as nursery:

            async def hold(ready):
                streams = memory_stream_pair(nonblocking=nonblocking)
                async with connection_pair(streams=streams) as pair:
                    ready.send_nowait(tuple(map(MessageByteStream, pair)))
                    await trio.sleep_forever()

            async def make():
                sender, receiver = trio.open_memory_channel(1)
                nursery.start_soon(hold, sender)
                return await receiver.receive()

            await trio.testing.check_two_way_stream(make, None)
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock(autojump_threshold=0.0)
    trio.run(main, clock=clock, instruments=[Ticking(clock)])


async def test_a_message_is_taken_in_pieces_and_empty_ones_are_passed_over():
    async with connection_pair() as (client, server):
        stream = MessageByteStream(server)
        for message in (b"", b"abcde", b"", b"f"):
            await client.send(message)
        assert [await stream.receive_some(2) for _ in range(4)] == [b"ab", b"cd", b"e", b"f"]


async def test_large_data_leaves_in_messages_that_are_not():
    limits = Limits(message_size=64 * 1024)
    async with connection_pair(server={"limits": limits}) as (client, server):
        ours, theirs = MessageByteStream(client), MessageByteStream(server)
        data = memoryview(bytes(range(256)) * 4096).cast("I")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, data)
            received = b""
            while len(received) < data.nbytes:
                received += await theirs.receive_some()
        assert received == data.tobytes()


async def test_text_is_refused_with_1003():
    async with connection_pair() as (client, server):
        await client.send("text")
        with pytest.raises(UnexpectedText):
            await MessageByteStream(server).receive_some()
        with pytest.raises(ConnectionLost, match="1003"):
            await client.receive()


async def test_an_end_that_is_not_orderly_is_no_end_of_the_stream():
    async with connection_pair() as (client, server):
        stream = MessageByteStream(server)
        await client.aclose(1011)
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_the_end_is_told_again():
    async with connection_pair() as (client, server):
        stream = MessageByteStream(server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
            for _ in range(2):
                assert await stream.receive_some() == b""


@pytest.mark.parametrize(
    ("max_bytes", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
async def test_a_size_that_makes_no_sense(max_bytes, error):
    async with connection_pair() as (client, _):
        with pytest.raises(error, match="max_bytes must be"):
            await MessageByteStream(client).receive_some(max_bytes)


async def test_a_connection_gives_its_other_forms(autojump_clock):
    async with connection_pair() as (client, server):
        await client.as_channel(JSONCodec()).send({"a": 1})
        assert await server.as_channel(JSONCodec()).receive() == {"a": 1}
        await server.as_stream().send_all(b"bytes")
        assert await client.as_stream().receive_some() == b"bytes"
        other: Any = "ignore"
        with pytest.raises(ValueError, match="on_undecodable"):
            client.as_channel(JSONCodec(), on_undecodable=other)

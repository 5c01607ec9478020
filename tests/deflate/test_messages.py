"""Messages of a connection with compression: which are compressed, and what is refused."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
import trio

from tests.streams.helpers import ALWAYS, served, settle
from trio_wsendpoint import (
    BinaryFrame,
    ConnectionLost,
    ContinuationFrame,
    DataFrame,
    Deflate,
    Frame,
    Limits,
    PingFrame,
    TextFrame,
)
from trio_wsendpoint.extensions import PerMessageDeflate
from trio_wsendpoint.testing import connection_pair, seeded_bytes

TEXT = '{"id": 1, "name": "Ann"}' * 40
NO_TAKEOVER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def deflated(data: bytes) -> bytes:
    """Return the wire payload of a message, made by zlib alone (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def data_frame(peer: Any) -> DataFrame:
    frame = await peer.next_frame()
    assert isinstance(frame, DataFrame)
    return frame


# ---- what leaves -------------------------------------------------------------------------------


async def test_the_vectors_of_the_rfc() -> None:
    """RFC 7692 section 7.2.3.2."""
    async with served(True) as (connection, peer):
        for wire in ["f248cdc9c90700", "f200110000"]:
            await connection.send("Hello")
            frame = await data_frame(peer)
            assert (frame.type, frame.rsv, frame.fin) == ("text", 0b100, True)
            assert frame.payload.hex() == wire
        for wire in ["f248cdc9c90700", "f200110000"]:
            await peer.send(TextFrame(bytes.fromhex(wire), rsv=0b100))
            assert await connection.receive() == "Hello"


async def test_the_vector_without_takeover() -> None:
    async with served(True, offer=NO_TAKEOVER) as (connection, peer):
        for _ in range(3):
            await connection.send("Hello")
            assert (await data_frame(peer)).payload.hex() == "f248cdc9c90700"


@pytest.mark.parametrize(
    "wire",
    [
        "f248cdc9c90700",  # 7.2.3.1
        "000500faff48656c6c6f00",  # 7.2.3.3: a block that is not compressed
        "f348cdc9c9070000",  # 7.2.3.4: a block with BFINAL set
        "f24805000000ffffcac9c90700",  # 7.2.3.5: two blocks
    ],
)
async def test_every_example_of_the_rfc_is_read(wire: str) -> None:
    async with served(True) as (connection, peer):
        await peer.send(TextFrame(bytes.fromhex(wire), rsv=0b100))
        assert await connection.receive() == "Hello"


async def test_the_fragmented_example_of_the_rfc_is_read() -> None:
    async with served(True) as (connection, peer):
        await peer.send(
            TextFrame(bytes.fromhex("f248cd"), rsv=0b100, fin=False),
            ContinuationFrame(bytes.fromhex("c9c90700")),
        )
        assert await connection.receive() == "Hello"


@pytest.mark.parametrize("wire", [b"\x00", b"", b"\x00\x00\x00\xff\xff\x00"])
async def test_empty_messages_are_read(wire: bytes) -> None:
    async with served(True) as (connection, peer):
        await peer.send(TextFrame(wire, rsv=0b100), BinaryFrame(wire, rsv=0b100))
        assert await connection.receive() == ""
        assert await connection.receive() == b""
        await peer.send(TextFrame(bytes.fromhex("f248cdc9c90700"), rsv=0b100))
        assert await connection.receive() == "Hello"


@pytest.mark.parametrize("threshold", [0, 10, 128])
async def test_the_threshold(threshold: int) -> None:
    async with served(True, deflate=Deflate(threshold=threshold)) as (connection, peer):
        for size in [0, 9, 10, 11, 127, 128, 129]:
            await connection.send("x" * size)
            frame = await data_frame(peer)
            assert frame.rsv == (0b100 if size >= threshold else 0)
            if size < threshold:
                assert frame.payload == b"x" * size


async def test_the_threshold_counts_bytes() -> None:
    async with served(True, deflate=Deflate(threshold=10)) as (connection, peer):
        await connection.send("é" * 5)
        assert (await data_frame(peer)).rsv == 0b100


async def test_one_message_is_left_uncompressed() -> None:
    async with served(True) as (connection, peer):
        await connection.send("Hello")
        await connection.send("secret", compress=False)
        connection.send_nowait(b"secret", compress=False)
        await connection.send("Hello")
        frames = [await data_frame(peer) for _ in range(4)]
        assert [frame.rsv for frame in frames] == [0b100, 0, 0, 0b100]
        assert [frame.payload for frame in frames[1:3]] == [b"secret", b"secret"]
        assert frames[3].payload.hex() == "f200110000"  # the context has not seen it


async def test_compress_is_no_matter_without_compression() -> None:
    async with connection_pair() as (client, server):
        await client.send("one", compress=True)
        await client.send("two", compress=False)
        assert [await server.receive(), await server.receive()] == ["one", "two"]


async def test_a_large_message_leaves_in_fragments_of_its_wire_form() -> None:
    noise = seeded_bytes(1)(10_000)
    async with served(True, limits=Limits(fragment_size=1000)) as (connection, peer):
        await connection.send(noise)
        frames = [await data_frame(peer)]
        while not frames[-1].fin:
            frames.append(await data_frame(peer))
        assert [frame.rsv for frame in frames] == [0b100] + [0] * (len(frames) - 1)
        assert {len(frame.payload) for frame in frames[:-1]} == {1000}
        wire = b"".join(frame.payload for frame in frames)
        assert zlib.decompressobj(-15).decompress(wire + b"\x00\x00\xff\xff") == noise


async def test_a_cancelled_send_leaves_the_context_as_it_was() -> None:
    async with served(True) as (connection, peer):
        await connection.send("Hello")
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.send("Never" * 100)
        assert scope.cancelled_caught
        await connection.send("Hello")
        payloads = [(await data_frame(peer)).payload.hex() for _ in range(2)]
        assert payloads == ["f248cdc9c90700", "f200110000"]


async def test_a_refused_message_leaves_the_context_as_it_was() -> None:
    async with served(True) as (connection, peer):
        await connection.send("Hello")
        with pytest.raises(UnicodeEncodeError):
            await connection.send("\ud800")
        with pytest.raises(TypeError):
            await connection.send(3)  # type: ignore[arg-type]
        await connection.send("Hello")
        payloads = [(await data_frame(peer)).payload.hex() for _ in range(2)]
        assert payloads == ["f248cdc9c90700", "f200110000"]


async def test_frames_show_the_wire_form() -> None:
    async with served(True) as (connection, peer):
        first, last = peer.fragments("text", b"Hel", b"lo")
        await peer.send(first, last)
        message = await connection.receive_message()
        assert message.payload == "Hello"
        frames = message.get_frames()
        assert [frame.rsv for frame in frames] == [0b100, 0]
        assert [frame.payload for frame in frames] == [first.payload, last.payload]


@pytest.mark.parametrize("engine", ["zlib", "isal", "auto"])
async def test_every_engine(engine: Any) -> None:
    options: Any = {"deflate": Deflate(engine=engine), "limits": Limits(fragment_size=1000)}
    messages: list[Any] = [TEXT, "", "short", b"", TEXT.encode(), seeded_bytes(1)(5000), TEXT]
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        for sender, receiver in [(client, server), (server, client)] * 2:
            for message in messages:
                await sender.send(message)
                assert await receiver.receive() == message
                async with sender.send_stream("binary") as stream:
                    for chunk in [b"one", bytes(3000), b"", b"two"]:
                        await stream.send(chunk)
                assert await receiver.receive() == b"one" + bytes(3000) + b"two"


async def test_statistics() -> None:
    options: Any = {"deflate": Deflate()}
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        await client.send(TEXT)
        await client.send("short")  # below the threshold
        await client.send(TEXT, compress=False)
        assert [await server.receive() for _ in range(3)] == [TEXT, "short", TEXT]
        assert isinstance(client.endpoint.extension, PerMessageDeflate)
        assert isinstance(server.endpoint.extension, PerMessageDeflate)
        sent, received = client.endpoint.extension.statistics, server.endpoint.extension.statistics
        assert sent.sent_plain == received.received_plain == len(TEXT)
        assert 0 < sent.sent_compressed == received.received_compressed < len(TEXT) // 10
        assert sent.received_plain == received.sent_plain == 0


# ---- what is refused ---------------------------------------------------------------------------

HELLO = bytes.fromhex("f248cdc9c90700")


@pytest.mark.parametrize("rsv", [0b100, 0b010, 0b001, 0b110])
@pytest.mark.parametrize("agreed", [False, True])
async def test_reserved_bits(rsv: int, agreed: bool) -> None:
    """RSV1 without compression is as wrong as the other two are with it."""
    async with served(agreed) as (connection, peer):
        await peer.send(TextFrame("before"), TextFrame(HELLO, rsv=rsv))
        assert await connection.receive() == "before"
        if agreed and rsv == 0b100:
            assert await connection.receive() == "Hello"
            return
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1002


@pytest.mark.parametrize(
    "frames",
    [
        [TextFrame(HELLO, rsv=0b100, fin=False), ContinuationFrame(b"", rsv=0b100)],
        [TextFrame("plain", fin=False), ContinuationFrame(HELLO, rsv=0b100)],
    ],
)
async def test_a_compressed_continuation(frames: list[Frame]) -> None:
    async with served(True) as (connection, peer):
        await peer.send(*frames)
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1002


@pytest.mark.parametrize("opcode", [8, 9, 10])
async def test_a_compressed_control_frame(opcode: int) -> None:
    async with served(True) as (connection, peer):
        wire = bytearray(peer.to_bytes(PingFrame(b"")))
        wire[0] = 0xC0 | opcode
        await peer.stream.send_all(wire)
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1002


@pytest.mark.parametrize(
    "wire",
    [
        b"\xff\xff\xff\xff",
        HELLO[:3],  # cut short
        b"\x00\x05\x00\x00\x00Hello\x00",  # the lengths of the block do not agree
        bytes.fromhex("f200110000"),  # refers to what has never been
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_does_not_inflate(wire: bytes, streamed: bool) -> None:
    async with served(True) as (connection, peer):
        await peer.send(TextFrame("before"), BinaryFrame(wire, rsv=0b100))
        assert await connection.receive() == "before"
        with pytest.raises(ConnectionLost):  # noqa: PT012 - it is leaving the block that raises
            if streamed:
                async with connection.receive_stream() as chunks:
                    async for _ in chunks:
                        pass
            else:
                await connection.receive()
        assert (await peer.expect_close())[0] == 1007


async def test_text_that_inflates_to_no_text() -> None:
    async with served(True) as (connection, peer):
        await peer.send(TextFrame(deflated(b"\xc0\xaf"), rsv=0b100))
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1007


async def test_a_context_kept_against_the_agreement() -> None:
    async with served(True, offer=NO_TAKEOVER) as (connection, peer):
        await peer.send(TextFrame(HELLO, rsv=0b100), TextFrame(HELLO, rsv=0b100))
        assert [await connection.receive(), await connection.receive()] == ["Hello", "Hello"]
        await peer.send(TextFrame(bytes.fromhex("f200110000"), rsv=0b100))
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1007


# ---- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, 65_536, 200_000])
@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("kind", ["zeros", "noise"])
async def test_the_limit_is_exact(size: int, fragments: int, kind: str) -> None:
    """To the byte, for what shrinks to a thousandth and for what does not shrink at all."""
    limits = Limits(message_size=size)
    for surplus in [0, 1]:
        data = bytes(size + 1) if kind == "zeros" else seeded_bytes(1)(size + 1)
        data = data[: size + surplus]
        async with served(True, limits=limits, deflate=ALWAYS) as (connection, peer):
            step = max(len(data) // fragments, 1)
            payloads = [data[start : start + step] for start in range(0, len(data), step)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send_message, "binary", *payloads)
                if not surplus:
                    assert await connection.receive() == data
                    continue
                with pytest.raises(ConnectionLost, match=f"{size} bytes"):
                    await connection.receive()
            assert (await peer.expect_close())[0] == 1009


@pytest.mark.parametrize(("chunk", "count"), [(1, 1000), (100, 1000), (3000, 100)])
@pytest.mark.parametrize("memory_level", [1, 5, 9])
async def test_the_limit_is_exact_for_a_stream_of_noise(
    chunk: int, count: int, memory_level: int
) -> None:
    """Chunks of noise are larger on the wire than they are: that is not the message's size."""
    size = count * chunk
    options: Any = {
        "deflate": Deflate(threshold=0, memory_level=memory_level),
        "limits": Limits(message_size=size),
    }
    noise = seeded_bytes(1)(size)
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        async with trio.open_nursery() as nursery:

            async def send_chunks() -> None:
                async with client.send_stream("binary") as stream:
                    for start in range(0, size, chunk):
                        await stream.send(noise[start : start + chunk])

            nursery.start_soon(send_chunks)
            assert await server.receive() == noise
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, noise)
            assert await server.receive() == noise


async def test_a_limit_of_nothing() -> None:
    limits = Limits(message_size=0)
    async with served(True, limits=limits) as (connection, peer):
        await peer.send_message("binary", b"")
        assert await connection.receive() == b""
        await peer.send_message("binary", b"1")
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert (await peer.expect_close())[0] == 1009


async def test_a_bomb_is_not_inflated_before_somebody_reads() -> None:
    """At most what `receive_buffer` allows, and a step of the inflater, is there beforehand."""
    async with served(True) as (connection, peer):
        for _ in range(5):
            await peer.send(BinaryFrame(deflated(bytes(1_000_000)), rsv=0b100))
        await settle()
        extension = connection.endpoint.extension
        assert isinstance(extension, PerMessageDeflate)
        assert extension.statistics.received_plain <= 128 * 1024
        assert [await connection.receive() for _ in range(5)] == [bytes(1_000_000)] * 5

"""Rows D66 to D79: what compressed messages can do to those who inflate them (RFC 7692)."""

from __future__ import annotations

import gc
import random
import tracemalloc
import zlib
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import Peer
from tests.hostile.server_under_test import (
    hold,
    read_head,
    request,
    server_under_test,
)
from tests.protocol.wire import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    close_payload,
    drain,
    facts,
    frame_bytes,
    from_client,
    server,
)
from trio_wsendpoint import Connection, Deflate, Frame, Limits, PeerError, PolicyViolation
from trio_wsendpoint.extensions import PerMessageDeflate
from trio_wsendpoint.testing import connection_pair

KIB = 1024
MIB = 1024 * KIB
RSV1 = 0b100
OFFER = request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
#: The largest window, so that what a peer of any window sends can be read.
PLAIN_OFFER = request(Sec_WebSocket_Extensions="permessage-deflate")


def deflated(data: bytes, level: int = 9, bits: int = 15) -> bytes:
    """The wire form of one message: RFC 7692 section 7.2.1, by zlib itself."""
    made = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (made.compress(data) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(data: bytes, opcode: int = BINARY) -> bytes:
    """A client's frame that holds `data`, deflated."""
    return from_client(opcode, deflated(data), rsv=RSV1)


def deflating_server(**options: Any):
    """An endpoint that has agreed to compression."""
    return server(extension=PerMessageDeflate(Deflate(peer_window_bits=15)), **options)


def judged(endpoint: Any, data: bytes) -> int | bytes:
    """Return the close code that `data` gets, or the payload that it is delivered as."""
    endpoint.receive_data(data)
    try:
        message = endpoint.get_next_message()
        assert message is not None
        return bytes(message.raw)
    except PeerError as error:
        return error.close_code


async def opened(under_test: Any, handshake: bytes = PLAIN_OFFER) -> Peer:
    """A raw client of the live server with which compression was agreed."""
    stream = await under_test.connect()
    await stream.send_all(handshake)
    head, rest = await read_head(stream)
    assert b"permessage-deflate" in head
    assert rest == b""
    peer = Peer(stream, masks=True)
    peer.parser.first_rsv = RSV1
    return peer


async def next_of(peer: Peer) -> Frame:
    """The next frame, which there must be."""
    frame = await peer.next_frame()
    assert frame is not None
    return frame


async def answers(under_test: Any, data: bytes) -> list[tuple[str, bytes]]:
    """Return type and payload of all that a live server answers."""
    peer = await opened(under_test)
    await peer.stream.send_all(data)
    return await peer.rest()


async def refused(under_test: Any, data: bytes, code: int) -> None:
    """The live server answers with nothing but a close of this code."""
    answered = await answers(under_test, data)
    assert [(kind, payload[:2]) for kind, payload in answered] == [("close", close_payload(code))]


class Traced:
    """The peak of what Python (zlib included) allocates within the block."""

    peak = 0

    def __enter__(self):
        gc.collect()
        tracemalloc.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


async def test_d66_a_bomb(autojump_clock):
    bomb = compressed(bytes(64 * MIB))
    assert len(bomb) < 70_000
    with Traced() as traced:
        assert judged(deflating_server(), bomb) == 1009
    print(f"D66: {traced.peak / MIB:.2f} MiB for 64 MiB of zeros")
    # The limit itself, and what a growing buffer holds beside.
    assert traced.peak <= 1.5 * MIB
    async with server_under_test(deflate=Deflate()) as under_test:
        await refused(under_test, bomb, 1009)


async def test_d67_many_messages_in_one_read(autojump_clock):
    many = compressed(bytes(MIB)) * 50  # as much as fits into one read
    assert len(many) < 64 * KIB
    held: list[Connection] = []

    async def handler(connection: Connection) -> None:
        held.append(connection)
        await connection.wait_closed()

    async with server_under_test(handler, deflate=Deflate(max_ratio=None)) as under_test:
        peer = await opened(under_test)
        with Traced() as traced:
            await peer.stream.send_all(many)
            await trio.testing.wait_all_tasks_blocked()
        assert held[0].statistics().inbox_messages <= 1
        assert held[0].endpoint.parser.buffered > 40 * KIB  # the others, as they came
        print(f"D67: {traced.peak / MIB:.2f} MiB")
        assert traced.peak < 3.5 * MIB
        for _ in range(50):
            assert await held[0].receive() == bytes(MIB)
            assert held[0].statistics().inbox_messages <= 1


@pytest.mark.parametrize("limit", [1, 10, 65536, 65537, 100_000])
async def test_d68_the_limit_is_exact(limit, autojump_clock):
    limits = Limits(message_size=limit)
    for size, expected in (limit, None), (limit + 1, 1009), (limit + 2, 1009):
        for data in bytes(size), b"ab" * (size // 2) + b"c" * (size % 2):
            got = judged(deflating_server(limits=limits), compressed(data))
            assert got == (data if expected is None else expected), size
    if limit < 100:
        return  # what the bystanders say is longer
    async with server_under_test(deflate=Deflate(), limits=limits) as under_test:
        await refused(under_test, compressed(bytes(limit + 1)), 1009)
        peer = await opened(under_test)
        await peer.stream.send_all(compressed(bytes(limit)))
        frame = await next_of(peer)
        assert frame.type == "binary"


@pytest.mark.parametrize("level", [0, 1, 9])
async def test_d69_a_message_of_the_largest_size_that_does_not_compress(level, autojump_clock):
    noise = random.Random(69).randbytes(MIB)
    wire = deflated(noise, level)
    assert len(wire) > MIB
    async with server_under_test(deflate=Deflate()) as under_test:
        peer = await opened(under_test)
        await peer.stream.send_all(from_client(BINARY, wire, rsv=RSV1))
        frames = [await next_of(peer)]
        while not frames[-1].fin:
            frames.append(await next_of(peer))
        inflater = zlib.decompressobj(-15)
        assert inflater.decompress(b"".join(frame.payload for frame in frames)) == noise
    assert judged(deflating_server(), from_client(BINARY, deflated(noise + b"x"), rsv=RSV1)) == 1009
    # A wire form that is longer than any that noise can have is refused by its header alone.
    assert (
        judged(
            deflating_server(), frame_bytes(BINARY, bytes(MIB + MIB // 8), mask=b"mask", rsv=4)[:14]
        )
        == 1009
    )


async def test_d70_the_bit_of_compression_where_it_must_not_be(autojump_clock):
    start = from_client(TEXT, deflated(b"text")[:2], rsv=RSV1, fin=False)
    async with server_under_test(deflate=Deflate()) as under_test:
        for data in (
            start + from_client(CONTINUATION, b"x", rsv=RSV1),
            from_client(TEXT, b"plain", fin=False) + from_client(CONTINUATION, b"x", rsv=RSV1),
            from_client(PING, b"x", rsv=RSV1),
            from_client(8, close_payload(1000), rsv=RSV1),
        ):
            assert judged(deflating_server(), data) == 1002
            await refused(under_test, data, 1002)


def distance_past_the_window() -> bytes:
    """A match that goes further back than the message has bytes."""
    made = zlib.compressobj(9, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, b"dictionary" * 9)
    return (made.compress(b"dictionary" * 9) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]


BROKEN = [
    b"\xff\xff\xff\xff",  # a block of the type 3
    b"\x06\x00",  # the same in the first block
    deflated(b"hello" * 100)[:-3],  # cut short
    deflated(b"hello" * 100)[:4] + b"\xff\xff\xff" + deflated(b"hello" * 100)[7:],
    distance_past_the_window(),  # as with a preset dictionary
    b"\x01\x05\x00\xfa\xffhello\xff\xff",  # garbage after the final block
    b"\x00\x05\x00\xfa\xfe",  # a stored block whose lengths do not match
]


@pytest.mark.parametrize("wire", BROKEN)
async def test_d71_streams_that_do_not_inflate(wire, autojump_clock):
    endpoint = deflating_server()
    assert judged(endpoint, from_client(BINARY, wire, rsv=RSV1)) == 1007
    (close,) = drain(endpoint)
    assert close.payload[:2] == close_payload(1007)
    # It is over: nothing that comes after is inflated with what is left.
    endpoint.receive_data(compressed(b"and now?"))
    assert endpoint.is_closed()
    assert endpoint.parser.buffered == 0
    async with server_under_test(deflate=Deflate()) as under_test:
        await refused(under_test, from_client(BINARY, wire, rsv=RSV1) + compressed(b"more"), 1007)


def test_d71_a_window_larger_than_agreed():
    """A match from further back than the agreed window, as far as zlib can tell."""
    noise = random.Random(71).randbytes(20_000)
    wire = deflated(noise + noise, bits=15)
    small = server(extension=PerMessageDeflate(Deflate(peer_window_bits=9)))
    assert judged(small, from_client(BINARY, wire, rsv=RSV1)) == 1007


EMPTY = [
    [b"\x00"],  # as section 7.2.3.6 writes it
    [b""],  # as some do: taken for an empty message too
    [b"", b"", b"\x00"],
    [b"\x00", b"", b""],
    [b"\x02\x00"],  # an empty block with fixed codes
    [b"\x01\x00\x00\xff\xff"],  # a final, stored, empty block
    [b"\x03\x00"],
    [b"\x00\x00\x00\xff\xff"] * 100 + [b"\x00"],
]


@pytest.mark.parametrize("pieces", EMPTY)
async def test_d72_empty_messages(pieces, autojump_clock):
    async with server_under_test(deflate=Deflate()) as under_test:
        peer = await opened(under_test)
        for number, piece in enumerate(pieces):
            fin = number == len(pieces) - 1
            rsv = 0 if number else RSV1
            opcode = CONTINUATION if number else TEXT
            await peer.stream.send_all(from_client(opcode, piece, fin=fin, rsv=rsv))
        assert facts([await next_of(peer)]) == [("text", b"")]
        # One byte at a time, each flushed.
        made = zlib.compressobj(9, zlib.DEFLATED, -15)
        for byte in b"bytes":
            data = made.compress(bytes([byte])) + made.flush(zlib.Z_SYNC_FLUSH)
            first = byte == b"bytes"[0]
            await peer.stream.send_all(
                from_client(TEXT if first else 0, data, fin=False, rsv=RSV1 if first else 0)
            )
        await peer.stream.send_all(from_client(CONTINUATION, b"\x00"))
        assert facts([await next_of(peer)]) == [("text", b"bytes")]


async def test_d73_empty_fragments_of_a_compressed_message(autojump_clock):
    start = from_client(TEXT, b"", rsv=RSV1, fin=False)
    more = from_client(CONTINUATION, b"", fin=False)
    endpoint = deflating_server()
    endpoint.receive_data(start + more * 4095)
    assert endpoint.get_next_message() is None
    endpoint.receive_data(more)
    with pytest.raises(PolicyViolation):
        endpoint.get_next_message()
    async with server_under_test(deflate=Deflate()) as under_test:
        await refused(under_test, start + more * 1_000_000, 1008)


#: Offers, and what must come of each: None, or a part of the answer.
OFFERS = [
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
    ("permessage-deflate; unknown", None),
    ("permessage-deflate; server_max_window_bits=7", None),
    ("permessage-deflate; server_max_window_bits=16", None),
    ("permessage-deflate; server_max_window_bits=08", None),
    # A quoted string stands for the token in it (RFC 6455 section 9.1).
    (
        'permessage-deflate; server_max_window_bits="9"',
        "permessage-deflate; server_max_window_bits=9",
    ),
    ("permessage-deflate; server_max_window_bits", None),
    ("permessage-deflate; client_no_context_takeover=1", None),
    ("permessage-deflate; client_max_window_bits=abc", None),
    ("x-webkit-deflate-frame", None),
    ("permessage-deflate; server_max_window_bits=7, permessage-deflate", "permessage-deflate"),
    (
        (
            "permessage-deflate; client_no_context_takeover; unknown,"
            " permessage-deflate; server_max_window_bits=10"
        ),
        "permessage-deflate; server_max_window_bits=10",
    ),
    (", ".join(["permessage-deflate; bad"] * 15 + ["permessage-deflate"]), "permessage-deflate"),
]


@pytest.mark.parametrize(("offer", "expected"), OFFERS)
async def test_d74_offers(offer, expected, autojump_clock):
    async with server_under_test(deflate=Deflate()) as under_test:
        stream = await under_test.connect()
        await stream.send_all(request(Sec_WebSocket_Extensions=offer))
        head = (await read_head(stream))[0].decode().lower()
        assert head.startswith("http/1.1 101")
        if expected is None:
            assert "sec-websocket-extensions" not in head
            await stream.send_all(compressed(b"all the same"))
            assert (await Peer(stream, masks=True).expect_close())[0] == 1002
        else:
            assert f"sec-websocket-extensions: {expected}" in head
            assert "client_no_context_takeover" not in head  # which was in what was declined
            await stream.send_all(compressed(b"hello", TEXT))
            peer = Peer(stream, masks=True)
            assert facts([await next_of(peer)]) == [("text", b"hello")]


async def test_d74_a_hundred_offers(autojump_clock):
    offers = ", ".join(["permessage-deflate; bad"] * 100)
    async with server_under_test(deflate=Deflate()) as under_test:
        response = await under_test.ask(request(Sec_WebSocket_Extensions=offers))
        assert response.status == 431


async def test_d75_windows_of_256_bytes(autojump_clock):
    # Neither side of zlib can compress raw DEFLATE with them: declined, and not at first use.
    async with server_under_test(deflate=Deflate(threshold=0)) as under_test:
        stream = await under_test.connect()
        await stream.send_all(
            request(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=8")
        )
        assert b"Extensions" not in (await read_head(stream))[0]
        # The client's own may be 8: it is inflated with 9.
        peer = await opened(
            under_test,
            request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits=8"),
        )
        data = random.Random(75).randbytes(200) * 3
        await peer.stream.send_all(from_client(BINARY, deflated(data, bits=9), rsv=RSV1))
        frame = await next_of(peer)
        assert zlib.decompressobj(-15).decompress(frame.payload) == data


async def test_d76_contexts_kept_against_the_agreement(autojump_clock):
    offer = (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover;"
        " client_max_window_bits"
    )
    text = b"the same text again and again, longer than the threshold is" * 3
    kept: list[Connection] = []

    async def handler(connection: Connection) -> None:
        kept.append(connection)
        async for message in connection:
            await connection.send(message)

    async with server_under_test(handler, deflate=Deflate(threshold=0)) as under_test:
        peer = await opened(under_test, request(Sec_WebSocket_Extensions=offer))
        # Ours: every message stands alone, and nothing is held between two.
        sizes = []
        for _ in range(3):
            await peer.stream.send_all(compressed(text, TEXT))
            frame = await next_of(peer)
            sizes.append(len(frame.payload))
            assert zlib.decompressobj(-15).decompress(frame.payload) == text
        assert len(set(sizes)) == 1
        extension: Any = kept[0].endpoint.extension
        await trio.testing.wait_all_tasks_blocked()
        assert extension._deflater._compressor is None
        assert extension._inflater._stream is None
        # Theirs: a peer that keeps its context is borne with until it refers back to what we
        # have agreed to forget; then there is nothing to inflate with.
        made = zlib.compressobj(9, zlib.DEFLATED, -15)
        wires = [
            (made.compress(data) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]
            for data in (b"abcdefgh", b"ABCDEFGH", b"zyxwvuts", b"zyxwvuts")
        ]
        for wire in wires[:3]:
            await peer.stream.send_all(from_client(TEXT, wire, rsv=RSV1))
            assert await peer.next_frame() is not None
        await peer.stream.send_all(from_client(TEXT, wires[3], rsv=RSV1))
        assert (await peer.expect_close())[0] == 1007
    # The reverse: a peer that forgets though it need not.
    endpoint = deflating_server()
    for _ in range(3):
        assert judged(endpoint, compressed(text)) == text


async def test_d77_idle_connections(autojump_clock):
    count = 500
    with Traced() as traced:
        made = [PerMessageDeflate(Deflate()) for _ in range(count)]
    each = traced.peak / count
    print(f"D77: {each:.0f} bytes for compression that was never used")
    assert each < 1024
    wire = made[0].encode(b"hello " * 100, final=True)
    with Traced() as traced:
        for extension in made[:50]:
            extension.encode(b"hello " * 100, final=True)
            extension.release()
            extension.feed(wire, final=True)
            while extension.read(65536) is not None:
                pass
        idle = tracemalloc.get_traced_memory()[0] / 50
    print(f"D77: {idle:.0f} bytes for compression that is idle")
    assert idle <= 13 * KIB
    options: Any = {"deflate": Deflate(threshold=0), "heartbeat": None}
    async with connection_pair(handshake=True, client=options, server=options) as (client, ours):
        await client.send("hello " * 100)
        await ours.send(await ours.receive())
        assert await client.receive() == "hello " * 100
        ours_extension: Any = ours.endpoint.extension
        assert ours_extension._deflater._compressor is not None
        await trio.sleep(121)
        assert ours_extension._deflater._compressor is None
        # And it goes on as if nothing had been.
        await client.send("hello " * 100)
        assert await ours.receive() == "hello " * 100


async def test_d78_others_have_their_turns_while_we_inflate(autojump_clock):
    size = 32 * MIB
    bomb = compressed(bytes(size))
    turns = 0
    options = {"deflate": Deflate(max_ratio=None), "limits": Limits(message_size=size)}

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    received = trio.Event()

    async def handler(connection: Connection) -> None:
        assert len(await connection.receive()) == size
        received.set()
        await connection.wait_closed()

    async with server_under_test(handler, **options) as under_test:
        peer = await opened(under_test)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            await peer.stream.send_all(bomb)
            before = turns
            await received.wait()
            print(f"D78: {turns - before} turns within {size // MIB} MiB")
            assert turns - before >= size // (64 * KIB) - 1  # turns between so many steps
            nursery.cancel_scope.cancel()


async def test_d79_secrets(autojump_clock):
    # Off unless asked for.
    async with server_under_test() as under_test:
        stream = await under_test.connect()
        await stream.send_all(OFFER)
        assert b"Extensions" not in (await read_head(stream))[0]
    # And a message can be kept out of it.
    secret = "the secret, the secret, the secret, the secret " * 10

    async def handler(connection: Connection) -> None:
        await connection.send(secret, compress=False)
        await connection.send(secret)
        await hold(connection)

    async with server_under_test(handler, deflate=Deflate()) as under_test:
        peer = await opened(under_test)
        frames = [await peer.next_frame(), await peer.next_frame()]
        assert [frame is not None and frame.rsv for frame in frames] == [0, RSV1]
        assert frames[0] is not None
        assert frames[0].payload == secret.encode()

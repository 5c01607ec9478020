"""No message changes on the way, however it is cut: into chunks, frames, or bytes."""

from __future__ import annotations

from typing import Any, Literal

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio_wsendpoint import Deflate, Frame, Limits, PingFrame

from .helpers import collect, cut, joined, pair, run_under_mock_clock, served

#: Text with characters of every length, and runs that compress.
TEXTS = st.lists(st.sampled_from("aé€😀\x00") | st.text(max_size=3), max_size=40).map("".join)
BINARIES = st.binary(max_size=60) | st.builds(
    lambda part, times: part * times, st.binary(max_size=6), st.integers(0, 60)
)
MESSAGES = TEXTS | BINARIES
CUTS = st.lists(st.integers(0, 1000), max_size=8)
SMALL = Limits(receive_buffer=5, send_buffer=5, fragment_size=7)
DEFLATES = st.none() | st.builds(
    Deflate,
    window_bits=st.sampled_from([9, 15]),
    peer_window_bits=st.sampled_from([9, 15]),
    context_takeover=st.booleans(),
    peer_context_takeover=st.booleans(),
    threshold=st.sampled_from([0, 20]),
    engine=st.sampled_from(["zlib", "isal"]),
)


def examples(count: int) -> settings:
    """Return settings under which a run is the same every time, however slow the machine."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def as_bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


def kind_of(message: str | bytes) -> Literal["text", "binary"]:
    return "text" if isinstance(message, str) else "binary"


@examples(150)
@given(
    st.lists(st.tuples(MESSAGES, CUTS, st.booleans()), min_size=1, max_size=4),
    DEFLATES,
    st.booleans(),
)
def test_sent_in_any_chunks(
    plan: list[tuple[str | bytes, list[int], bool]], deflate: Deflate | None, to_client: bool
) -> None:
    """One of ours sends chunks or messages to another, which takes pieces or messages."""

    async def main() -> None:
        options: dict[str, Any] = {"deflate": deflate, "limits": SMALL}
        async with pair(deflate is not None, **options) as (client, server):
            sender, receiver = (server, client) if to_client else (client, server)

            async def send() -> None:
                for message, cuts, streamed in plan:
                    if not streamed:
                        await sender.send(message)
                        continue
                    places = sorted(place % (len(message) + 1) for place in cuts)
                    async with sender.send_stream(kind_of(message)) as stream:
                        for start, stop in zip([0, *places], [*places, len(message)], strict=True):
                            await stream.send(message[start:stop])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                for message, cuts, _ in plan:
                    if len(cuts) % 2:
                        assert await receiver.receive() == message
                        continue
                    async with receiver.receive_stream() as chunks:
                        assert chunks.type == kind_of(message)
                        pieces = [chunk async for chunk in chunks]
                        assert all(pieces)
                        assert as_bytes(joined(pieces)) == as_bytes(message)

    run_under_mock_clock(main)


@examples(150)
@given(st.lists(st.tuples(MESSAGES, CUTS), min_size=1, max_size=3), CUTS, DEFLATES, st.booleans())
def test_received_in_any_frames_and_bytes(
    plan: list[tuple[str | bytes, list[int]]],
    byte_cuts: list[int],
    deflate: Deflate | None,
    pings: bool,
) -> None:
    """Frames may end anywhere, inside a character too; and so may reads."""

    async def main() -> None:
        options: dict[str, Any] = {"limits": SMALL}
        if deflate is not None:
            options["deflate"] = deflate
        async with served(deflate is not None, **options) as (connection, peer):
            wire = b""
            for message, cuts in plan:
                frames: list[Frame] = []
                for frame in peer.fragments(kind_of(message), *cut(as_bytes(message), cuts)):
                    frames += [frame, PingFrame(b"?")] if pings else [frame]
                wire += peer.to_bytes(*frames)

            async def send() -> None:
                for piece in cut(wire, byte_cuts):
                    await peer.stream.send_all(piece)
                    await trio.sleep(1)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                for message, cuts in plan:
                    if len(cuts) % 3 == 0:
                        assert await connection.receive() == message
                    elif len(cuts) % 3 == 1:
                        assert as_bytes(joined(await collect(connection))) == as_bytes(message)
                    else:
                        async with connection.receive_stream() as chunks:
                            async for chunk in chunks:
                                assert as_bytes(message).startswith(as_bytes(chunk))
                                break  # and the rest is skipped
                await connection.send("still here")

    run_under_mock_clock(main)

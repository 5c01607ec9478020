"""What the tests of streams and of compression share: pairs, and a peer that compresses by hand."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import trio
import trio.testing

from tests.connection.helpers import REQUEST, Peer
from trio_wsendpoint import (
    BinaryFrame,
    Connection,
    ContinuationFrame,
    DataFrame,
    Deflate,
    TextFrame,
    accept_endpoint,
)
from trio_wsendpoint.extensions import DeflateOptions, PerMessageDeflate
from trio_wsendpoint.testing import ConnectionPair, connection_pair

T = TypeVar("T")
Streams = tuple[trio.abc.Stream, trio.abc.Stream]

#: Compresses everything, so that no test passes because its messages are small.
ALWAYS = Deflate(threshold=0)
#: What a client offers for it.
OFFER = "permessage-deflate; client_max_window_bits"

settle = trio.testing.wait_all_tasks_blocked


def run_under_mock_clock(main: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
    """Run a test, or one example, under a clock that passes only when nothing else can happen."""
    options["clock"] = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(main, *args, **options)


def pair(
    deflated: bool = False, *, streams: Streams | None = None, **both: Any
) -> AbstractAsyncContextManager[ConnectionPair]:
    """Connect two of ours; the options are for both of them."""
    if deflated:
        both.setdefault("deflate", ALWAYS)
    options: Any = both
    return connection_pair(handshake=deflated, streams=streams, client=options, server=options)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Return `data` in pieces, cut at the places (taken modulo its length)."""
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:stop] for start, stop in itertools.pairwise(edges)] or [b""]


class DeflatePeer(Peer):
    """A client driven by hand that may compress; `codec` is None if it does not."""

    codec: PerMessageDeflate | None = None

    def fragments(self, kind: str, *payloads: bytes) -> list[DataFrame]:
        """Return the frames of one message, compressed if that was agreed."""
        frames: list[DataFrame] = []
        for number, plain in enumerate(payloads, 1):
            payload, rsv, fin = plain, 0, number == len(payloads)
            if self.codec is not None:
                payload = self.codec.encode(plain, final=fin, flush=not fin)
                rsv = 0 if frames else 0b100
            first = TextFrame if kind == "text" else BinaryFrame
            frames.append((ContinuationFrame if frames else first)(payload, fin=fin, rsv=rsv))
        return frames

    async def send_message(self, kind: str, *payloads: bytes) -> None:
        """Send one message in as many frames as there are payloads."""
        await self.send(*self.fragments(kind, *payloads))

    async def next_data(self) -> tuple[str, bytes]:
        """Return type and payload of the next frame, inflated."""
        frame = await self.next_frame()
        assert isinstance(frame, DataFrame), frame
        payload = frame.payload
        if self.codec is not None:
            self.codec.feed(payload, final=frame.fin)
            payload = b"".join(iter(partial(self.codec.read, 65536), None))
        return frame.type, payload


@asynccontextmanager
async def served(
    deflated: bool = False,
    *,
    offer: str = OFFER,
    streams: Streams | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Connection, DeflatePeer]]:
    """Open a server's connection to a client driven by hand; yield both."""
    ours, theirs = streams or trio.testing.memory_stream_pair()
    request = REQUEST
    if deflated:
        request = request[:-2] + f"Sec-WebSocket-Extensions: {offer}\r\n\r\n".encode()
        options.setdefault("deflate", ALWAYS)
    peer = DeflatePeer(theirs, masks=True)
    await theirs.send_all(request)
    async with accept_endpoint(ours, **options) as connection:
        await peer.read_head()
        if isinstance(connection.endpoint.extension, PerMessageDeflate):
            peer.codec = mirrored(connection.endpoint.extension.agreed)
            peer.parser.first_rsv = 0b100
        yield connection, peer
        await trio.aclose_forcefully(theirs)  # nobody is there to answer our Close frame


def mirrored(agreed: DeflateOptions) -> PerMessageDeflate:
    """Return the other end of what was agreed on."""
    return PerMessageDeflate(
        Deflate(
            window_bits=agreed.peer_window_bits,
            context_takeover=agreed.peer_context_takeover,
            peer_window_bits=agreed.window_bits,
            peer_context_takeover=agreed.context_takeover,
        )
    )


async def collect(connection: Connection) -> list[str | bytes]:
    """Return the pieces of the next message."""
    async with connection.receive_stream() as chunks:
        return [chunk async for chunk in chunks]


def joined(pieces: Iterable[str | bytes]) -> str | bytes:
    """Return the message that the pieces make up."""
    listed = list(pieces)
    if listed and isinstance(listed[0], str):
        return "".join(piece for piece in listed if isinstance(piece, str))
    return b"".join(piece for piece in listed if isinstance(piece, bytes))

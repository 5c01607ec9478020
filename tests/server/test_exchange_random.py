"""Random requests, handlers, cuts and streams: each request is answered in its turn."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import h11
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_wsendpoint import Response, StreamedResponse
from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.http import HttpLimits
from trio_wsendpoint.server.answering import answer_request
from trio_wsendpoint.server.exchange import Exchange
from trio_wsendpoint.server.http_link import HttpLink
from trio_wsendpoint.server.http_request import HttpRequest
from trio_wsendpoint.testing import Faults, memory_stream_pair

from .http_helpers import LOGGER, PEER


@dataclass
class Asked:
    """One request, and what its handler does."""

    method: str
    body: bytes
    framing: str  # "length", "chunked"
    does: str  # "read", "read some", "ignore", "stream", "echo", "wait"


def encode(number, asked):
    head = f"{asked.method} /{number} HTTP/1.1\r\nHost: a\r\n"
    if asked.framing == "chunked":
        pieces = [asked.body[at : at + 700] for at in range(0, len(asked.body), 700)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + body
    return f"{head}Content-Length: {len(asked.body)}\r\n\r\n".encode() + asked.body


class Server:
    """Handles each request as it was asked to."""

    def __init__(self, requests):
        self.requests = requests

    async def handle(self, request):
        asked = self.requests[int(request.path[1:])]
        if asked.does == "echo":
            return StreamedResponse(200, body=self.echo(request))
        if asked.does == "read":
            assert await request.read() == asked.body
        elif asked.does == "read some":
            assert asked.body.startswith(await request.read_some())
        elif asked.does == "wait":
            await trio.sleep(1)
        elif asked.does == "stream":
            return StreamedResponse(200, body=self.pieces(request.path))
        return Response(200, body=request.path)

    async def pieces(self, path):
        for number in range(3):
            yield path.encode()
            await trio.sleep(number / 10)

    async def echo(self, request):
        while data := await request.read_some():
            yield data


def expected(number, asked):
    if asked.method == "HEAD":
        return b""
    if asked.does == "echo":
        return asked.body
    return b"/%d" % number * (3 if asked.does == "stream" else 1)


def answers_in(requests, data, *, is_ended):
    """The bodies of the answers that have come whole, and whether the last one said close."""
    client = h11.Connection(h11.CLIENT)
    client.receive_data(data)
    if is_ended:
        client.receive_data(b"")
    bodies: list[bytes] = []
    for number, asked in enumerate(requests):
        client.send(h11.Request(method=asked.method, target=f"/{number}", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        body = b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                assert event.status_code == 200
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return bodies, False
        bodies.append(body)
        if client.their_state is h11.MUST_CLOSE or client.their_state is h11.CLOSED:
            return bodies, True
        client.start_next_cycle()
    return bodies, False


async def talk(requests, pieces, *, nonblocking, seed, capacity):
    faults = Faults(chop=2000, seed=seed)
    ends = memory_stream_pair(
        nonblocking=nonblocking, capacity=capacity, client=faults, server=faults
    )
    server, came = Server(requests), bytearray()
    wire = b"".join(encode(number, asked) for number, asked in enumerate(requests))
    async with trio.open_nursery() as nursery:
        heartbeat = HeartbeatTask(nursery)
        link = HttpLink(
            ends.server, nursery=nursery, http=HttpLimits(drain=2000), heartbeat=heartbeat
        )

        async def serve():
            while (head := await link.next_request()) is not None:
                failure = await answer_request(
                    HttpRequest(Exchange(link, head), peer=PEER), server.handle, logger=LOGGER
                )
                assert failure is None

        async def send():
            # The server may end before it has taken all.
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                for at in range(0, len(wire), pieces):
                    await ends.client.send_all(wire[at : at + pieces])
                await ends.client.send_eof()

        nursery.start_soon(serve)
        nursery.start_soon(send)
        while more := await ends.client.receive_some(5000):
            came += more
        await ends.client.aclose()
    return bytes(came)


REQUESTS = st.lists(
    st.builds(
        Asked,
        method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
        body=st.integers(0, 6000).map(lambda size: b"0123456789" * (size // 10)),
        framing=st.sampled_from(["length", "chunked"]),
        does=st.sampled_from(["read", "read some", "ignore", "stream", "echo", "wait"]),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


@settings(max_examples=150)
@given(
    requests=REQUESTS,
    pieces=st.sampled_from([37, 1000, 100_000]),
    nonblocking=st.booleans(),
    seed=st.integers(0, 1000),
    capacity=st.sampled_from([500, 65536]),
)
def test_every_request_is_answered_in_its_turn(requests, pieces, nonblocking, seed, capacity):
    async def main():
        with trio.fail_after(200):
            return await talk(
                requests, pieces, nonblocking=nonblocking, seed=seed, capacity=capacity
            )

    came = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    bodies, has_closed = answers_in(requests, came, is_ended=True)
    assert (
        bodies == [expected(number, asked) for number, asked in enumerate(requests)][: len(bodies)]
    )
    assert len(bodies) == len(requests) or has_closed

"""The handshake's part: what two of ours agree on, and what is made of strange offers."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import pytest
import trio

from tests.connection.helpers import REQUEST, response_for
from trio_wsendpoint import (
    BadResponse,
    Connection,
    Deflate,
    Heartbeat,
    Limits,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint.extensions import DeflateOptions, PerMessageDeflate
from trio_wsendpoint.testing import connection_pair

NO_TAKEOVER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TEXT = '{"id": 1, "name": "Ann"}' * 40


def agreed(connection: Connection) -> DeflateOptions:
    """Return what a connection has agreed on."""
    assert isinstance(connection.endpoint.extension, PerMessageDeflate)
    return connection.endpoint.extension.agreed


def answered(connection: Connection) -> str | None:
    """Return the extensions in the server's answer."""
    return connection.response.headers.get("Sec-WebSocket-Extensions")


async def talk(client: Connection, server: Connection) -> None:
    """See that messages pass, more than once, in both directions."""
    for number in range(3):
        for sender, receiver in [(client, server), (server, client)]:
            await sender.send(f"{number}{TEXT}")
            assert await receiver.receive() == f"{number}{TEXT}"


# ---- two of ours -------------------------------------------------------------------------------


@pytest.mark.parametrize("client_has_it", [False, True])
@pytest.mark.parametrize("server_has_it", [False, True])
async def test_off_unless_both_turn_it_on(client_has_it: bool, server_has_it: bool) -> None:
    async with connection_pair(
        handshake=True,
        client={"deflate": Deflate()} if client_has_it else {},
        server={"deflate": Deflate()} if server_has_it else {},
    ) as (client, server):
        offer = server.request.headers.get("Sec-WebSocket-Extensions")
        assert (offer is not None) is client_has_it
        assert (answered(client) is not None) is (client_has_it and server_has_it)
        for connection in client, server:
            assert (connection.endpoint.extension is not None) is (client_has_it and server_has_it)
        await talk(client, server)


@pytest.mark.parametrize(
    ("client_bits", "server_bits"), list(itertools.product([9, 12, 15], repeat=2))
)
async def test_windows_are_agreed_on(client_bits: int, server_bits: int) -> None:
    """Each side compresses with what it wants, or with less if the other wants less."""
    async with connection_pair(
        handshake=True,
        client={"deflate": Deflate(window_bits=client_bits, peer_window_bits=client_bits)},
        server={"deflate": Deflate(window_bits=server_bits, peer_window_bits=server_bits)},
    ) as (client, server):
        smaller = min(client_bits, server_bits)
        for connection in client, server:
            assert agreed(connection).window_bits == smaller
            assert agreed(connection).peer_window_bits == smaller
        await talk(client, server)


TAKEOVERS = list(itertools.product([False, True], repeat=4))


@pytest.mark.parametrize(("client_own", "client_peer", "server_own", "server_peer"), TAKEOVERS)
async def test_takeover_is_agreed_on(
    client_own: bool, client_peer: bool, server_own: bool, server_peer: bool
) -> None:
    """A context is kept if both sides want it kept."""
    async with connection_pair(
        handshake=True,
        client={"deflate": Deflate(context_takeover=client_own, peer_context_takeover=client_peer)},
        server={"deflate": Deflate(context_takeover=server_own, peer_context_takeover=server_peer)},
    ) as (client, server):
        at_client, at_server = agreed(client), agreed(server)
        assert at_client.context_takeover is at_server.peer_context_takeover
        assert at_client.context_takeover is (client_own and server_peer)
        assert at_server.context_takeover is at_client.peer_context_takeover
        assert at_server.context_takeover is (server_own and client_peer)
        await talk(client, server)


async def test_nothing_is_made_by_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    for name in "compressobj", "decompressobj":
        real = getattr(zlib, name)

        def make(*arguments: Any, real: Any = real, name: str = name) -> Any:
            made.append(name)
            return real(*arguments)

        monkeypatch.setattr(zlib, name, make)
    options: Any = {"deflate": Deflate()}
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        assert made == []
        await client.send("short")  # below the threshold: still nothing
        assert await server.receive() == "short"
        assert made == []
        await client.send(TEXT)
        assert await server.receive() == TEXT
        assert made == ["compressobj", "decompressobj"]


# ---- strange clients ---------------------------------------------------------------------------


async def answer_to(offers: str, **options: Any) -> tuple[str | None, Connection]:
    """Return what a server answers to the header, and its connection (closed)."""
    ours, theirs = trio.testing.memory_stream_pair()
    header = f"Sec-WebSocket-Extensions: {offers}\r\n\r\n".encode()
    await theirs.send_all(REQUEST[:-2] + header)
    options.setdefault("deflate", Deflate())
    async with accept_endpoint(ours, **options) as connection:
        await trio.aclose_forcefully(theirs)
    return answered(connection), connection


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=10; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        (
            NO_TAKEOVER,
            f"{NO_TAKEOVER}; server_max_window_bits=12",
        ),
        (
            'permessage-deflate; server_max_window_bits="15"',
            "permessage-deflate; server_max_window_bits=12",
        ),
        (
            "x-webkit-deflate-frame, permessage-deflate",
            "permessage-deflate; server_max_window_bits=12",
        ),
    ],
)
async def test_an_offer_is_answered(offer: str, answer: str) -> None:
    assert (await answer_to(offer))[0] == answer


BAD_OFFERS = [
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=08",
    "permessage-deflate; server_max_window_bits=8",  # zlib cannot
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
    "permessage-deflate; client_no_context_takeover=1",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; turbo",
    "permessage-bzip2",
]


@pytest.mark.parametrize("offer", BAD_OFFERS)
async def test_a_bad_offer_is_declined(offer: str) -> None:
    answer, connection = await answer_to(offer)
    assert answer is None
    assert connection.endpoint.extension is None
    # and the next one is looked at
    answer, connection = await answer_to(f"{offer}, permessage-deflate; client_max_window_bits=9")
    assert answer == "permessage-deflate; server_max_window_bits=12; client_max_window_bits=9"
    assert agreed(connection).peer_window_bits == 9


async def test_the_first_good_offer_is_taken() -> None:
    offers = "permessage-deflate; server_no_context_takeover, permessage-deflate"
    answer, connection = await answer_to(offers)
    assert answer == "permessage-deflate; server_no_context_takeover; server_max_window_bits=12"
    assert not agreed(connection).context_takeover


# ---- strange servers ---------------------------------------------------------------------------


async def connect_to(answer: str, deflate: Deflate | None) -> None:
    """Connect to a server that answers with the header."""
    ours, theirs = trio.testing.memory_stream_pair()
    response = response_for(b"AAAAAAAAAAAAAAAAAAAAAA==")[:-2]
    await theirs.send_all(response + f"Sec-WebSocket-Extensions: {answer}\r\n\r\n".encode())
    options: Any = {"deflate": deflate, "random_bytes": bytes, "stream": ours}
    async with connect_endpoint("ws://example.test/", **options):
        await trio.aclose_forcefully(theirs)


BAD_ANSWERS = [
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=13",  # more than we asked for
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; client_max_window_bits=8",  # zlib cannot
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_no_context_takeover=1",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; turbo",
    "permessage-deflate, permessage-deflate",
    "permessage-bzip2",
]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
async def test_a_bad_answer_fails_the_client(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(zlib, "compressobj")
    monkeypatch.delattr(zlib, "decompressobj")  # nothing is allocated for it
    with pytest.raises(BadResponse):
        await connect_to(answer, Deflate())


async def test_an_answer_to_no_offer_fails_the_client() -> None:
    with pytest.raises(BadResponse):
        await connect_to("permessage-deflate", None)


async def test_an_answer_that_is_right() -> None:
    await connect_to("permessage-deflate", Deflate())


# ---- beside the heartbeat ----------------------------------------------------------------------


async def test_no_heartbeat_is_none_with_compression_either() -> None:
    options: Any = {
        "deflate": Deflate(threshold=0),
        "heartbeat": None,
        "limits": Limits(receive_buffer=100),
    }
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        for number in range(5):
            await client.send(str(number))
        sent = server.statistics().bytes_sent
        await trio.sleep(600)
        assert server.statistics().bytes_sent == sent
        assert [await server.receive() for _ in range(5)] == list("01234")


async def test_a_rare_heartbeat_beside_compression() -> None:
    """The look at what compression holds is more frequent than that, and sends nothing."""
    options: Any = {"deflate": Deflate(threshold=0), "heartbeat": Heartbeat(interval=1000)}
    async with connection_pair(handshake=True, client=options, server=options) as (client, server):
        await client.send("one")
        assert await server.receive() == "one"
        sent = server.statistics().bytes_sent
        await trio.sleep(900)
        assert server.statistics().bytes_sent == sent
        await trio.sleep(200)
        assert server.statistics().bytes_sent > sent

"""Messages as text or bytes, whichever they came as; and what a connection calls itself."""

from __future__ import annotations

import pytest

from tests.connection.helpers import both_forms, half_pair, may_lose, served, settle
from trio_wsendpoint import Limits, broadcast
from trio_wsendpoint.testing import connection_pair

pytestmark = both_forms


async def test_a_message_is_taken_as_text_or_as_bytes() -> None:
    async with connection_pair() as (client, server):
        for value in ("gr\u00fc\u00dfe", "gr\u00fc\u00dfe".encode()):
            await client.send(value)
            assert await server.receive_text() == "gr\u00fc\u00dfe"
            await client.send(value)
            assert await server.receive_bytes() == "gr\u00fc\u00dfe".encode()
        await client.send(b"\xff")
        with pytest.raises(UnicodeDecodeError):
            await server.receive_text()
        await client.send("next")
        assert await server.receive_text() == "next"


@pytest.mark.parametrize("value", ["abc", b"abc", bytearray(b"abc"), memoryview(b"abc")])
async def test_bytes_are_sent_as_text(value: str | bytes | bytearray | memoryview) -> None:
    async with connection_pair() as (client, server):
        await client.send(value, text=True)
        assert await server.receive() == "abc"


async def test_what_is_no_text_is_not_sent_as_one() -> None:
    async with connection_pair() as (client, _):
        with pytest.raises(UnicodeDecodeError):
            await client.send(b"\xff", text=True)
        assert client.statistics().messages_sent == 0


async def test_a_connection_says_which_it_is() -> None:
    async with connection_pair() as (client, server):
        for one in (client, server):
            text = repr(one)
            assert f"#{one.id} " in text
            assert text.endswith("/ open>")
        await client.aclose()
        assert repr(client).endswith(" closed>")


async def test_a_broadcast_tells_a_slow_peer_from_a_sender() -> None:
    ours, theirs = half_pair()
    limits = Limits(send_buffer=1000)
    async with (
        may_lose(),
        served((ours, theirs), limits=limits) as (full, _),
        connection_pair() as (busy, _),
        connection_pair() as (free, other),
    ):
        ours.room = 0
        await full.send(b"x" * 900)
        await settle()  # the writer has this one
        for _ in range(2):
            full.send_nowait(b"x" * 900)
        async with busy.send_stream("text"):
            passed = broadcast([full, busy, free], "news")
        assert list(passed) == [full, busy]
        assert (passed.full, passed.busy) == ((full,), (busy,))
        assert await other.receive() == "news"


async def test_none_is_passed_by() -> None:
    async with connection_pair() as (client, server):
        passed = broadcast([client], "x")
        assert [*passed, *passed.full, *passed.busy] == []
        assert await server.receive() == "x"

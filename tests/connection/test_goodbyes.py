"""A block that is cancelled: what its `finally` can still say, on either side."""

from __future__ import annotations

import pytest
import trio

from tests.connection.helpers import served, settle
from trio_wsendpoint import ConnectionLost
from trio_wsendpoint.testing import connection_pair


@pytest.mark.parametrize("role", ["client", "server"])
async def test_a_shielded_finally_finds_the_connection_open(role: str) -> None:
    async with connection_pair() as pair:
        ours, theirs = pair if role == "client" else pair[::-1]
        with trio.CancelScope() as scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ours.receive)
                    await settle()
                    scope.cancel()
            finally:
                with trio.move_on_after(1, shield=True):
                    await ours.send("bye")
                    await ours.aclose(4001, "cancelled")
        assert scope.cancelled_caught
        assert await theirs.receive() == "bye"
        with pytest.raises(ConnectionLost) as caught:
            await theirs.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "cancelled")


async def test_a_finally_within_the_block_that_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with served() as (connection, peer):
            try:
                scope.cancel()
                await connection.receive()
            finally:
                with trio.move_on_after(1, shield=True):
                    await connection.send("bye")
    assert await peer.rest() == [("text", b"bye"), ("close", b"\x03\xe9")]

"""A block is entered once; what is used outside of it says so."""

from __future__ import annotations

import pytest
import trio

from trio_wsendpoint import Connection, connect_endpoint, reconnecting_endpoint, serve_endpoint
from trio_wsendpoint.entries.block_use import BlockUse


def test_it_is_open_between_open_and_close() -> None:
    use = BlockUse("once")
    with pytest.raises(RuntimeError, match="this cannot send: enter it with `async with` first"):
        use.check_open("this cannot send")
    use.begin()
    assert not use.is_open
    use.open()
    use.check_open("this cannot send")
    use.close()
    with pytest.raises(RuntimeError, match="this cannot send: it is over"):
        use.check_open("this cannot send")


def test_it_is_entered_once_whether_or_not_entering_succeeds() -> None:
    use = BlockUse("it is entered once: make another")
    use.check_new()
    use.begin()
    for again in (use.begin, use.check_new):
        with pytest.raises(RuntimeError, match="it is entered once: make another"):
            again()


def test_a_block_can_be_made_where_trio_does_not_run_yet() -> None:
    """A program makes it, and enters it in `trio.run()`: the command does, to check options."""

    async def handler(connection: Connection) -> None:
        await connection.wait_closed()

    connect_endpoint("ws://server/")
    reconnecting_endpoint("ws://server/")
    server = serve_endpoint(handler, 0)

    async def main() -> None:
        async with server as served:
            assert served.port

    trio.run(main)

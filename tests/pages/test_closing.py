"""The block of docs/closing.md says goodbye although its handler is cancelled."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.pages.blocks import sources_of
from trio_wsendpoint import ConnectionEnded
from trio_wsendpoint.testing import serve_in_memory


async def test_a_cancelled_handler_says_goodbye() -> None:
    [source] = sources_of("docs/closing.md")
    names: dict[str, Any] = {"trio": trio}
    exec(source, names)
    scopes: list[trio.CancelScope] = []

    async def cancelled(connection: Any) -> None:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            await names["handler"](connection)

    async with serve_in_memory(cancelled) as served, served.connect("/") as client:
        await client.send("hello")
        assert await client.receive() == "hello"
        scopes[0].cancel()
        assert await client.receive() == "bye"
        with pytest.raises(ConnectionEnded) as caught:
            await client.receive()
        assert (caught.value.code, caught.value.reason) == (1000, "that was all")

"""Accepting from a socket: in fewer steps than `trio.SocketListener` does it, and as safely."""

from __future__ import annotations

import errno
import logging
import os

import pytest
import trio

from trio_wsendpoint.server.listening import _Accepter, accept_streams

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere Trio's own way is taken")
LOGGER = logging.getLogger("trio_wsendpoint")


async def listen() -> trio.SocketListener:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener


async def connect(listener: trio.SocketListener) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])


async def test_it_leaves_the_descriptor_to_the_listener() -> None:
    async with await listen() as listener:
        accepter = _Accepter(listener)
        async with await connect(listener), await accepter.accept():
            pass
        accepter.let_go()
        del accepter
        async with await connect(listener), await listener.accept():
            pass


async def test_a_listener_that_is_closed_already() -> None:
    listener = await listen()
    await listener.aclose()
    taken: list[object] = []
    await accept_streams(listener, taken.append, LOGGER)
    assert taken == []


async def test_a_listener_that_is_closed_when_somebody_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its number may be somebody else's by then, who is not to lose a connection."""
    listener = await listen()
    accepter = _Accepter(listener)

    async def closed_meanwhile(_: object) -> None:
        listener.socket.close()

    monkeypatch.setattr("trio.lowlevel.wait_readable", closed_meanwhile)
    with pytest.raises(trio.ClosedResourceError):
        await accepter.accept()
    monkeypatch.undo()
    accepter.let_go()
    other = await listen()
    del accepter
    async with other, await connect(other), await other.accept():
        pass


async def test_an_error_is_for_the_listener_to_judge() -> None:
    class Aborted:
        def accept(self) -> None:
            raise OSError(errno.ECONNABORTED, "Software caused connection abort")

    async with await listen() as listener:
        accepter = _Accepter(listener)
        accepter.let_go()
        accepter._socket = Aborted()  # type: ignore[assignment]
        async with await connect(listener), await accepter.accept():
            pass

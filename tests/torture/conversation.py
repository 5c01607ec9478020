"""What the scenarios share: two connections that talk, what arrived, and what must hold of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import trio

from trio_wsendpoint import (
    Connection,
    ConnectionClosed,
    ConnectionLost,
    Deflate,
    HandshakeError,
    Limits,
)
from trio_wsendpoint.testing import Run, connection_pair

Side = Literal["client", "server"]
SIDES: tuple[Side, Side] = ("client", "server")
OTHER: dict[Side, Side] = {"client": "server", "server": "client"}

#: So little that `send` has to wait, and so does reading.
SMALL = Limits(send_buffer=20, fragment_size=100, receive_buffer=600)
#: Virtual seconds: longer than any deadline or heartbeat of a connection.
LONG = 150.0


class Conversation:
    """A client and a server, and what each has sent and received.

    `sent` has a message if `send` has returned, `received` if `receive` has.
    """

    def __init__(self, client: Connection, server: Connection) -> None:
        self.connections: dict[Side, Connection] = {"client": client, "server": server}
        self.sent: dict[Side, list[str | bytes]] = {"client": [], "server": []}
        self.received: dict[Side, list[str | bytes]] = {"client": [], "server": []}
        #: How receiving has ended.
        self.ended: dict[Side, ConnectionClosed] = {}
        self.client = client
        self.server = server

    @property
    def is_open(self) -> bool:
        return self.client.is_open and self.server.is_open

    async def send(self, side: Side, *messages: str | bytes) -> None:
        """Send, and note it in the moment in which `send` has returned."""
        for message in messages:
            await self.connections[side].send(message)
            self.sent[side].append(message)

    async def receive(self, side: Side, count: int = 1) -> None:
        for _ in range(count):
            message = await self.connections[side].receive()
            self.received[side].append(message)

    async def collect(self, side: Side) -> None:
        """Receive until the connection ends."""
        try:
            while True:
                await self.receive(side)
        except ConnectionClosed as error:
            self.ended[side] = error

    # ---- what must hold ----------------------------------------------------------------------

    def check_order(self) -> None:
        """Nothing is torn, doubled, reordered or made up, as far as it has come."""
        for side in SIDES:
            received, sent = self.received[side], self.sent[OTHER[side]]
            assert received == sent[: len(received)], f"{side} got {received} of {sent}"

    def check_whole(self, receiver: Side) -> None:
        """All has arrived."""
        assert self.received[receiver] == self.sent[OTHER[receiver]]

    async def prove(self) -> None:
        """The connection is usable, or closed and says so, on both sides.

        Both sides must be collecting.
        """
        for side in SIDES:
            try:
                with trio.fail_after(LONG):
                    await self.send(side, f"proof of the {side}")
            except ConnectionClosed:
                assert not self.connections[side].is_open
        await self.wait_until(lambda: not self.is_open or self._is_all_received)
        self.check_order()
        if self.is_open:
            self.check_whole("client")
            self.check_whole("server")
        else:
            await self.check_closed()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Look again and again, at first often; raise when it has taken too long."""
        pause = 0.01
        with trio.fail_after(LONG):
            while not condition():
                await trio.sleep(pause)
                pause = min(pause * 2, 5)

    @property
    def _is_all_received(self) -> bool:
        return all(len(self.received[side]) >= len(self.sent[OTHER[side]]) for side in SIDES)

    async def check_closed(self) -> None:
        """Both sides have learned that it is over, and say so."""
        for side in SIDES:
            connection = self.connections[side]
            with trio.fail_after(LONG):
                await connection.wait_closed()
            assert not connection.is_open
            await expect_closed(connection.send, "never")
            if side in self.ended:
                await expect_closed(connection.receive)
        self.check_order()


async def expect_closed(call: Callable[..., Awaitable[Any]], *args: Any) -> None:
    """`call` raises `ConnectionClosed`, at once."""
    try:
        with trio.fail_after(1):
            result = await call(*args)
    except ConnectionClosed:
        return
    raise AssertionError(f"the connection is closed, but {call} returned {result!r}")


async def converse(
    run: Run,
    body: Callable[[Conversation], Awaitable[object]],
    *,
    collect: tuple[Side, ...] = SIDES,
    handshake: bool = False,
    chop: int = 50,
    capacity: int = 200,
    watch: Side = "client",
    deflate: Deflate | None = None,
) -> None:
    """Run `body` over two connections, of which those in `collect` receive all the time."""
    options: Any = {
        "limits": SMALL,
        "deflate": deflate,
        "random_bytes": run.random_bytes,
    }
    streams = run.network.pair(capacity=capacity, client=run.faults(chop), server=run.faults(chop))
    try:
        async with connection_pair(
            streams=streams, handshake=handshake, client=options, server=options
        ) as (client, server):
            talk = Conversation(client, server)
            run.watch(talk.connections[watch])
            async with trio.open_nursery() as nursery:
                for side in collect:
                    nursery.start_soon(talk.collect, side)
                await body(talk)
                nursery.cancel_scope.cancel()
    except HandshakeError:
        if not run.injector.is_injected:
            raise
    except ConnectionLost as error:
        # What strikes may keep from the peer what was committed: the block tells.
        if not (run.injector.is_injected and "could not be sent" in str(error)):
            raise


async def quietly(call: Callable[..., Awaitable[Any]], *args: Any) -> None:
    """Call, and let the end of the connection be no error."""
    try:
        await call(*args)
    except ConnectionClosed:
        pass

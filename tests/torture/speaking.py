"""How one side of a talk sends and receives: in every way that a connection has."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from trio_wsendpoint import Connection, ConnectionClosed, State, broadcast

#: Operations of which so many in a hundred are cancelled, after a few turns of the loop.
CANCELLED = 20


@dataclass(slots=True, eq=False)
class Sent:
    """A message that was to be sent: `began` and `ended` order it among all that happened.

    `is_committed`: True if the call returned, False if it raised, which means that nothing was
    sent; None if that cannot be known.
    """

    text: str
    sender: str
    began: int
    ended: int = 0
    is_committed: bool | None = False


@dataclass(slots=True)
class Came:
    """A message that came; of one that was left early, the beginning."""

    text: str
    is_whole: bool = True


class Speaker:
    """Sends and receives on one connection, as `draw` chooses, and notes what it did.

    `tick` numbers what happens; `pauses`: it may be slow to receive.
    """

    def __init__(
        self, role: str, draw: random.Random, tick: Callable[[], int], *, pauses: bool
    ) -> None:
        self.role = role
        self.sent: list[Sent] = []
        self.came: list[Came] = []
        self.connection: Connection | None = None
        self.end: ConnectionClosed | None = None  # what has ended receiving
        self.has_torn = False  # a message in chunks was left unfinished
        self._draw = draw
        self._tick = tick
        self._senders = draw.choice([0, 1, 1, 2, 3])
        self._messages = draw.choice([1, 3, 8])
        self._pings = draw.choice([0, 0, 1, 3])
        self._largest = draw.choice([5, 200, 4000])
        self._patience = draw.choice([0, 0, 2, 10])  # turns between two operations, at most
        pause = draw.choice([0, 0, 0, 0, 0.01, 0.3, 2])
        self._pause = pause if pauses else 0  # virtual seconds, at times

    async def _turns(self, most: int) -> None:
        for _ in range(self._draw.randint(0, most) if most else 0):
            await trio.lowlevel.checkpoint()

    async def _perhaps_cancelled(self, call: Callable[[], Awaitable[None]]) -> None:
        """Call, and in some cases cancel it after a few turns."""
        if self._draw.randrange(100) >= CANCELLED:
            await call()
            return
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(self._cancel, scope)
                await call()
            nursery.cancel_scope.cancel()

    async def _cancel(self, scope: trio.CancelScope) -> None:
        await self._turns(12)
        scope.cancel()

    # ---- sending -----------------------------------------------------------------------------

    async def _send_all(self, name: str) -> None:
        ways = [self._send, self._send, self._send_stream, self._send_without_waiting]
        try:
            for _ in range(self._messages):
                await self._perhaps_cancelled(lambda: self._draw.choice(ways)(name))
                await self._turns(self._patience)
        except ConnectionClosed:
            return
        except BaseExceptionGroup as group:
            if group.split(ConnectionClosed)[1] is not None:
                raise

    def _new(self, sender: str) -> Sent:
        size = self._draw.randint(0, self._largest)
        text = f"{sender}.{len(self.sent)}:" + self._draw.choice("xyz€") * size
        sent = Sent(text, sender, self._tick())
        self.sent.append(sent)
        return sent

    def _note(self, sent: Sent, *, is_committed: bool | None = True) -> None:
        sent.is_committed = is_committed
        sent.ended = self._tick()

    def _value(self, text: str) -> str | bytes:
        return text if len(text) % 2 else text.encode()

    async def _send(self, sender: str) -> None:
        assert self.connection is not None
        sent = self._new(sender)
        try:
            await self.connection.send(self._value(sent.text))
        except BaseException:
            self._note(sent, is_committed=False)
            raise
        self._note(sent)

    async def _send_stream(self, sender: str) -> None:
        assert self.connection is not None
        sent = self._new(sender)
        try:
            async with self.connection.send_stream("text") as stream:
                rest = sent.text
                while rest:
                    size = self._draw.randint(1, len(rest))
                    await stream.send(rest[:size])
                    rest = rest[size:]
        except BaseException:
            self.has_torn = True  # perhaps: if a chunk has been sent, the connection ends
            self._note(sent, is_committed=False)
            raise
        self._note(sent)

    async def _send_without_waiting(self, sender: str) -> None:
        for _ in range(4):
            await trio.lowlevel.checkpoint()
            if (self._broadcast if self._draw.random() < 0.4 else self._send_now)(sender):
                return

    def _send_now(self, sender: str) -> bool:
        assert self.connection is not None
        sent = self._new(sender)
        try:
            self.connection.send_nowait(self._value(sent.text))
        except (trio.WouldBlock, ConnectionClosed):
            self._note(sent, is_committed=False)
            return False
        self._note(sent)
        return True

    def _broadcast(self, sender: str) -> bool:
        assert self.connection is not None
        sent = self._new(sender)
        # One that is closing is passed over; a callback may be in the middle of that.
        is_open = self.connection.is_open and self.connection.endpoint.state is State.OPEN
        left_out = broadcast([self.connection], self._value(sent.text))
        self._note(sent, is_committed=is_open and not left_out)
        return not left_out

    async def _ping(self) -> None:
        try:
            await self._turns(40)
            await self._perhaps_cancelled(self._ping_once)
        except ConnectionClosed:
            return
        except BaseExceptionGroup as group:
            if group.split(ConnectionClosed)[1] is not None:
                raise

    async def _ping_once(self) -> None:
        assert self.connection is not None
        await self.connection.ping()

    # ---- receiving ---------------------------------------------------------------------------

    async def _receive_all(self, ended: trio.Event) -> None:
        """Receive until the connection ends, in one way after the other."""
        ways = [self._receive, self._receive, self._receive_message, self._receive_stream]
        ways += [self._receive_without_waiting, self._iterate]
        try:
            while True:
                await self._perhaps_cancelled(self._draw.choice(ways))
                await self._turns(self._patience)
                if self._pause and self._draw.random() < 0.3:
                    await trio.sleep(self._pause)
        except ConnectionClosed as error:
            self.end = error
        except BaseExceptionGroup as group:
            if group.split(ConnectionClosed)[1] is not None:
                raise
            self.end = _first_of(group)
        finally:
            ended.set()

    def _take(self, value: str | bytes, *, is_whole: bool = True) -> None:
        text = value if isinstance(value, str) else value.decode(errors="replace")
        self.came.append(Came(text, is_whole))

    async def _receive(self) -> None:
        assert self.connection is not None
        self._take(await self.connection.receive())

    async def _receive_message(self) -> None:
        assert self.connection is not None
        self._take((await self.connection.receive_message()).payload)

    async def _iterate(self) -> None:
        assert self.connection is not None
        async for value in self.connection:
            self._take(value)
            if self._draw.random() < 0.5:
                return

    async def _receive_without_waiting(self) -> None:
        assert self.connection is not None
        await trio.lowlevel.checkpoint()
        try:
            self._take(self.connection.receive_nowait())
        except trio.WouldBlock:
            return

    async def _receive_stream(self) -> None:
        assert self.connection is not None
        pieces: list[str | bytes] = []
        most = self._draw.choice([0, 1, 3, 10_000, 10_000])
        is_whole = is_entered = False
        try:
            async with self.connection.receive_stream() as stream:
                is_entered = True
                while len(pieces) < most:
                    try:
                        pieces.append(await anext(stream))
                    except StopAsyncIteration:
                        is_whole = True
                        break
        except ConnectionClosed:
            is_entered = False  # this message will not come
            raise
        finally:
            if is_entered:
                parts = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
                self._take(b"".join(parts), is_whole=is_whole)


def _first_of(error: BaseException) -> ConnectionClosed | None:
    """Return the first error of a group, however deep."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, ConnectionClosed) else None

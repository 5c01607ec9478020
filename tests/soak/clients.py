"""The other process: everyone who talks to the server that is measured.

`python -m tests.soak.clients PORT CONNECTIONS SECONDS`; when standard input ends all leave, and a
line of JSON says what became of them.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from tests.soak.hostile import Unexpected, attack
from tests.soak.load import ENDINGS, HOSTILE, Mix, Pace
from trio_wsendpoint import (
    Connection,
    ConnectionClosed,
    ConnectionClosedLocally,
    ConnectionEnded,
    Deflate,
    HandshakeError,
    Timeouts,
    connect_endpoint,
)

__all__ = ["Crowd", "main"]

#: Connections that are opened in a second, at first.
RAMP = 200
#: A chat's group.
GROUP = 10
LARGE = random.Random(1).randbytes(1024 * 1024)
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "again")
DEFLATES = (
    Deflate(),
    Deflate(context_takeover=False, peer_context_takeover=False),
    Deflate(window_bits=10, peer_window_bits=10),
)

#: On a machine that is busy with something else they are patient.
PATIENT = Timeouts(open=60, close=60, write=120)

Talk = Callable[[Connection], Awaitable[None]]


class Crowd:
    """All the peers of the server; each stays until `leave` is called."""

    def __init__(self, port: int, pace: Pace, mix: Mix) -> None:
        self.opened = 0
        self.done: Counter[str] = Counter()
        self.unexplained: list[str] = []
        self._port = port
        self._pace = pace
        self._mix = mix
        self._is_leaving = False
        self._stays: set[trio.CancelScope] = set()
        self._random = random.Random(7)

    def leave(self) -> None:
        """Let everyone close and go; an attack under way is finished first."""
        self._is_leaving = True
        for scope in self._stays:
            scope.cancel()

    async def run(self) -> None:
        """Bring all connections up, and return when all have left."""
        mix = self._mix
        peers = [
            *((self._stay, "idle", self._idle, {}) for _ in range(mix.idle)),
            *((self._stay, f"chat/{n // GROUP}", self._chat, {}) for n in range(mix.chat)),
            *((self._stay, "large", self._large, {}) for _ in range(mix.large)),
            *(
                (self._stay, "deflate", self._varied, {"deflate": DEFLATES[n % len(DEFLATES)]})
                for n in range(mix.deflate)
            ),
            *((self._churn, mix.churn) for _ in range(mix.churn)),
            *((self._attack, first) for first in range(mix.hostile)),
        ]
        self._random.shuffle(peers)
        async with trio.open_nursery() as nursery:
            for call, *args in peers:
                nursery.start_soon(call, *args)  # type: ignore[arg-type]
                await trio.sleep(1 / RAMP)

    # ---- the well-behaved --------------------------------------------------------------------

    async def _visit(self, path: str, talk: Talk, **options: Any) -> None:
        """Connect, talk until it is done or time to leave, and close; note any other end."""
        try:
            url = f"ws://127.0.0.1:{self._port}/{path}"
            visit = connect_endpoint(url, heartbeat=None, timeouts=PATIENT, **options)
            async with visit as connection:
                self.opened += 1
                with trio.CancelScope() as stay:
                    self._stays.add(stay)
                    if self._is_leaving:
                        stay.cancel()
                    await talk(connection)
                self._stays.discard(stay)
                await connection.aclose()
                self._check(path, connection)
        except (ConnectionClosed, HandshakeError, OSError) as error:
            self._stays = {scope for scope in self._stays if not scope.cancel_called}
            self.unexplained.append(f"{path}: {error!r}")

    def _check(self, path: str, connection: Connection) -> None:
        """Note a closing handshake that was not one of 1000 from both sides."""
        try:
            connection.receive_nowait()
        except (ConnectionClosedLocally, ConnectionEnded) as error:
            codes = error.sent and error.sent.code, error.received and error.received.code
            if codes == (1000, 1000):
                self.done[path.split("/", maxsplit=1)[0]] += 1
                return
        self.unexplained.append(f"{path}: {connection!r} after aclose()")

    async def _stay(self, path: str, talk: Talk, options: dict[str, Any]) -> None:
        if not self._is_leaving:
            await self._visit(path, talk, **options)

    async def _idle(self, connection: Connection) -> None:
        await connection.receive()

    async def _chat(self, connection: Connection) -> None:
        while True:
            with trio.move_on_after(self._pace.chat * self._random.uniform(0.5, 1.5)):
                while True:
                    await connection.receive()
            await connection.send("hello from somebody")

    async def _large(self, connection: Connection) -> None:
        while True:
            await trio.sleep(self._pace.large * self._random.uniform(0.5, 1.5))
            while self._pace.is_quiet:
                await trio.sleep(self._pace.sample / 10)
            await self._echo(connection, LARGE)

    async def _varied(self, connection: Connection) -> None:
        while True:
            await trio.sleep(self._pace.deflate * self._random.uniform(0.5, 1.5))
            size = self._random.choice((3, 100, 1000, 3000))
            if self._random.random() < 0.2:
                await self._echo(connection, self._random.randbytes(size))
            else:
                await self._echo(connection, " ".join(self._random.choices(WORDS, k=size)))

    async def _churn(self, slots: int) -> None:
        while not self._is_leaving:
            path = self._random.choice(("churn", "bye"))

            async def talk(connection: Connection, path: str = path) -> None:
                for number in range(3):
                    await self._echo(connection, f"message {number}")
                await trio.sleep(slots / self._pace.closes * self._random.uniform(0.5, 1.5))
                if path == "bye":
                    await self._say_bye(connection)

            # Cancelled out of `talk`, one that was to say bye closes as the others do.
            await self._visit(path, talk)

    async def _say_bye(self, connection: Connection) -> None:
        """Have the server close; it answers first."""
        with trio.CancelScope(shield=True):
            await self._echo(connection, "bye")
            try:
                await connection.receive()
            except ConnectionEnded:
                return
        raise AssertionError("the server was to close")

    async def _echo(self, connection: Connection, message: str | bytes) -> None:
        await connection.send(message)
        answer = await connection.receive()
        if answer != message:
            self.unexplained.append(f"an echo of {message[:20]!r} was {answer[:20]!r}")

    # ---- the others --------------------------------------------------------------------------

    async def _attack(self, first: int) -> None:
        turn = first
        while not self._is_leaving:
            name = HOSTILE[turn % len(HOSTILE)]
            turn += 1
            try:
                await attack(name, self._port, self._pace)
                self.done[f"hostile/{name}"] += 1
                self.opened += f"hostile/{name}" in ENDINGS
            except (Unexpected, OSError) as error:
                self.unexplained.append(f"hostile: {error!r}")
            await trio.sleep(self._mix.hostile / self._pace.attacks * self._random.random())


async def _crowd(port: int, connections: int, seconds: float) -> None:
    crowd = Crowd(port, Pace.of(seconds), Mix.of(connections))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await trio.to_thread.run_sync(sys.stdin.read)
        crowd.leave()
    told = {"opened": crowd.opened, "done": crowd.done, "unexplained": crowd.unexplained}
    print(json.dumps(told), flush=True)


def main(port: int, connections: int, seconds: float) -> None:
    """Visit the server until standard input ends, and say what became of it."""
    trio.run(_crowd, port, connections, seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))

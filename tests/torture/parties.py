"""One side of a talk: what it sends, receives and does, and what it has learned."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from tests.torture.speaking import Speaker
from trio_wsendpoint import (
    ClientEndpoint,
    CloseFrame,
    Connection,
    ConnectionClosed,
    PingFrame,
    PongFrame,
    ServerEndpoint,
)

#: How a side ends a talk: most often it leaves its block in order.
ENDS = ["leave"] * 3 + ["aclose", "aclose twice", "aclose cancelled", "raise", "cancel"]
#: Virtual seconds in which nothing comes, after which something is stuck.
STILL = 10.0


class Party(Speaker):
    """One side, which follows a plan that `draw` makes.

    `leaves` says how it ends the talk, one of `ENDS`; or "" if it stays until the other side has
    ended it.
    """

    def __init__(
        self,
        role: str,
        draw: random.Random,
        tick: Callable[[], int],
        *,
        leaves: str,
        pauses: bool = True,
    ) -> None:
        super().__init__(role, draw, tick, pauses=pauses)
        self.leaves = leaves
        #: What the block has raised, and what the opening did instead.
        self.exit: BaseException | None = None
        self.refusal: BaseException | None = None
        self.faults: list[str] = []
        self.stuck: list[str] = []  # what did not come while the wire was right
        self.is_leaving = False
        self.has_raised = False  # in a callback
        self._is_patient = draw.random() < 0.5
        self._is_own_class = draw.random() < 0.3
        self._actions = self._draw_actions()
        self._said = 0

    def __str__(self) -> str:
        actions = ", ".join(f"{number}. {what}" for number, what in self._actions.items()) or "none"
        return (
            f"{self.role}: {self._senders} senders of {self._messages} messages to"
            f" {self._largest} letters, {self._pings} pings, callbacks {actions};"
            f" pauses {self._pause} s; ends: {self.leaves or 'stays'}"
        )

    # ---- callbacks ---------------------------------------------------------------------------

    def _draw_actions(self) -> dict[int, str]:
        """Draw which of its callbacks, counted from 1, do something, and what."""
        if self._draw.random() < 0.4:
            return {}
        kinds = ["send", "send", "send", "broadcast"]
        if self._draw.random() < 0.3:
            kinds += ["close", "raise"]
        return {self._draw.randint(1, 16): self._draw.choice(kinds) for _ in range(8)}

    @property
    def options(self) -> dict[str, Any]:
        """The callbacks, for the connection: the functions, and the endpoint's own."""
        party = self

        class Overrides:
            """What a subclass of an endpoint may override."""

            def on_ping(self, frame: PingFrame) -> None:
                super().on_ping(frame)  # type: ignore[misc]
                party.act(frame)

            def on_pong(self, frame: PongFrame) -> None:
                super().on_pong(frame)  # type: ignore[misc]
                party.act(frame)

            def on_close(self, frame: CloseFrame) -> None:
                party.act(frame)
                super().on_close(frame)  # type: ignore[misc]

        base = ClientEndpoint if self.role == "client" else ServerEndpoint
        given: dict[str, Any] = {"on_data_frame": self.act, "before_send_frame": self.act}
        if self._is_own_class:
            given["endpoint_class"] = type("Own", (Overrides, base), {})
        return given

    def act(self, frame: object) -> None:
        """Do what the plan says for this callback, if it says something."""
        if self.connection is None:
            return
        self._said += 1
        match self._actions.get(self._said):
            case "send":
                self._send_now(f"{self.role}.callback")
            case "broadcast":
                self._broadcast(f"{self.role}.callback")
            case "close":
                with contextlib.suppress(RuntimeError):  # the block is being left already
                    self._nursery.start_soon(self._close_shielded)
                    self.is_leaving = True
            case "raise":
                self.has_raised = True
                raise ZeroDivisionError("a callback of the app has raised")
            case _:
                return

    # ---- the whole ---------------------------------------------------------------------------

    async def run(self, context: AbstractAsyncContextManager[Connection], other: Party) -> None:
        """Open, talk, and end as the plan says; raises nothing that it expects."""
        with trio.CancelScope() as scope:
            try:
                async with context as self.connection, trio.open_nursery() as self._nursery:
                    await self._talk(self._nursery, scope, other)
                    self._nursery.cancel_scope.cancel()
                    if self.leaves == "raise" and self.is_leaving:
                        raise ZeroDivisionError("the block has raised")
            except BaseException as error:
                self._note_exit(error)
                if isinstance(error, trio.Cancelled):
                    raise
        if self.connection is not None:
            await self._check_closed(self.connection)

    def _note_exit(self, error: BaseException) -> None:
        if isinstance(error, trio.Cancelled):
            return
        if self.connection is None:
            self.refusal = error
            return
        rest: BaseException | None = error
        if isinstance(error, BaseExceptionGroup):
            rest = error.split((ConnectionClosed, ZeroDivisionError, trio.Cancelled))[1]
        elif isinstance(error, (ConnectionClosed, ZeroDivisionError)):
            self.exit, rest = error, None
        if rest is not None:
            self.faults.append(f"{self.role}: out of the block came {rest!r}")

    async def _talk(self, nursery: trio.Nursery, scope: trio.CancelScope, other: Party) -> None:
        ended = trio.Event()
        nursery.start_soon(self._receive_all, ended)
        async with trio.open_nursery() as senders:
            for number in range(self._senders):
                senders.start_soon(self._send_all, f"{self.role}{number}")
            for _ in range(self._pings):
                senders.start_soon(self._ping)
            if self.leaves and self._draw.random() < 0.3:
                await self._turns(60)  # in the middle of it
                await self._end(scope)
        if not self.leaves:
            await ended.wait()
        elif not self.is_leaving:
            await self._turns(30)
            if self._is_patient:
                await self._wait_for_all(other)
            await self._end(scope)

    async def _wait_for_all(self, other: Party) -> None:
        """Wait until all that both sides have committed has come, while something comes.

        Nothing else is said meanwhile: what has been left lying is found.
        """
        pair = (self, other)
        while all(party.is_open for party in pair):
            late = [each.role for each, of in (pair, pair[::-1]) if not each.has_all_of(of)]
            before = [party.progress for party in pair]
            if not late:
                return
            await trio.sleep(STILL)
            if before == [party.progress for party in pair]:
                self.stuck.append(f"nothing moves, and messages for {late} have not come")
                return

    @property
    def is_open(self) -> bool:
        return self.connection is not None and self.connection.is_open

    @property
    def progress(self) -> tuple[int, int]:
        """How many messages have come, and how many bytes."""
        came = 0 if self.connection is None else self.connection.statistics().bytes_received
        return len(self.came), came

    def has_all_of(self, other: Party) -> bool:
        """Whether as many messages have come as the other side has committed."""
        return len(self.came) >= sum(one.is_committed is True for one in other.sent)

    async def _end(self, scope: trio.CancelScope) -> None:
        self.is_leaving = True
        if self.leaves == "aclose":
            await self._close()
        elif self.leaves == "aclose twice":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._close)
                nursery.start_soon(self._close)
        elif self.leaves == "aclose cancelled":
            self.has_torn = True  # perhaps: what has not left then is lost
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as inner:
                    nursery.start_soon(self._cancel, inner)
                    await self._close()
        elif self.leaves == "cancel":
            scope.cancel()
            await trio.lowlevel.checkpoint()

    async def _close(self) -> None:
        assert self.connection is not None
        await self.connection.aclose()

    async def _close_shielded(self) -> None:
        """Close, though the block is left meanwhile: a cancelled `aclose` waits for nothing."""
        with trio.CancelScope(shield=True):
            await self._close()

    async def _check_closed(self, connection: Connection) -> None:
        """All is over, whatever is asked."""
        with trio.move_on_after(1) as scope:
            await connection.wait_closed()
            for call in (connection.send, connection.ping, connection.receive):
                try:
                    await call(*(["never"] if call == connection.send else []))
                except ConnectionClosed:
                    continue
                if call != connection.receive:  # which may have some left that came before
                    self.faults.append(f"{self.role}: {call.__name__} after the end is let pass")
        if scope.cancelled_caught:
            self.faults.append(f"{self.role}: not all is over after the block")
        if connection.is_open:
            self.faults.append(f"{self.role}: is open after the block")

"""Two connections that talk, over any wire, with all that may go wrong, drawn from a seed.

What must hold: each message that was committed comes once and in order, or both sides are told
that it may not have; one whose sending was cancelled does not come; nothing hangs, leaks or is
logged without need.  `check` does one; `python -m tests.torture --talk SEED` repeats it.

Over memory a seed repeats exactly; over sockets the system has its part in it.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import itertools
import logging
import random
import re
import traceback
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import trio

from tests.torture.opening import contexts
from tests.torture.parties import ENDS, Party
from tests.torture.speaking import Came, Sent
from tests.torture.wires import MEMORY, Wire
from trio_wsendpoint import (
    Connection,
    ConnectionEnded,
    Deflate,
    Heartbeat,
    Limits,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint.testing import run_with_schedule, seeded_bytes
from trio_wsendpoint.testing.surroundings import (
    note_complaints,
    note_records,
    open_descriptors,
)

#: Virtual seconds within which every talk has ended, whatever happens: a peer that has fallen
#: silent is given up after a minute, and what waits for it in closing some seconds later.
DEADLINE = 150.0
#: Real seconds after which one talk has hung for real, and is shown.
STUCK = 600
#: Of so many seeds one is over TLS, which costs more than all the rest of a talk.
EVERY_TLS = 12


@dataclass(slots=True)
class Talk:
    """A plan, and what came of it."""

    seed: int
    wire: Wire
    client: Party
    server: Party
    options: dict[str, Any]
    faults: list[str] = field(default_factory=list[str])

    @classmethod
    def plan(cls, seed: int) -> Talk:
        draw = random.Random(seed)
        tick = functools.partial(next, itertools.count(1))
        wire = Wire.draw(draw, tls=seed % EVERY_TLS == 0)
        how = [draw.choice(ENDS) for _ in range(2)]
        stays = draw.choice([0, 1, 2])
        if stays < 2:
            how[stays] = ""
        options: dict[str, Any] = {
            "limits": draw.choice(
                [
                    Limits(),
                    Limits(send_buffer=20, fragment_size=100, receive_buffer=600),
                    Limits(send_buffer=2000, fragment_size=700, receive_buffer=100),
                ]
            ),
            "deflate": draw.choice([None, None, Deflate(), Deflate(context_takeover=False)]),
            "heartbeat": draw.choice([Heartbeat(), Heartbeat(interval=5), None]),
        }
        if wire.form in MEMORY and not wire.is_slow and draw.random() < 0.2:
            options["heartbeat"] = Heartbeat(interval=0.05)  # elsewhere it gives up at once
        if wire.breaks and options["heartbeat"] is None:
            options["heartbeat"] = Heartbeat()  # else a silent peer is waited for, as was asked
        client, server = (
            Party(
                role,
                random.Random(draw.random()),
                tick,
                leaves=leaves,
                pauses=wire.form != "small tcp",  # each would take long
            )
            for role, leaves in zip(("client", "server"), how, strict=True)
        )
        return cls(seed, wire, client, server, options)

    def __str__(self) -> str:
        wire = self.wire
        tls = (" under TLS of ours" if wire.own_tls else " under Trio's TLS") * wire.is_tls
        lines = [
            f"talk {self.seed}, over {wire.form}{tls}",
            f"capacity {wire.capacity}",
            f"client's {wire.client}",
            f"server's {wire.server}",
            f"{self.options}",
            str(self.client),
            str(self.server),
            *self.faults,
            f"to repeat it: python -m tests.torture --talk {self.seed}",
        ]
        return "\n  ".join(_short(line) for line in lines)

    # ---- doing it ----------------------------------------------------------------------------

    async def run(self) -> None:
        with trio.move_on_after(DEADLINE) as scope:
            async with trio.open_nursery() as nursery:
                contexts = self._contexts()
                nursery.start_soon(self.client.run, contexts[0], self.server)
                nursery.start_soon(self.server.run, contexts[1], self.client)
        if scope.cancelled_caught:
            self.faults.append(f"no end after {DEADLINE:g} virtual s")
        self.wire.close()
        left = self.wire.network.open_streams
        if left:
            self.faults.append(f"left open: {left}")

    def _contexts(self) -> tuple[AbstractAsyncContextManager[Connection], ...]:
        client, server = self.wire.connect()
        given: dict[str, Any] = {"random_bytes": seeded_bytes(self.seed), **self.options}
        url = "ws://example.test/"
        secure: dict[str, Any] = {}
        if self.wire.is_tls:
            url, secure = "wss://example.test/", {"ssl_context": contexts()[0]}
        return (
            connect_endpoint(url, stream=client, **secure, **given, **self.client.options),
            accept_endpoint(server, **given, **self.server.options),
        )

    # ---- judging it --------------------------------------------------------------------------

    def judge(self) -> None:
        """Note all that does not hold."""
        self.faults += self.client.faults + self.server.faults
        if not self.wire.breaks:
            self.faults += self.client.stuck + self.server.stuck
        self._judge_way(self.client, self.server)
        self._judge_way(self.server, self.client)
        for party in (self.client, self.server):
            if party.refusal is not None and not self.wire.breaks:
                self.faults.append(f"{party.role}: no connection: {party.refusal!r}")

    def _judge_way(self, sender: Party, receiver: Party) -> None:
        """Judge what came of what `sender` has sent."""
        matched: list[Sent] = []
        unknown = 0
        for came in receiver.came:
            if ":" not in came.text and not came.is_whole:
                unknown += 1  # it was left before it said what it is
                continue
            found = _find(sender.sent, matched, came)
            if found is None:
                self.faults.append(f"{receiver.role} got what was not sent, or twice: {_cut(came)}")
                continue
            if found.is_committed is False and came.is_whole:
                self.faults.append(f"{receiver.role} got what was refused: {_cut(found)}")
            matched.append(found)
        for earlier, later in itertools.pairwise(matched):
            if later.ended and later.ended < earlier.began:
                self.faults.append(
                    f"{receiver.role} got {_cut(earlier)} before {_cut(later)}, which was first"
                )
        committed = [one for one in sender.sent if one.is_committed]
        missing = len([one for one in committed if one not in matched]) - unknown
        if missing > 0:
            self._judge_loss(sender, receiver, missing)

    def _judge_loss(self, sender: Party, receiver: Party, count: int) -> None:
        """Messages are missing: is that in order, or has each side been told?"""
        if receiver.is_leaving or receiver.refusal is not None:
            return  # it discards what it has not taken; or has never been open
        what = f"{count} messages of the {sender.role} did not come"
        is_violent = self.wire.breaks or any(
            party.has_raised or party.has_torn for party in (sender, receiver)
        )
        if not is_violent and sender.leaves != "cancel":
            self.faults.append(f"{what}; {sender.role}: {_told(sender)}, {_told(receiver)}")
        elif receiver.end is None or isinstance(receiver.end, ConnectionEnded):
            self.faults.append(f"{what}, and the {receiver.role} was not told: {receiver.end!r}")
        elif not sender.is_leaving and isinstance(sender.end, ConnectionEnded):
            self.faults.append(f"{what}, and the {sender.role} was not told: {sender.end!r}")


def _find(sent: list[Sent], matched: list[Sent], came: Came) -> Sent | None:
    """Return the message that came, which is known by its beginning, or None."""
    for one in sent:
        if one not in matched and (
            one.text == came.text if came.is_whole else _begins(one.text, came.text)
        ):
            return one
    return None


def _begins(text: str, beginning: str) -> bool:
    # A binary piece may end within a character.
    return text.encode().startswith(beginning.rstrip("\ufffd").encode())


def _short(line: str) -> str:
    """Leave out of options what is as always."""
    return re.sub(r"\b(\w+=None|slow=0\.0|message_size=\d+|head_\w+=\d+|fragments=\d+), ", "", line)


def _cut(one: Sent | Came) -> str:
    return repr(one.text[:30])


def _told(party: Party) -> str:
    return f"the {party.role} was told {party.end!r}, its block raised {party.exit!r}"


def check(seed: int) -> str:
    """Do the talk of a seed; return what did not hold and how to repeat it, "" if all held."""
    faulthandler.dump_traceback_later(STUCK, exit=True)
    try:
        return talk(Talk.plan(seed))
    finally:
        faulthandler.cancel_dump_traceback_later()


def talk(plan: Talk) -> str:
    """Do one talk, as `check`."""
    records: list[logging.LogRecord] = []
    complaints: list[str] = []
    contexts()  # which opens files, the first time
    descriptors = open_descriptors()
    with note_records(records), note_complaints(complaints):
        try:
            run_with_schedule(plan.run, seed=plan.seed, autojump_threshold=plan.wire.quiet)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            plan.faults.append("".join(traceback.format_exception(error)))
        plan.judge()
        for party in (plan.client, plan.server):
            party.connection = party.end = party.exit = party.refusal = None
        gc.collect()
    has_raised = plan.client.has_raised or plan.server.has_raised
    for record in records:
        is_meant = has_raised and "internal error" in record.getMessage()
        if record.levelno > logging.INFO and not is_meant:
            cause = record.exc_info[1] if record.exc_info else None
            plan.faults.append(f"logged: {record.getMessage()}: {cause!r}")
    plan.faults += complaints
    if open_descriptors() != descriptors:
        plan.faults.append(f"{open_descriptors() - descriptors} descriptors were left")
    return str(plan) if plan.faults else ""

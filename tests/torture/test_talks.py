"""Two connections that talk, with fifty seeds; `python -m tests.torture --talks` takes more."""

from __future__ import annotations

import itertools
import random

import pytest
import trio

from tests.torture import talks
from tests.torture.parties import Party
from tests.torture.speaking import Came, Sent
from tests.torture.talks import Talk, check
from tests.torture.wires import FORMS, Wire
from trio_wsendpoint import ConnectionEnded, ConnectionLost
from trio_wsendpoint.protocol.closing import Closing

#: Fifty, and those of others that have found something.
SEEDS = (*range(50), 227, 736, 1769, 2035)


@pytest.mark.parametrize("seed", SEEDS)
def test_talks(seed: int) -> None:
    assert check(seed) == ""


def test_a_plan_is_the_same_each_time() -> None:
    assert str(Talk.plan(8)) == str(Talk.plan(8)) != str(Talk.plan(9))


def test_the_plans_cover_every_wire() -> None:
    wires = [Talk.plan(seed).wire for seed in range(1200)]
    assert {wire.form for wire in wires} == set(FORMS)
    assert {wire.form for wire in wires if wire.is_tls} == set(FORMS)
    assert any(wire.breaks for wire in wires)


# ---- what is found -----------------------------------------------------------------------------


def judged(
    sent: list[Sent],
    came: list[str | Came],
    *,
    leaves: str = "leave",
    is_broken: bool = False,
    end: type[ConnectionEnded | ConnectionLost] = ConnectionEnded,
) -> list[str]:
    """Judge what a server got of what a client sent, which then ended the talk."""
    numbers = itertools.count(1)
    client, server = (
        Party(role, random.Random(1), lambda: next(numbers), leaves=how)
        for role, how in (("client", leaves), ("server", ""))
    )
    client.is_leaving = True
    client.sent = sent
    server.came = [one if isinstance(one, Came) else Came(one) for one in came]
    server.end = end("", Closing())
    talk = Talk(0, Wire("waiting", is_tls=False, breaks=is_broken), client, server, {})
    talk.judge()
    return talk.faults


def sent(*texts: str, is_committed: bool | None = True) -> list[Sent]:
    """Messages that were sent one after the other."""
    return [
        Sent(text, "client", 2 * number + 1, 2 * number + 2, is_committed)
        for number, text in enumerate(texts)
    ]


def test_all_in_order_is_right() -> None:
    assert judged(sent("a:", "b:"), ["a:", "b:"]) == []


def test_what_was_sent_at_once_may_come_in_either_order() -> None:
    both = [Sent("a:", "client", 1, 3, True), Sent("b:", "client", 2, 4, True)]
    assert judged(both, ["b:", "a:"]) == []


def test_a_beginning_is_enough_if_the_rest_was_skipped() -> None:
    assert judged(sent("a:xyz"), [Came("a:x", is_whole=False)]) == []
    assert judged(sent("a:xyz"), [Came("", is_whole=False)]) == []


@pytest.mark.parametrize(
    ("messages", "came", "fault"),
    [
        (sent("a:", "b:"), ["b:", "a:"], "got 'b:' before 'a:', which was first"),
        (sent("a:"), ["a:", "a:"], "got what was not sent, or twice: 'a:'"),
        (sent("a:"), ["a:", "b:"], "got what was not sent, or twice: 'b:'"),
        (sent("a:xyz"), ["a:x", "a:xyz"], "got what was not sent, or twice: 'a:x'"),
        (sent("a:", is_committed=False), ["a:"], "got what was refused: 'a:'"),
        (sent("a:", "b:"), ["a:"], "1 messages of the client did not come"),
        (sent("a:", "b:"), [Came("a:", is_whole=False)], "1 messages of the client did not come"),
    ],
)
def test_what_does_not_hold_is_found(
    messages: list[Sent], came: list[str | Came], fault: str
) -> None:
    [found] = judged(messages, came)
    assert fault in found


def test_a_loss_that_was_told_is_right_if_the_wire_broke() -> None:
    assert judged(sent("a:"), [], is_broken=True, end=ConnectionLost) == []
    [found] = judged(sent("a:"), [], is_broken=True)
    assert "the server was not told" in found
    assert judged(sent("a:"), [], leaves="cancel", end=ConnectionLost) == []


def test_a_hang_is_found(monkeypatch) -> None:
    async def hang(self, context, other) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(Party, "run", hang)
    monkeypatch.setattr(Wire, "connect", lambda self: (None, None))
    monkeypatch.setattr(talks, "accept_endpoint", lambda *_, **options: None)
    monkeypatch.setattr(talks, "connect_endpoint", lambda *_, **options: None)
    assert "no end after 150 virtual s" in check(8)


def test_a_stream_that_is_left_open_is_found(monkeypatch) -> None:
    async def leave(self, context, other) -> None:
        return

    monkeypatch.setattr(Party, "run", leave)
    seed = next(seed for seed in range(1, 99) if Talk.plan(seed).wire.form == "waiting")
    told = check(seed)
    assert "left open: " in told
    assert f"to repeat it: python -m tests.torture --talk {seed}" in told

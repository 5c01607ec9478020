"""The soak, as far as a few seconds can tell, and what its figures are taken for."""

from __future__ import annotations

import math
import random
import sys

import pytest

from tests.soak.__main__ import main, soak
from tests.soak.hostile import masked
from tests.soak.load import ENDINGS, HOSTILE, Mix, Pace, ending, kind_of
from tests.soak.verdict import judge, slope
from trio_wsendpoint import (
    BinaryFrame,
    ConnectionClosed,
    ConnectionEnded,
    ConnectionLost,
    Parser,
    PingFrame,
)
from trio_wsendpoint.testing import connection_pair

linux = pytest.mark.skipif(sys.platform != "linux", reason="the figures are Linux's")


# ---- a few seconds of it -----------------------------------------------------------------------


@linux
def test_a_short_soak(capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = {outcome.name: outcome for outcome in soak(6, 40)}
    told = capfd.readouterr().out
    memory = outcomes.pop("memory, KiB per 1,000 closed")
    assert memory.verdict != "broken", told
    assert {outcome.verdict for outcome in outcomes.values()} == {"holds"}, told
    assert int(outcomes["handlers that ended"].measured) > 0, told
    for kind in ENDINGS:
        assert f"  {kind}: " in told, told


@linux
def test_a_bound_that_is_broken_is_told(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = list(judge(REST, GROWING, REST | {"tasks": 6}, CLIENTS))
    monkeypatch.setattr("tests.soak.__main__.soak", lambda seconds, connections: broken)
    assert main([]) == 1
    told = capfd.readouterr().out
    assert told.endswith("BROKEN: memory, KiB per 1,000 closed, tasks at the end\n")
    monkeypatch.setattr("tests.soak.__main__.soak", lambda seconds, connections: [])
    assert main([]) == 0


# ---- the verdict -------------------------------------------------------------------------------

REST = {
    "blocks": 100_000,
    "descriptors": 11,
    "tasks": 5,
    "open": 0,
    "opening": 0,
    "closed": 100,
    "opened": 100,
    "unexplained": [],
}
CLIENTS = {"opened": 100, "unexplained": []}


def samples(rate: float, noise: float, closed: int = 100_000) -> list[dict[str, float]]:
    """Samples of a server that grows by `rate` KiB for every 1,000 of its closed connections."""
    chance = random.Random(3)
    return [
        {"closed": n, "private": 50_000 + rate * n / 1000 + chance.uniform(-noise, noise)}
        for n in range(0, closed, closed // 100)
    ]


GROWING = samples(50, 100)


@pytest.mark.parametrize("rate", [-3.0, 0.0, 7.5, 50.0])
def test_the_slope_is_that_of_the_samples(rate: float) -> None:
    exact = slope(samples(rate, 0), "private")
    assert exact.rate == pytest.approx(rate)
    assert exact.error == pytest.approx(0, abs=1e-6)
    rough = slope(samples(rate, 300), "private")
    assert abs(rough.rate - rate) < 3 * rough.error < 3.0


def test_two_samples_have_no_slope() -> None:
    assert slope(GROWING[:2], "private").error == math.inf
    assert slope([GROWING[0]] * 5, "private").error == math.inf


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (samples(0, 500), "holds"),
        (samples(9, 10), "holds"),
        (samples(12, 10), "broken"),
        (GROWING, "broken"),
        (samples(200, 100, closed=2000), "undecided, run for longer"),
        (samples(5000, 100, closed=2000), "broken"),
        ([], "undecided, run for longer"),
    ],
)
def test_growth(measured: list[dict[str, float]], verdict: str) -> None:
    first, *others = judge(REST, measured, REST, CLIENTS)
    assert first.verdict == verdict
    assert {outcome.verdict for outcome in others} == {"holds"}


@pytest.mark.parametrize(
    ("after", "clients", "name"),
    [
        ({"descriptors": 12}, {}, "descriptors at the end"),
        ({"tasks": 4}, {}, "tasks at the end"),
        ({"blocks": 102_003}, {}, "objects more at the end"),
        ({"open": 1}, {}, "connections at the end"),
        ({"opening": 1}, {}, "connections at the end"),
        ({"closed": 99}, {}, "handlers that ended"),
        ({}, {"opened": 101}, "connections opened, by the server"),
        ({"unexplained": ["?"]}, {}, "unexplained closes"),
        ({}, {"unexplained": ["?"]}, "unexplained closes"),
    ],
)
def test_what_is_not_exact_is_broken(after, clients, name) -> None:
    outcomes = judge(REST, samples(0, 1), REST | after, CLIENTS | clients)
    assert [outcome.name for outcome in outcomes if outcome.verdict == "broken"] == [name]


# ---- the load ----------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 40, 200, 500, 2000])
def test_the_mix_has_some_of_each(connections: int) -> None:
    mix = Mix.of(connections)
    assert min(mix.idle, mix.chat, mix.large, mix.deflate, mix.churn) > 0
    assert mix.hostile >= len(HOSTILE)
    if connections >= 40:
        assert mix.total == connections


@pytest.mark.parametrize("seconds", [6, 60, 1200])
def test_large_messages_keep_out_of_the_samples(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace.of(seconds)
    for tenth in range(100):
        now = tenth * pace.sample / 10
        monkeypatch.setattr("time.monotonic", lambda now=now: now)
        wait = pace.until_sample
        assert 0 <= wait <= pace.sample
        monkeypatch.setattr("time.monotonic", lambda then=now + wait: then)
        assert pace.is_quiet


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/chat/17", "chat"), ("/idle", "idle"), ("/hostile/reset", "hostile/reset")],
)
def test_the_kind_of_a_path(path: str, kind: str) -> None:
    assert kind_of(path) == kind
    assert kind in ENDINGS


@pytest.mark.parametrize(
    ("code", "error_type", "how"),
    [
        (1000, ConnectionEnded, "the peer closed with 1000"),
        (1011, ConnectionLost, "the peer closed with 1011"),
    ],
)
async def test_how_a_peer_has_closed(
    code: int, error_type: type[ConnectionClosed], how: str, autojump_clock
) -> None:
    async with connection_pair() as (client, server):
        await client.aclose(code)
        with pytest.raises(error_type) as caught:
            await server.receive()
        assert ending(caught.value) == how or error_type is ConnectionLost
        del caught


def test_a_hostile_frame_is_what_it_says() -> None:
    parser = Parser(masked=True)
    parser.receive_data(masked(9, b"p") + masked(2, b"x" * 70_000))
    first, second = parser.get_next_frame(), parser.get_next_frame()
    assert isinstance(first, PingFrame)
    assert isinstance(second, BinaryFrame)
    assert second.payload == b"x" * 70_000

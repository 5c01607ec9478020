"""The targets, as data, and whether they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.benchmarks.figures import Quartiles
from tests.benchmarks.peers import TITLES
from tests.benchmarks.results import Results
from tests.benchmarks.works import REGIMES, WORK_TITLES, Regime

#: By work and regime: the CPU of ours in that of a peer, at most.
RATIOS: Mapping[str, Mapping[Regime, Mapping[str, float]]] = {
    "pingpong": {
        "one": {"picows": 1.0, "aiohttp_uvloop": 0.65},
        "two": {"raw_trio": 1.1, "aiohttp_uvloop": 0.85},
    },
    "connections-100": {
        "one": {"picows": 1.25, "aiohttp_uvloop": 0.85},
        "two": {"picows": 1.6, "websockets_uvloop": 0.6},
    },
    "connections-1000": {"one": {"picows": 1.2}, "two": {"picows": 1.5}},
    "connections-5000": {"one": {"picows": 1.4}, "two": {"picows": 1.5}},
    "in-flight-32": {
        "one": {"picows": 0.8, "picows_uvloop": 0.9},
        "two": {"picows": 1.0},
    },
    "16k": {"one": {"picows": 1.05}, "two": {"picows": 1.05}},
    "1m": {"one": {"picows": 0.85}, "two": {"picows": 0.9}},
    "tls": {
        "one": {"picows": 1.1, "aiohttp_uvloop": 0.7},
        "two": {"picows": 1.1, "aiohttp_uvloop": 0.7},
    },
    "tls-50": {
        "one": {"picows": 1.6, "aiohttp_uvloop": 0.7},
        "two": {"picows": 1.6, "aiohttp_uvloop": 0.7},
    },
    "broadcast": {"one": {"raw_trio": 1.1, "websockets_uvloop": 0.6}},
    "handshakes": {"one": {"picows": 1.0, "websockets_trio": 0.5}},
}
#: The same for an ASGI application on our server; "ours" serves a handler of its own.
ASGI_RATIOS: Mapping[str, Mapping[str, float]] = {
    "asgi-get": {"hypercorn_trio": 0.333, "uvicorn_h11": 1.0},
    "asgi-echo": {"ours": 1.25},
}
#: The CPU of a delivery through a hub in that of one by `broadcast`, at most.
HUB = 1.3
#: The CPU of the uncompiled form in that of the compiled one, at most, and where: up to 1 KiB.
UNCOMPILED = 2.0
UNCOMPILED_WORKS: Mapping[str, tuple[Regime, ...]] = {
    "pingpong": ("one", "two"),
    "connections-100": ("one", "two"),
    "in-flight-32": ("one", "two"),
    "1k": ("one", "two"),
    "deflate": ("one",),
    "broadcast": ("one",),
}
#: KiB of a connection, at most.
MEMORY = {"idle": 7.0, "idle-deflate": 8.0}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is `most` at most: CPU of `peer` in that of `other`, or KiB if there is no other."""

    work: str
    regime: Regime
    most: float
    peer: str = "ours"
    other: str | None = None

    @property
    def subject(self) -> str:
        """Say what is measured, in words."""
        if self.other is None:
            return f"{TITLES[self.peer]}, a connection"
        return f"{TITLES[self.peer]} / {TITLES[self.other]}"

    @property
    def text(self) -> str:
        return f"{WORK_TITLES[self.work]}: {self.subject}"

    @property
    def unit(self) -> str:
        return " KiB" if self.other is None else ""


@dataclass(frozen=True)
class Verdict:
    """What came of a target: `value`, or why there is none.

    `spread`: the quartiles of the ratios of all rounds.  `is_load_full`: whether the load, and not
    one of the servers, set the pace.  `floor`: what the raw Trio echo comes to in place of ours.
    """

    target: Target
    value: float | None
    spread: Quartiles | None = None
    why_not: str = ""
    is_load_full: bool = False
    floor: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the target holds; None if it was not measured."""
        return None if self.value is None else self.value <= self.target.most

    @property
    def words(self) -> str:
        """Say whether it holds, by how much it does not, or why it was not measured."""
        if self.value is None:
            return f"not measured: {self.why_not}"
        if self.holds:
            return "holds"
        words = f"does not hold, by {self.value / self.target.most - 1:.1%}"
        if self.floor is not None and self.floor > self.target.most:
            words += "; the raw Trio echo is above it too"
        return words


def _all() -> Iterator[Target]:
    for work, regimes in RATIOS.items():
        for regime, peers in regimes.items():
            for other, most in peers.items():
                yield Target(work=work, regime=regime, most=most, other=other)
    for work, peers in ASGI_RATIOS.items():
        for regime in REGIMES:
            for other, most in peers.items():
                yield Target(work=work, regime=regime, most=most, peer="ours_asgi", other=other)
    for work, where in UNCOMPILED_WORKS.items():
        for regime in where:
            yield Target(work=work, regime=regime, most=UNCOMPILED, peer="ours_pure", other="ours")
    yield Target(work="hub-1000", regime="one", most=HUB, peer="ours_hub", other="ours")
    for work, most in MEMORY.items():
        yield Target(work=work, regime="one", most=most)


TARGETS = tuple(_all())


def judge(results: Results) -> list[Verdict]:
    """Judge every target, in the order of `TARGETS`."""
    return [_judge(target, results) for target in TARGETS]


def _judge(target: Target, results: Results) -> Verdict:
    work, regime, peer, other = target.work, target.regime, target.peer, target.other
    if other is None:
        value, spread, peers = results.median(work, regime, peer, "kib"), None, [peer]
    else:
        spread = results.spread(work, regime, peer, other)
        value, peers = spread.median if spread else None, [peer, other]
    if value is None:
        return Verdict(target, None, why_not=results.why_not(work, regime, *peers))
    is_load_full = any(results.is_load_full(work, regime, one) for one in peers)
    floor = None
    if peer == "ours" and other is not None and other != "raw_trio":
        floor = results.ratio(work, regime, "raw_trio", other)
    return Verdict(target, value, spread, is_load_full=is_load_full, floor=floor)

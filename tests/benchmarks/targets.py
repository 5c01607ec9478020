"""The targets, and whether they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.peers import TITLES
from tests.benchmarks.results import Results
from tests.benchmarks.works import SCALING, WORKS

#: How much two runs of the same thing differ: growth beyond the floor's counts from there on.
NOISE = 1.1


@dataclass(frozen=True)
class Target:
    """Something that is to be `most` at most; `value` takes it from results, None if it cannot."""

    text: str
    most: float
    value: Callable[[Results], float | None]
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of a target; `holds` is None where it was not measured."""

    target: Target
    value: float | None

    @property
    def holds(self) -> bool | None:
        return None if self.value is None else self.value <= self.target.most

    @property
    def word(self) -> str:
        return {True: "holds", False: "does not", None: "not measured"}[self.holds]


#: By work: ours / websockets on Trio, / websockets on uvloop, / picows.
_RATIOS: dict[str, tuple[float | None, float | None, float | None]] = {
    "pingpong": (0.20, 0.55, 1.15),
    "connections-100": (0.18, 0.65, 1.5),
    "pipelined": (0.15, 0.3, 0.8),
    "16k": (0.20, 0.5, 1.1),
    "1m": (0.45, 0.6, 1.2),
    "tls": (0.5, 1.0, None),
    "handshakes": (0.5, None, None),
}
_WORK_TITLES = {work.key: work.title for work in WORKS}


def _ratio(work: str, peer: str, most: float, *, of: str = "ours") -> Target:
    text = f"{_WORK_TITLES[work]}: {TITLES[of]} / {TITLES[peer]}"
    return Target(text, most, lambda results: results.ratio(work, of, peer))


def _growth(work: str) -> Target:
    def value(results: Results) -> float | None:
        ours, floor = results.growth(work, "ours"), results.growth(work, "raw_trio")
        return None if ours is None or not floor else ours / floor

    text = f"{_WORK_TITLES[work]}: growth from 1 connection / that of {TITLES['raw_trio']}"
    return Target(text, NOISE, value)


def _all() -> Iterator[Target]:
    for work, mosts in _RATIOS.items():
        peers = ("websockets_trio", "websockets_uvloop", "picows")
        for peer, most in zip(peers, mosts, strict=True):
            if most is not None:
                yield _ratio(work, peer, most)
    yield _ratio("pingpong", "raw_trio", 1.25)
    for work in ("pingpong", "connections-100", "pipelined", "deflate"):
        yield _ratio(work, "ours", 2.0, of="ours_pure")
    for work in SCALING[1:]:
        yield _growth(work)
    yield Target(
        "memory of an idle connection",
        12,
        lambda results: results.median("idle", "ours", "kib"),
        " KiB",
    )


TARGETS = tuple(_all())


def judge(results: Results) -> list[Verdict]:
    """Judge every target."""
    return [Verdict(target, target.value(results)) for target in TARGETS]

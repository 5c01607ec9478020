"""What a run has found, as it is kept in JSON, and the figures that are taken from it."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from tests.benchmarks.measure import Outcome


@dataclass(kw_only=True)
class Results:
    """All of a run: `works` by work and server, `micro` by name in µs.

    `environment`: lines of what it ran on.  `skipped`: why a server is not there, by its title.
    """

    command: str
    environment: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)
    works: dict[str, Outcome] = field(default_factory=dict)
    micro: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        return cls(**told)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def samples(self, work: str, peer: str, name: str = "cpu") -> list[float]:
        """Return the figures of all rounds: `cpu` (µs), `rate` (a second) or `kib`; [] if none."""
        outcome = self.works.get(work, {}).get(peer)
        return outcome.get(name, []) if isinstance(outcome, dict) else []

    def median(self, work: str, peer: str, name: str = "cpu") -> float | None:
        samples = self.samples(work, peer, name)
        return statistics.median(samples) if samples else None

    def ratio(self, work: str, peer: str, other: str) -> float | None:
        """Return the CPU of `peer` in that of `other`, or None if either was not measured."""
        one, two = self.median(work, peer), self.median(work, other)
        return None if one is None or not two else one / two

    def growth(self, work: str, peer: str) -> float | None:
        """Return the CPU of `work` in that of a single connection."""
        many, single = self.median(work, peer), self.median("pingpong", peer)
        return None if many is None or not single else many / single

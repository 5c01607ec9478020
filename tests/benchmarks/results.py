"""What a run has found, as it is kept in JSON, and the figures that are taken from it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.figures import Quartiles, paired, quartiles
from tests.benchmarks.measure import Outcome, Samples
from tests.benchmarks.works import Regime

#: From there on the load, and not the server, says how many messages there are a second.
FULL = 0.95


@dataclass(kw_only=True)
class Results:
    """All of a run: `works` by work, regime and server, `hub`, `micro` by name in µs.

    `profiles`: each `Profile` as data, by work and message.

    `environment`: lines of what it ran on.  `skipped`: why a work, a server or a regime was not
    measured, by its key.
    """

    command: str
    environment: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)
    works: dict[str, dict[Regime, Outcome]] = field(default_factory=dict)
    hub: list[dict[str, Any]] = field(default_factory=list)
    profiles: dict[str, dict[str, dict[str, dict[str, float]]]] = field(default_factory=dict)
    micro: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        return cls(**told)

    def to_json(self) -> str:
        """Return it as text, the figures of all rounds on one line."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        return re.sub(r"\[[\s\d.,]+\]", lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n"

    @property
    def figures(self) -> list[Figure]:
        """The figures of the hub."""
        return [Figure(**one) for one in self.hub]

    def outcome(self, work: str, regime: Regime) -> Outcome:
        return self.works.get(work, {}).get(regime, {})

    def samples(self, work: str, regime: Regime, peer: str) -> Samples:
        """Return the figures of all rounds by name, none if there are none."""
        found = self.outcome(work, regime).get(peer)
        return found if isinstance(found, dict) else {}

    def quartiles(
        self, work: str, regime: Regime, peer: str, name: str = "cpu"
    ) -> Quartiles | None:
        """Return those of `name`: see `Pair.run`, and `kib`; None if it was not measured."""
        return quartiles(self.samples(work, regime, peer).get(name, []))

    def median(self, work: str, regime: Regime, peer: str, name: str = "cpu") -> float | None:
        found = self.quartiles(work, regime, peer, name)
        return None if found is None else found.median

    def ratio(self, work: str, regime: Regime, peer: str, other: str) -> float | None:
        """Return the CPU of `peer` in that of `other`, the median of the ratios of all rounds."""
        found = self.spread(work, regime, peer, other)
        return None if found is None else found.median

    def spread(
        self, work: str, regime: Regime, peer: str, other: str, name: str = "cpu"
    ) -> Quartiles | None:
        """Return the quartiles of the ratios of all rounds."""
        one, two = self.samples(work, regime, peer), self.samples(work, regime, other)
        return paired(one.get(name, []), two.get(name, []))

    def is_load_full(self, work: str, regime: Regime, peer: str) -> bool:
        """Return whether the load, on a core of its own, hardly ever waited for the server."""
        share = self.median(work, regime, peer, "load")
        return regime == "two" and share is not None and share >= FULL

    def why_not(self, work: str, regime: Regime, *peers: str) -> str:
        """Return why there is no figure of some of `peers`."""
        for key in (work, regime, *peers):
            if key in self.skipped:
                return self.skipped[key]
        for peer in peers:
            found = self.outcome(work, regime).get(peer)
            if isinstance(found, str):
                return found
        return "it was not asked for"

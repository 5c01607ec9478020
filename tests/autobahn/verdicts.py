"""What the suite said, and whether it is what we want.

A verdict is a case's `behavior` and `behaviorClose`.  `read_index` takes them out of the suite's
`index.json`; `judge` compares a run with what was recorded; `Results` is the results file, which
holds for each case the verdict in each role.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "CASES",
    "EXCLUDED",
    "FULL_COUNT",
    "QUICK_COUNT",
    "Judgement",
    "Results",
    "Verdict",
    "is_selected",
    "judge",
    "natural",
    "read_index",
]

#: The patterns of all cases, as the suite reads them: prefixes in which `*` is anything.
CASES = ("*",)
#: What a quick run leaves out: the messages above 32 KiB of sections 12 and 13.
EXCLUDED = tuple(f"{section}.*.{n}" for section in (12, 13) for n in (9, 10, 14, 15, 16, 17, 18))
#: How many cases the suite has, and how many of them a quick run takes.
FULL_COUNT = 517
QUICK_COUNT = 433

#: Cases about what the RFC leaves open: the suite has no opinion.
INFORMATIONAL = frozenset({"7.1.6", "7.13.1", "7.13.2"})


class Verdict(NamedTuple):
    """What the suite says of one case: of the messages, and of the close."""

    behavior: str
    close: str

    def is_good(self, case: str) -> bool:
        """Tell whether we want it."""
        if case in INFORMATIONAL:
            return self.behavior == "INFORMATIONAL" and self.close in {"OK", "INFORMATIONAL"}
        return self.behavior == self.close == "OK"

    def __str__(self) -> str:
        return f"{self.behavior} / close {self.close}"


def natural(case: str) -> tuple[int, ...]:
    """Return what to sort cases by: 9.2.1 comes before 10.1.1."""
    return tuple(int(part) for part in case.split("."))


def is_selected(case: str, cases: Iterable[str], excluded: Iterable[str]) -> bool:
    """Tell whether the suite runs `case` with these patterns."""
    return _matches(case, cases) and not _matches(case, excluded)


def _matches(case: str, patterns: Iterable[str]) -> bool:
    return any(
        re.match(re.escape(pattern).replace(r"\*", ".*"), case)
        if "*" in pattern
        else pattern == case
        for pattern in patterns
    )


def read_index(path: Path) -> dict[str, Verdict]:
    """Read the `index.json` of a run in which there was one agent; `{}` if there is none."""
    try:
        index = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    agents = list(index.values())
    if len(agents) > 1:
        raise ValueError(f"{path} tells of {len(agents)} agents")
    cases = agents[0] if agents else {}
    return {
        case: Verdict(cases[case]["behavior"], cases[case]["behaviorClose"])
        for case in sorted(cases, key=natural)
    }


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What came of one run: counts of each verdict, and a line for everything unwanted."""

    counts: Mapping[Verdict, int]
    problems: Sequence[str]

    @property
    def is_good(self) -> bool:
        return not self.problems

    def summary(self) -> str:
        """Return the counts in one line: the cases, and how many of them had which verdict."""
        parts = [f"{count} {verdict}" for verdict, count in sorted(self.counts.items())]
        return f"{sum(self.counts.values())} cases: {', '.join(parts) or 'none'}"


def judge(
    verdicts: Mapping[str, Verdict], recorded: Mapping[str, Verdict], count: int | None
) -> Judgement:
    """Judge a run by what is `recorded` of its cases, and by their `count`, if it is known.

    A problem is a verdict that we do not want whatever is recorded, one that is not the recorded
    one, and a case that is recorded and was not run.
    """
    problems: list[str] = []
    for case in sorted({*verdicts, *recorded}, key=natural):
        got, expected = verdicts.get(case), recorded.get(case)
        if got is None:
            problems.append(f"{case}: missing, recorded: {expected}")
        elif not got.is_good(case):
            problems.append(f"{case}: {got}")
        elif expected not in {None, got}:
            problems.append(f"{case}: {got}, recorded: {expected}")
    if not verdicts:
        problems.append("no case was run")
    if count is not None and len(verdicts) != count:
        problems.append(f"{len(verdicts)} cases were run, {count} were expected")
    return Judgement(counts=Counter(verdicts.values()), problems=problems)


class Results:
    """The results file: one line for each case, with the verdict in each role."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cases: dict[str, dict[str, list[str]]] = {}
        if path.exists():
            self._cases = json.loads(path.read_text())

    def of(self, role: str, cases: Sequence[str], excluded: Sequence[str]) -> dict[str, Verdict]:
        """Return what is recorded for the cases of a run."""
        return {
            case: Verdict(*roles[role])
            for case, roles in self._cases.items()
            if role in roles and is_selected(case, cases, excluded)
        }

    def record(self, role: str, verdicts: Mapping[str, Verdict]) -> None:
        """Write down what came of a run, and keep what is recorded of other cases."""
        for case, verdict in verdicts.items():
            self._cases.setdefault(case, {})[role] = list(verdict)
        lines = [
            f"{json.dumps(case)}: {json.dumps(self._cases[case], sort_keys=True)}"
            for case in sorted(self._cases, key=natural)
        ]
        self._path.write_text("{\n" + ",\n".join(lines) + "\n}\n")

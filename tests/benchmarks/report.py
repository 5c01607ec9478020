"""Results as Markdown, between two marks of `docs/benchmarks.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.benchmarks.figures import Quartiles
from tests.benchmarks.peers import PEERS, TITLES
from tests.benchmarks.results import Results
from tests.benchmarks.targets import Verdict, judge
from tests.benchmarks.works import REGIMES, WORK_TITLES, WORKS, Regime, Work

BEGIN = "<!-- results: written by `make bench` -->"
END = "<!-- end of results -->"
#: Whose bytecodes are told, as `servers.counted` names them.
OWNERS = ("ours", "Trio", "the rest")
#: System calls of a message that are told.
LEAST = 0.005
#: After a figure for which the server waited for the load.
FULL = " †"


def render(page: str, results: Results) -> str:
    """Return `page` with the results between its marks; raises `ValueError` if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the results")
    return "\n".join([before + BEGIN, "", *_lines(results), END + after])


def number(value: float | None) -> str:
    """Return `value` with about three digits, or a dash."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)
) -> Iterator[str]:
    """Yield the lines of a table; all columns except those of `words` are aligned to the right."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "".join("---|" if i in words else "---:|" for i in range(len(head)))
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _lines(results: Results) -> Iterator[str]:
    yield f"Made by `{results.command}`:"
    yield ""
    for name, value in results.environment.items():
        yield f"- {name}: {value}"
    names = TITLES | WORK_TITLES | REGIMES
    for key, why in results.skipped.items():
        yield f"- not measured: {names.get(key, key)}, because {why}"
    yield ""
    yield from _targets(results)
    yield from _overview(results)
    yield from _floors(results)
    yield from _profiles(results)
    for work in WORKS:
        if work.key in results.works and not work.is_memory:
            yield f"## {work.title[0].upper()}{work.title[1:]}"
            yield ""
            for regime in work.regimes:
                yield from _work(results, work, regime)
    yield from _memory(results)
    yield from _hub(results)
    if results.micro:
        yield "## Without I/O"
        yield ""
        yield from table(
            ["operation", "µs"], [[name, number(value)] for name, value in results.micro.items()]
        )


# ---- all works -----------------------------------------------------------------------------------


def _targets(results: Results) -> Iterator[str]:
    verdicts = judge(results)
    yield "## Targets"
    yield ""
    yield f"{_count(verdicts)} A ratio is the median of the ratios of all rounds."
    yield ""
    for regime, title in REGIMES.items():
        yield f"### Targets on {title}"
        yield ""
        rows = [_verdict(one) for one in verdicts if one.target.regime == regime]
        head = ["work", "what", "at most", "measured", "quartiles", "raw Trio echo", "verdict"]
        yield from table(head, rows, words=(0, 1, 6))


def _count(verdicts: Sequence[Verdict]) -> str:
    words = []
    for regime, title in REGIMES.items():
        here = [one.holds for one in verdicts if one.target.regime == regime]
        open_ = f", {here.count(None)} not measured" if None in here else ""
        words.append(f"{here.count(True)} of {len(here)} hold on {title}{open_}")
    return "; ".join(words) + "."


def _verdict(verdict: Verdict) -> list[str]:
    target = verdict.target
    measured = number(verdict.value) + (target.unit if verdict.value is not None else "")
    full = FULL if verdict.is_load_full else ""
    return [
        WORK_TITLES[target.work],
        target.subject,
        f"{target.most:g}{target.unit}",
        measured + full,
        _range(verdict.spread),
        number(verdict.floor),
        verdict.words,
    ]


def _range(quartiles: Quartiles | None) -> str:
    if quartiles is None:
        return ""
    return f"{number(quartiles.first)} to {number(quartiles.third)}"


def _overview(results: Results) -> Iterator[str]:
    yield "## Server CPU, µs for one message"
    yield ""
    for regime, title in REGIMES.items():
        works = [w for w in WORKS if results.outcome(w.key, regime) and not w.is_memory]
        peers = [p.key for p in PEERS if any(results.samples(w.key, regime, p.key) for w in works)]
        if not works:
            continue
        yield f"### CPU on {title}"
        yield ""
        rows = [
            [work.title, *(_cpu(results, work.key, regime, peer) for peer in peers)]
            for work in works
        ]
        yield from table(["", *(TITLES[peer] for peer in peers)], rows)


def _cpu(results: Results, work: str, regime: Regime, peer: str) -> str:
    full = FULL if results.is_load_full(work, regime, peer) else ""
    return number(results.median(work, regime, peer)) + full


def _floors(results: Results) -> Iterator[str]:
    rows = []
    for work in WORKS:
        for regime, title in REGIMES.items():
            ratios = [
                results.ratio(work.key, regime, one, other)
                for one, other in (("raw_trio", "c_echo"), ("ours", "raw_trio"), ("ours", "c_echo"))
            ]
            if any(ratio is not None for ratio in ratios):
                rows.append([work.title, title, *map(number, ratios)])
    if rows:
        yield "## Floors"
        yield ""
        head = ["work", "on", "raw Trio / C", "ours / raw Trio", "ours / C"]
        yield from table(head, rows, words=(0, 1))


def _profiles(results: Results) -> Iterator[str]:
    rows = []
    for work in WORKS:
        for message, profile in results.profiles.get(work.key, {}).items():
            calls = sorted(profile["system_calls"].items(), key=lambda call: -call[1])
            told = ", ".join(f"{name} {number(value)}" for name, value in calls if value >= LEAST)
            owners = [profile["bytecodes"].get(owner, 0.0) for owner in OWNERS]
            rows.append([work.title, message, *(f"{value:,.0f}" for value in owners), told])
    if rows:
        yield "## Profiles"
        yield ""
        head = ["work", "the message", *(f"bytecodes: {owner}" for owner in OWNERS)]
        yield from table([*head, "system calls"], rows, words=(0, 1, 5))


# ---- one work ------------------------------------------------------------------------------------


def _work(results: Results, work: Work, regime: Regime) -> Iterator[str]:
    rows = []
    for peer, samples in sorted(results.outcome(work.key, regime).items(), key=_place):
        if isinstance(samples, str):
            rows.append([TITLES[peer], samples, "", "", "", "", "", ""])
            continue
        share = results.median(work.key, regime, peer, "load") or 0.0
        full = FULL if results.is_load_full(work.key, regime, peer) else ""
        rows.append(
            [
                TITLES[peer],
                number(results.median(work.key, regime, peer, "rate")),
                number(results.median(work.key, regime, peer)),
                _range(results.quartiles(work.key, regime, peer)),
                number(results.ratio(work.key, regime, "ours", peer)),
                number(results.median(work.key, regime, peer, "p50")),
                number(results.median(work.key, regime, peer, "p99")),
                "-" if regime == "one" else f"{share:.0%}{full}",
            ]
        )
    if rows:
        yield f"On {REGIMES[regime]}:"
        yield ""
        head = ["server", f"{work.unit} a second", "CPU µs for one", "quartiles", "ours / it"]
        yield from table([*head, "50 % within µs", "99 % within µs", "load"], rows)


def _place(item: tuple[str, object]) -> int:
    """Return where a server is among the others, for its line."""
    return list(TITLES).index(item[0])


def _memory(results: Results) -> Iterator[str]:
    works = [work for work in WORKS if work.is_memory and work.key in results.works]
    peers = [
        peer for peer in TITLES if any(results.samples(work.key, "one", peer) for work in works)
    ]
    if not peers:
        return
    yield "## Memory, KiB"
    yield ""
    yield "Of each connection, or of all that were closed:"
    yield ""
    rows = [
        [TITLES[peer], *(_kib(results.median(work.key, "one", peer, "kib")) for work in works)]
        for peer in peers
    ]
    yield from table(["server", *(work.title for work in works)], rows)


def _hub(results: Results) -> Iterator[str]:
    if not results.hub:
        return
    yield "## The hub"
    yield ""
    rows = [
        [
            figure.what,
            TITLES[figure.server],
            "" if figure.most is None else f"{number(figure.most)} {figure.unit}".strip(),
            "-" if figure.value is None else f"{number(figure.value)} {figure.unit}".strip(),
            figure.words,
        ]
        for figure in results.figures
    ]
    yield from table(["what", "of", "at most", "measured", "verdict"], rows, words=(0, 1, 4))


def _kib(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"

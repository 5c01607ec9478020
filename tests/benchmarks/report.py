"""Results as Markdown, between two marks of `docs/benchmarks.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.benchmarks.peers import PEERS, TITLES
from tests.benchmarks.results import Results
from tests.benchmarks.targets import judge
from tests.benchmarks.works import WORKS, Work

BEGIN = "<!-- results: written by `make bench` -->"
END = "<!-- end of results -->"


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


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; all columns but the first are aligned to the right."""
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _lines(results: Results) -> Iterator[str]:
    yield f"Made by `{results.command}`:"
    yield ""
    for name, value in results.environment.items():
        yield f"- {name}: {value}"
    for title, why in results.skipped.items():
        yield f"- not measured: {title}, because {why}"
    yield ""
    yield "## Targets"
    yield ""
    yield from _targets(results)
    yield "## Server CPU, µs for one message"
    yield ""
    yield from _overview(results)
    for work in WORKS:
        if work.key in results.works:
            yield f"## {work.title[0].upper()}{work.title[1:]}"
            yield ""
            yield from _memory(results, work) if work.kind == "idle" else _work(results, work)
    if results.micro:
        yield "## Without I/O"
        yield ""
        yield from table(
            ["operation", "µs"], [[name, number(value)] for name, value in results.micro.items()]
        )


def _targets(results: Results) -> Iterator[str]:
    rows = []
    for verdict in judge(results):
        target = verdict.target
        measured = number(verdict.value) + (target.unit if verdict.value is not None else "")
        rows.append([target.text, f"{target.most:g}{target.unit}", measured, verdict.word])
    yield from table(["target", "at most", "measured", ""], rows)


def _overview(results: Results) -> Iterator[str]:
    works = [work for work in WORKS if work.key in results.works and work.kind != "idle"]
    peers = [
        peer.key for peer in PEERS if any(results.samples(work.key, peer.key) for work in works)
    ]
    rows = [
        [work.title, *(number(results.median(work.key, peer)) for peer in peers)] for work in works
    ]
    yield from table(["", *(TITLES[peer] for peer in peers)], rows)


def _work(results: Results, work: Work) -> Iterator[str]:
    rows = []
    for peer, samples in results.works[work.key].items():
        if isinstance(samples, str):
            rows.append([TITLES[peer], f"failed: {samples}", "", "", ""])
            continue
        cpu = samples["cpu"]
        rows.append(
            [
                TITLES[peer],
                number(results.median(work.key, peer, "rate")),
                number(results.median(work.key, peer)),
                f"{number(min(cpu))} to {number(max(cpu))}",
                number(results.ratio(work.key, "ours", peer)),
            ]
        )
    head = ["server", f"{work.unit} a second", "CPU µs for one", "spread", "ours / it"]
    yield from table(head, rows)


def _memory(results: Results, work: Work) -> Iterator[str]:
    rows = [
        [TITLES[peer], number(results.median(work.key, peer, "kib"))]
        for peer in results.works[work.key]
    ]
    yield from table(["server", "KiB a connection"], rows)

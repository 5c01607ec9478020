"""The few figures that README.md has of the last whole run, between two marks."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.peers import TITLES
from tests.benchmarks.report import number, table
from tests.benchmarks.results import Results
from tests.benchmarks.works import WORK_TITLES

BEGIN = "<!-- figures: written by `make bench` -->"
END = "<!-- end of figures -->"
SERVERS = ("ours", "websockets_trio", "websockets_uvloop", "aiohttp_uvloop", "picows")
WORKS = ("pingpong", "connections-100", "connections-1000", "in-flight-32", "1m")


def with_figures(readme: str, results: Results) -> str:
    """Return `readme` with the figures of a run; raises `ValueError` if it has no marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the README has no place for the figures")
    return "\n".join([before + BEGIN, *_lines(results), END + after])


def _lines(results: Results) -> Iterator[str]:
    told = {"Python": "-", "CPU": "-", "commit": "-"} | results.environment
    yield "CPU of the server for one message, in µs; the load on the same core / on a second one."
    yield f"Made by `{results.command}` at commit {told['commit']}:"
    yield f"{told['Python']}, {told['CPU']}."
    if busy := told.get("busy cores as the run began"):
        yield f"Busy cores as the run began: {busy}."
    yield ""
    yield from table(
        ["", *(TITLES[server] for server in SERVERS)],
        [
            [WORK_TITLES[work], *(_both(results, work, server) for server in SERVERS)]
            for work in WORKS
        ],
    )


def _both(results: Results, work: str, server: str) -> str:
    one, two = (number(results.median(work, regime, server)) for regime in ("one", "two"))
    return f"{one} / {two}"

"""The command of `make bench`: measure, judge, and write the tables and the plot."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import trustme

from tests.benchmarks import compare, cores
from tests.benchmarks.environment import describe
from tests.benchmarks.fanout.all import figures
from tests.benchmarks.fanout.figure import Figure
from tests.benchmarks.measure import Bench
from tests.benchmarks.micro import measure_micro
from tests.benchmarks.options import (
    DOCS,
    HUB,
    PARTIAL,
    TOO_LONG,
    command_of,
    effort_of,
    is_full,
    parse,
)
from tests.benchmarks.peers import PEERS, TITLES, Peer
from tests.benchmarks.plot import draw
from tests.benchmarks.processes import ROOT, MeasurementError, Pair
from tests.benchmarks.profile import count_all
from tests.benchmarks.readme import with_figures
from tests.benchmarks.report import number, render
from tests.benchmarks.results import Results
from tests.benchmarks.targets import TARGETS, judge
from tests.benchmarks.works import REGIMES, WORKS, Regime, Work

PAGE = "benchmarks.md"
README = ROOT / "README.md"
#: How much of its share of the time a work may take: some works take much less.
GENEROUS = 1.5

Say = Callable[[str], None]


# ---- whom, and what ------------------------------------------------------------------------------


def choose(names: Sequence[str], skipped: dict[str, str]) -> list[Peer]:
    """Return the servers that can be measured; the others, with the reason, go to `skipped`."""
    chosen: list[Peer] = []
    for peer in PEERS:
        if names and peer.key not in names:
            continue
        if why := peer.why_not():
            skipped[peer.key] = why
        else:
            chosen.append(peer)
    return chosen


def choose_cores(only: Regime | None, skipped: dict[str, str]) -> dict[Regime, cores.Cores]:
    """Return the cores of each regime that can be measured; a reason for the others."""
    found = cores.choose(os.sched_getaffinity(0))
    for regime in REGIMES:
        if regime not in found:
            skipped[regime] = "there is one core only"
        elif only not in {None, regime}:
            del found[regime]
    return found


def compiled_modules(peer: Peer, cert: Path) -> list[str]:
    """Return which modules of ours are machine code in a server of this kind."""
    with Pair(peer, WORKS[0], cert) as pair:
        found: list[str] = pair.greet()["compiled"]
        return found


def drop_uncompiled(peers: list[Peer], skipped: dict[str, str], cert: Path) -> list[str]:
    """Drop the uncompiled form of ours if there is no other; return what is compiled."""
    (ours,) = (peer for peer in PEERS if peer.key == "ours")
    compiled = compiled_modules(ours, cert)
    for peer in [peer for peer in peers if peer.key == "ours_pure"]:
        why = None
        if not compiled:
            why = f"{ours.title} is not compiled here"
        elif compiled_modules(peer, cert):
            why = "it cannot be had where it is compiled"
        if why is not None:
            peers.remove(peer)
            skipped[peer.key] = why
    return compiled


def needed(work: Work, peers: Sequence[Peer]) -> list[Peer]:
    """Return those of `peers` that the targets of `work` need, and the limit."""
    names = {one for target in TARGETS if target.work == work.key for one in _sides(target)}
    if work.kind == "growth":
        names.add("ours")
    return [peer for peer in peers if peer.key in names | ({"c_echo"} if names else set())]


def _sides(target) -> tuple[str, str | None]:
    return target.peer, target.other


# ---- measuring -----------------------------------------------------------------------------------


def run_works(
    bench: Bench, told: argparse.Namespace, peers: Sequence[Peer], results: Results
) -> None:
    """Measure all works that were asked for, each in its share of the time that is left."""
    works = [work for work in WORKS if not told.only or work.key in told.only]
    for position, work in enumerate(works):
        if told.quick and work.key in TOO_LONG:
            results.skipped[work.key] = "it takes too long for --quick"
            continue
        if bench.seconds_left <= 0:
            results.skipped[work.key] = f"{bench.effort.minutes:g} minutes were over"
            continue
        chosen = needed(work, peers) if told.quick else peers
        if not any(peer.can_do(work) for peer in chosen):
            continue
        bench.say(f"{work.title}:")
        share = bench.seconds_left / (len(works) - position)
        results.works[work.key] = bench.measure(work, chosen, share * GENEROUS)
        for line in told_of(work, chosen, results):
            bench.say(line)


def run_hub(bench: Bench, told: argparse.Namespace, results: Results) -> None:
    """Measure the hub, unless other works alone were asked for."""
    if told.only and HUB not in told.only:
        return
    if bench.seconds_left <= 0:
        results.skipped[HUB] = f"{bench.effort.minutes:g} minutes were over"
        return
    bench.say("the hub:")
    missing = {peer.key: why for peer in PEERS if (why := peer.why_not())}
    for key in {peer.key for peer in PEERS} - set(told.servers) if told.servers else ():
        missing.setdefault(key, "it was not asked for")
    for figure in figures(missing, is_quick=told.quick):
        results.hub.append(asdict(figure))
        bench.say(f"  {line_of(figure)}")


def run_profiles(told: argparse.Namespace, cert: Path, results: Results, say: Say) -> None:
    """Count what ours runs for a message, unless others alone were asked for."""
    if told.servers and "ours" not in told.servers:
        return
    say("what a message takes, counted")
    for work, by_message in count_all(cert, say, told.only).items():
        results.profiles[work] = {message: asdict(one) for message, one in by_message.items()}


def line_of(figure: Figure) -> str:
    """Return a figure as a line for the user."""
    value = f"{number(figure.value)} {figure.unit}".strip()
    most = "" if figure.most is None else f" (at most {number(figure.most)}): {figure.words}"
    told = f"{value}{most}" if figure.value is not None else figure.words
    return f"{TITLES[figure.server]}: {figure.what}: {told}"


def told_of(work: Work, peers: Sequence[Peer], results: Results) -> Iterator[str]:
    """Yield a line for each server: its figures in all regimes."""
    name, unit = ("kib", "KiB") if work.is_memory else ("cpu", "µs")
    for peer in peers:
        words = []
        for regime, title in REGIMES.items():
            value = results.median(work.key, regime, peer.key, name)
            if value is not None:
                full = ", load full" if results.is_load_full(work.key, regime, peer.key) else ""
                where = "" if work.is_memory else f" ({title}{full})"
                words.append(f"{number(value):>9} {unit}{where}")
        if words:
            yield f"  {peer.title:28}{''.join(words)}"


def run(told: argparse.Namespace, say: Say) -> Results:
    """Measure what was asked for."""
    effort = effort_of(told)
    skipped: dict[str, str] = {}
    places = choose_cores(told.regime, skipped)
    results = Results(command=command_of(told), environment=describe(places), skipped=skipped)
    with certificate() as cert:
        bench = Bench(effort, places, cert, say)
        peers = choose(told.servers, skipped)
        compiled = ", ".join(drop_uncompiled(peers, skipped, cert))
        for key, why in skipped.items():
            say(f"not measured: {key}, because {why}")
        run_hub(bench, told, results)
        run_works(bench, told, peers, results)
        if not told.quick:
            run_profiles(told, cert, results, say)
    results.environment |= {
        "compiled modules of trio_wsendpoint": compiled or "none",
        "rounds": f"{effort.rounds} of {effort.seconds:g} s, or fewer if the time was short",
    }
    if effort.divisor != 1:
        results.environment["connections"] = f"1/{effort.divisor} of what the titles say"
    if not (told.no_micro or told.quick):
        say("without I/O:")
        try:
            results.micro = measure_micro(0.5)
        except MeasurementError as error:
            say(f"  failed: {error}")
    return results


@contextmanager
def certificate() -> Iterator[Path]:
    """Make a file with a key and its certificate, for the length of the block."""
    with tempfile.TemporaryDirectory() as folder:
        cert = Path(folder) / "server.pem"
        issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(cert)
        yield cert


# ---- what is written -----------------------------------------------------------------------------


def write(folder: Path, results: Results) -> list[Path]:
    """Write the page, the plot and the raw results, and for DOCS the README; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    page, plot, raw = (folder / name for name in (PAGE, "benchmarks.svg", "benchmarks.json"))
    text = (page if page.exists() else DOCS / PAGE).read_text()
    page.write_text(render(text, results))
    plot.write_text(draw(results))
    raw.write_text(results.to_json())
    if folder != DOCS:
        return [page, plot, raw]
    README.write_text(with_figures(README.read_text(), results))
    return [page, plot, raw, README]


def say_verdicts(results: Results, say: Say) -> None:
    """Say of each target whether it holds; those of what was not asked for are left out."""
    for regime, title in REGIMES.items():
        say(f"targets, {title}:")
        for verdict in judge(results):
            target = verdict.target
            if target.regime != regime or target.work not in results.works | results.skipped:
                continue
            value = number(verdict.value)
            say(f"  {value:>7} (at most {target.most:g}{target.unit})  {target.text}:")
            say(f"          {verdict.words}{'; the load was full' * verdict.is_load_full}")
    if results.hub:
        say("targets, the hub:")
    for figure in results.figures:
        if figure.most is not None or figure.value is None:
            say(f"  {line_of(figure)}")


def main(arguments: Sequence[str] | None = None) -> int:
    def say(text: str) -> None:
        print(text, flush=True)

    told = parse(arguments)
    if told.compare is not None:
        with certificate() as cert:
            places = choose_cores(told.regime, {})
            return compare.run(told, Bench(effort_of(told), places, cert, say))
    folder = told.output or (DOCS if is_full(told) or told.render else PARTIAL)
    if told.render:
        results = Results.from_json(json.loads((folder / "benchmarks.json").read_text()))
    else:
        started = time.monotonic()
        results = run(told, say)
        say(f"\nmeasured in {(time.monotonic() - started) / 60:.1f} minutes")
    say_verdicts(results, say)
    for path in write(folder, results):
        say(f"written: {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    return 0

"""The command of `make bench`: measure, judge, and write the table and the plot."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trustme

from tests.benchmarks.environment import describe
from tests.benchmarks.measure import Effort, Outcome, measure
from tests.benchmarks.micro import measure_micro
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.plot import draw
from tests.benchmarks.processes import ROOT, MeasurementError, Pair, pin
from tests.benchmarks.report import number, render
from tests.benchmarks.results import Results
from tests.benchmarks.targets import judge
from tests.benchmarks.works import WORKS, Work

DOCS = ROOT / "docs"
PARTIAL = ROOT / "build" / "benchmarks"
PAGE = "benchmarks.md"
FULL = Effort()
QUICK = Effort(rounds=1, seconds=0.2, warm_up=0.1, divisor=10)

Say = Callable[[str], None]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short, and with fewer connections")
    parser.add_argument("--only", type=_names, default=[], help="works, as pingpong,tls")
    parser.add_argument("--servers", type=_names, default=[], help="servers, as ours,picows")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of a round")
    parser.add_argument("--core", type=int, help="the core to pin to; by default the last")
    parser.add_argument("--no-micro", action="store_true", help="without the microbenchmarks")
    parser.add_argument("--output", type=Path, help=f"by default docs/, or {PARTIAL.name}/ in part")
    parser.add_argument("--render", action="store_true", help="write again what was measured")
    told = parser.parse_args(arguments)
    for kind, names, known in (
        ("work", told.only, [work.key for work in WORKS]),
        ("server", told.servers, [peer.key for peer in PEERS]),
    ):
        if unknown := set(names) - set(known):
            parser.error(f"no such {kind}: {', '.join(unknown)}; there are {', '.join(known)}")
    return told


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def effort_of(told: argparse.Namespace) -> Effort:
    base = QUICK if told.quick else FULL
    return Effort(
        told.rounds or base.rounds, told.seconds or base.seconds, base.warm_up, base.divisor
    )


# ---- whom, and what ------------------------------------------------------------------------------


def choose(names: Sequence[str], skipped: dict[str, str]) -> list[Peer]:
    """Return the servers that can be measured; the others, with the reason, go to `skipped`."""
    chosen: list[Peer] = []
    for peer in PEERS:
        if names and peer.key not in names:
            continue
        if missing := peer.missing():
            skipped[peer.title] = f"{', '.join(missing)} is not installed"
        else:
            chosen.append(peer)
    return chosen


def compiled_modules(peer: Peer, cert: Path) -> list[str]:
    """Return which modules of ours are machine code in a server of this kind."""
    with Pair(peer, WORKS[0], cert) as pair:
        found: list[str] = pair.hello["compiled"]
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
            skipped[peer.title] = why
    return compiled


def run_works(
    works: Sequence[Work], peers: Sequence[Peer], effort: Effort, cert: Path, say: Say
) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for work in works:
        say(f"{work.title}:")
        found[work.key] = measure(work, peers, effort, cert, say)
        results = Results(command="", environment={}, works=found)
        for peer in peers:
            kib = results.median(work.key, peer.key, "kib")
            cpu = results.median(work.key, peer.key)
            if cpu is not None:
                say(f"  {peer.title:32}{number(cpu):>10} µs")
            elif kib is not None:
                say(f"  {peer.title:32}{number(kib):>10} KiB")
    return {key: outcome for key, outcome in found.items() if outcome}


def run(told: argparse.Namespace, say: Say) -> Results:
    """Measure what was asked for."""
    environment = describe(pin(told.core))
    effort = effort_of(told)
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        cert = Path(folder) / "server.pem"
        issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(cert)
        peers = choose(told.servers, skipped)
        compiled = ", ".join(drop_uncompiled(peers, skipped, cert))
        for title, why in skipped.items():
            say(f"not measured: {title}, because {why}")
        works = [work for work in WORKS if not told.only or work.key in told.only]
        results = Results(
            command=command_of(told),
            environment=environment | {"compiled modules of trio_wsendpoint": compiled or "none"},
            skipped=skipped,
            works=run_works(works, peers, effort, cert, say),
        )
    rounds = f"{effort.rounds} of {effort.seconds:g} s for each server and work"
    results.environment["rounds"] = rounds
    if effort.divisor != 1:
        results.environment["connections"] = f"1/{effort.divisor} of what the titles say"
    if not told.no_micro:
        say("without I/O:")
        try:
            results.micro = measure_micro(0.1 if told.quick else 0.5)
        except MeasurementError as error:
            say(f"  failed: {error}")
    return results


def command_of(told: argparse.Namespace) -> str:
    """Return what has the same measured again."""
    words: list[str] = []
    for name in ("quick", "only", "servers", "rounds", "seconds", "core", "no_micro"):
        value = getattr(told, name)
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif isinstance(value, list) and value:
            words.append(f"{option} {','.join(value)}")
        elif isinstance(value, int | float) and value is not False:
            words.append(f"{option} {value:g}")
    options = " ".join(words)
    return f'make bench BENCH="{options}"' if options else "make bench"


# ---- what is written -----------------------------------------------------------------------------


def write(folder: Path, results: Results) -> list[Path]:
    """Write the page, the plot and the raw results; return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    page, plot, raw = (folder / name for name in (PAGE, "benchmarks.svg", "benchmarks.json"))
    text = (page if page.exists() else DOCS / PAGE).read_text()
    page.write_text(render(text, results))
    plot.write_text(draw(results))
    raw.write_text(json.dumps(results.to_json(), indent=1, ensure_ascii=False) + "\n")
    return [page, plot, raw]


def main(arguments: Sequence[str] | None = None) -> int:
    def say(text: str) -> None:
        print(text, flush=True)

    told = parse(arguments)
    is_full = not (told.quick or told.only or told.servers or told.no_micro)
    folder = told.output or (DOCS if is_full or told.render else PARTIAL)
    if told.render:
        results = Results.from_json(json.loads((folder / "benchmarks.json").read_text()))
    else:
        started = time.monotonic()
        results = run(told, say)
        say(f"\nmeasured in {(time.monotonic() - started) / 60:.1f} minutes; the targets:")
    for verdict in judge(results):
        if verdict.holds is None and not is_full:
            continue
        target, value = verdict.target, number(verdict.value)
        say(f"  {verdict.word:14}{value:>7} (at most {target.most:g}{target.unit})  {target.text}")
    for path in write(folder, results):
        say(f"written: {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

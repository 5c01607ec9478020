"""The suite itself measures: one tiny run for each kind of work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tests.benchmarks import native, options, processes, run
from tests.benchmarks.cores import Cores
from tests.benchmarks.made_up import PAGE
from tests.benchmarks.measure import Bench, Effort
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.processes import ROOT, Child, MeasurementError, Pair, program
from tests.benchmarks.report import render
from tests.benchmarks.results import Results
from tests.benchmarks.works import WORKS, Work

SHORT = Effort(rounds=2, seconds=0.01, warm_up=0.0, divisor=100, batches=1)
PEER = {peer.key: peer for peer in PEERS}
ANYWHERE = Cores(0, 0)
#: One of each kind.
KINDS = (
    *("pingpong", "in-flight-32", "1m-text", "deflate", "tls-50"),
    *("asgi-get", "broadcast", "hub-1000", "handshakes", "idle", "idle-deflate-used", "growth"),
)


@pytest.fixture(autouse=True)
def on_any_core(monkeypatch):
    """Let the processes run where they like: the other tests may use all cores."""
    monkeypatch.setattr(processes, "confine", lambda pid, core: None)


@pytest.fixture
def bench(tmp_path):
    """Measure in both regimes."""
    return Bench(SHORT, {"one": ANYWHERE, "two": ANYWHERE}, tmp_path / "none", print)


def results_of(bench: Bench, work: Work, *peers: Peer) -> Results:
    return Results(command="", environment={}, works={work.key: bench.measure(work, peers)})


# ---- it measures -------------------------------------------------------------------------------


def test_each_kind_of_work_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(options, "FULL", SHORT)
    (tmp_path / "benchmarks.md").write_text(PAGE)
    arguments = ["--no-micro", "--servers", "ours,raw_trio", "--output", str(tmp_path)]
    assert run.main([*arguments, "--only", ",".join(KINDS)]) == 0

    told = capsys.readouterr().out
    assert "failed" not in told
    assert re.search(r"ping-pong: trio_wsendpoint / raw Trio echo:\n +(holds|does not)", told)
    results = Results.from_json(json.loads((tmp_path / "benchmarks.json").read_text()))
    for work in WORKS:
        if work.key not in KINDS:
            continue
        for regime in work.regimes:
            samples = results.samples(work.key, regime, "ours")
            if work.is_memory:
                assert len(samples["kib"]) == 1, work
            else:
                assert {len(one) for one in samples.values()} == {2}, work
                assert min(samples["cpu"]) > 0
                assert 0 < samples["p50"][0] <= samples["p99"][0]
    page = (tmp_path / "benchmarks.md").read_text()
    assert page == render(PAGE, results)
    ET.parse(tmp_path / "benchmarks.svg")


@pytest.mark.parametrize("key", ["pingpong", "broadcast", "1m"])
def test_the_limit_is_measured(bench, key):
    if why := native.why_not("echo"):
        pytest.skip(why)
    (work,) = (work for work in WORKS if work.key == key)
    assert results_of(bench, work, PEER["c_echo"]).median(key, "one", "c_echo")


@pytest.mark.parametrize("key", ["pingpong", "in-flight-32", "broadcast", "1m"])
def test_without_a_compiler_the_load_is_python(bench, key, monkeypatch):
    monkeypatch.setattr(native, "why_not", lambda _: "there is no C compiler")
    (work,) = (work for work in WORKS if work.key == key)
    results = results_of(bench, work, PEER["ours"], PEER["raw_trio"])
    assert results.ratio(key, "one", "ours", "raw_trio")
    samples = results.samples(key, "one", "ours")
    assert 0 < samples["p50"][0] <= samples["p99"][0]


@pytest.mark.parametrize("key", ["ours_hub", "ours_send", "socketio"])
def test_each_way_to_many_is_measured(bench, key):
    if why := PEER[key].why_not():
        pytest.skip(why)
    (work,) = (work for work in WORKS if work.key == "hub-1000")
    assert results_of(bench, work, PEER[key]).median("hub-1000", "one", key)


def test_there_can_be_many_connections(bench):
    work = Work(key="connections-1000", title="", connections=1100)  # more than select() takes
    bench.effort = replace(SHORT, divisor=1)
    assert results_of(bench, work, PEER["raw_trio"]).median("connections-1000", "one", "raw_trio")


def test_the_figures_are_in_proportion_to_the_work(bench):
    large = Work(key="1m", title="", size=1024 * 1024)
    small = Work(key="pingpong", title="")
    found = [
        results_of(bench, work, PEER["ours"]).median(work.key, "one", "ours")
        for work in (large, small)
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] > 5 * found[1]  # a mebibyte, against 125 bytes


def test_each_server_is_started_as_often_as_it_is_to_be(bench):
    bench.effort = replace(SHORT, starts=2)
    samples = results_of(bench, WORKS[0], PEER["raw_trio"]).samples("pingpong", "one", "raw_trio")
    assert len(samples["cpu"]) == 4


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 3), (1000.0, 5)])
def test_a_work_that_is_late_has_fewer_rounds(bench, seconds, rounds):
    bench.effort = replace(SHORT, rounds=5)
    outcome = bench.measure(WORKS[0], [PEER["raw_trio"]], seconds)
    for regime in ("one", "two"):
        assert len(outcome[regime]["raw_trio"]["cpu"]) == rounds


def test_when_the_time_is_over_no_work_is_begun(tmp_path, capsys):
    (tmp_path / "benchmarks.md").write_text(PAGE)
    arguments = ["--no-micro", "--servers", "ours", "--minutes", "0", "--output", str(tmp_path)]
    assert run.main(arguments) == 0
    results = Results.from_json(json.loads((tmp_path / "benchmarks.json").read_text()))
    assert results.works == {}
    assert results.skipped["pingpong"] == "0 minutes were over"


# ---- it fails rightly --------------------------------------------------------------------------


def test_a_server_that_does_not_echo_has_no_figure(bench):
    # The raw echo is asked for a WebSocket, which it does not speak.
    liar = Peer(key="liar", title="liar", module="raw_trio")
    results = results_of(bench, WORKS[0], liar, PEER["raw_trio"])
    for regime in ("one", "two"):
        assert "the server answered" in results.why_not("pingpong", regime, "liar")
        assert results.median("pingpong", regime, "raw_trio") is not None


def test_a_server_with_other_options_has_no_figure(tmp_path):
    # A server told nothing of compression, and a load that wants it.
    with Pair(PEER["ours"], Work(key="plain", title=""), tmp_path) as pair:
        port = pair.greet()["port"]
        work = Work(key="", title="", deflate=True).to_json()
        told = {"work": work, "raw": False, "port": port, "engine": None}
        load = Child("load", program("load", json.dumps(told)))
        try:
            with pytest.raises(MeasurementError, match="compression is not as it was asked for"):
                load.ask('{"open": 1}')
        finally:
            load.end()


def test_nothing_is_left_when_the_command_is_killed(tmp_path):
    arguments = ["--no-micro", "--only", "pingpong", "--servers", "raw_trio", "--seconds", "50"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks", *arguments, "--output", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        children = wait_for(lambda: found if len(found := children_of(process.pid)) == 2 else None)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    # The server at once; the load when its round ends, for want of a server.
    wait_for(lambda: not any(is_running(child) for child in children))


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        os.sched_yield()
        time.sleep(0.01)
    raise TimeoutError

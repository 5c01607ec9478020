"""The suite itself: it measures, it judges rightly, and the page shows what was measured."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tests.benchmarks import run
from tests.benchmarks.frames import BINARY, CLOSE, TEXT, Walker, inflate, make_frame, payloads
from tests.benchmarks.measure import Effort, measure
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.plot import draw
from tests.benchmarks.processes import ROOT, Child, MeasurementError, Pair
from tests.benchmarks.report import BEGIN, END, number, render
from tests.benchmarks.results import Results
from tests.benchmarks.targets import TARGETS, judge
from tests.benchmarks.works import WORKS, Work
from trio_wsendpoint import Parser

PAGE = f"# Benchmarks\n\n{BEGIN}\nof yesterday\n{END}\n"
SHORT = Effort(rounds=2, seconds=0.01, warm_up=0.0, divisor=100)
PING_PONG = "1 connection, 125 B, ping-pong"
PEER = {peer.key: peer for peer in PEERS}


def made_up(work: str = "pingpong", **figures: float) -> Results:
    """Return results in which servers took so much CPU (`idle`: KiB), in three rounds."""
    name = "kib" if work.startswith("idle") else "cpu"
    samples: dict[str, dict[str, list[float]] | str] = {
        peer: {name: [value * 9, value, value / 9], "rate": [1e6 / value] * 3}
        for peer, value in figures.items()
    }
    return Results(command="make bench", environment={"Python": "3"}, works={work: samples})


# ---- it measures -------------------------------------------------------------------------------


def test_ours_and_the_floor_are_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "QUICK", SHORT)
    monkeypatch.setattr(run, "pin", lambda _: None)  # the other tests may use all cores
    (tmp_path / "benchmarks.md").write_text(PAGE)
    only = "pingpong,pipelined,1m,1m-text,deflate,tls,broadcast,handshakes,idle,idle-deflate-used"
    arguments = ["--quick", "--no-micro", "--servers", "ours,raw_trio,raw_trio_stream"]
    assert run.main([*arguments, "--only", only, "--output", str(tmp_path)]) == 0

    told = capsys.readouterr().out
    assert "failed" not in told
    assert re.search(
        r"^  (holds|does not) .*ping-pong: trio_wsendpoint / raw Trio", told, re.MULTILINE
    )
    results = Results.from_json(json.loads((tmp_path / "benchmarks.json").read_text()))
    for work in only.split(","):
        unit = "kib" if work.startswith("idle") else "cpu"
        samples = results.samples(work, "ours", unit)
        assert len(samples) == (1 if unit == "kib" else 2), work
        assert unit == "kib" or min(samples) > 0
    assert results.ratio("pingpong", "ours", "raw_trio") is not None
    page = (tmp_path / "benchmarks.md").read_text()
    assert page == render(PAGE, results)
    assert "| trio_wsendpoint | " in page
    assert "of yesterday" not in page
    ET.parse(tmp_path / "benchmarks.svg")


def test_a_server_that_does_not_echo_has_no_figure(tmp_path):
    # The raw echo is asked for a WebSocket, which it does not speak.
    liar = Peer(key="liar", title="liar", module="raw_trio")
    said: list[str] = []
    outcome = measure(WORKS[0], [liar], SHORT, tmp_path / "none", said.append)
    assert "the server answered" in str(outcome["liar"])
    assert len(said) == 1
    results = Results(command="", environment={}, works={"pingpong": outcome})
    assert results.median("pingpong", "liar") is None


def test_a_server_with_other_options_has_no_figure(tmp_path):
    # A server told nothing of compression, and a load that wants it.
    with Pair(PEER["ours"], Work(key="plain", title=""), tmp_path) as pair:
        told = {"work": Work(key="", title="", deflate=True).to_json(), "raw": False}
        load = Child("load", "load", json.dumps({**told, "port": pair.hello["port"]}))
        try:
            with pytest.raises(MeasurementError, match="compression is not as it was asked for"):
                load.ask('{"open": 1}')
        finally:
            load.end()


def test_there_can_be_many_connections(tmp_path):
    work = Work(key="connections-1000", title="", connections=1100)  # more than select() takes
    outcome = measure(work, [PEER["raw_trio"]], replace(SHORT, divisor=1), tmp_path, print)
    results = Results(command="", environment={}, works={"connections-1000": outcome})
    assert results.median("connections-1000", "raw_trio") is not None


def test_the_figures_are_in_proportion_to_the_work(tmp_path):
    outcome = measure(
        Work(key="1m", title="", size=1024 * 1024), [PEER["ours"]], SHORT, tmp_path, print
    )
    large = Results(command="", environment={}, works={"1m": outcome}).median("1m", "ours")
    outcome = measure(Work(key="small", title=""), [PEER["ours"]], SHORT, tmp_path, print)
    small = Results(command="", environment={}, works={"small": outcome}).median("small", "ours")
    assert large is not None
    assert small is not None
    assert large > 5 * small  # a mebibyte, against 125 bytes


# ---- what is sent ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [125, 126, 1024, 65535, 65536, 1024 * 1024])
@pytest.mark.parametrize("text", [False, True])
def test_the_load_sends_what_it_says(size, text):
    (payload,) = payloads(size, text=text, deflate=False)
    assert len(payload) == size
    parser = Parser(masked=True)
    parser.receive_data(make_frame(payload, TEXT if text else BINARY))
    frame = parser.get_next_frame()
    assert frame is not None
    assert (frame.type, frame.payload) == ("text" if text else "binary", payload)
    assert not text or len(payload.decode()) < size


def test_compressed_messages_are_what_they_say_and_differ():
    messages = payloads(1024, text=True, deflate=True)
    assert len(set(messages)) == len(messages) > 1
    parser = Parser(masked=True, rsv=0b100)
    for message in messages:
        assert len(message) == 1024
        parser.receive_data(make_frame(message, TEXT, deflate=True))
        frame = parser.get_next_frame()
        assert frame is not None
        assert inflate(frame.payload) == message


def test_the_walker_counts_messages_however_they_are_cut():
    frames = b"\x02\x03abc" + b"\x89\x00" + b"\x80\x7e\x00\x80" + bytes(128) + b"\x81\x00"
    for step in (1, 3, 7, len(frames)):
        walker = Walker()
        pieces = [frames[start : start + step] for start in range(0, len(frames), step)]
        assert sum(map(walker.feed, pieces)) == 2
        assert walker.is_between_messages
    with pytest.raises(ConnectionError, match="closed"):
        Walker().feed(bytes([0x80 | CLOSE, 0]))


# ---- it judges ---------------------------------------------------------------------------------


def verdict(results: Results, text: str):
    (found,) = (one for one in judge(results) if one.target.text.startswith(text))
    return found


@pytest.mark.parametrize(
    ("ours", "word"), [(10.0, "holds"), (20.0, "holds"), (20.1, "does not"), (300.0, "does not")]
)
def test_a_ratio_holds_up_to_its_limit(ours, word):
    results = made_up(ours=ours, websockets_trio=100.0)
    found = verdict(results, f"{PING_PONG}: trio_wsendpoint / websockets, Trio")
    assert found.word == word
    assert found.value == pytest.approx(ours / 100)
    assert [one.word for one in judge(results)].count("not measured") == len(TARGETS) - 1


@pytest.mark.parametrize(("kib", "word"), [(11.9, "holds"), (12.1, "does not")])
def test_memory(kib, word):
    assert verdict(made_up("idle", ours=kib), "memory").word == word


@pytest.mark.parametrize(
    ("ours", "word"), [(2.0, "holds"), (2.19, "holds"), (2.21, "does not"), (4.0, "does not")]
)
def test_the_cost_may_grow_as_that_of_the_floor_does(ours, word):
    results = made_up(ours=10.0, raw_trio=5.0)
    results.works |= made_up("connections-5000", ours=10.0 * ours, raw_trio=10.0).works
    assert verdict(results, "5,000 connections").word == word


@pytest.mark.parametrize(("pure", "word"), [(19.0, "holds"), (21.0, "does not")])
def test_the_uncompiled_form(pure, word):
    found = verdict(made_up(ours=10.0, ours_pure=pure), f"{PING_PONG}: trio_wsendpoint, uncompiled")
    assert found.word == word


def test_there_is_a_target_for_every_figure_that_was_promised():
    assert len(TARGETS) == 6 * 3 - 1 + 1 + 1 + 4 + 3 + 1
    assert len({target.text for target in TARGETS}) == len(TARGETS)


# ---- it shows ----------------------------------------------------------------------------------


def test_the_table_has_the_median_the_spread_and_the_ratio():
    page = render(PAGE, made_up(ours=10.0, picows=20.0))
    assert "| picows, asyncio | 50,000 | 20.0 | 2.22 to 180 | 0.50 |" in page
    assert "| 1 connection, 125 B, ping-pong: trio_wsendpoint / picows, asyncio | 1.15 |" in page
    with pytest.raises(ValueError, match="no place"):
        render("# nothing", made_up())


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.5, "0.50"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_a_library_that_is_not_installed_is_told(monkeypatch):
    there = PEERS
    absent = Peer(key="absent", title="absent", module="absent", needs=("no-such-thing",))
    monkeypatch.setattr(run, "PEERS", (*there, absent))
    skipped: dict[str, str] = {}
    assert absent not in run.choose([], skipped)
    assert skipped["absent"] == "no-such-thing is not installed"


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--servers", "nobody"]])
def test_unknown_names_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        run.parse(arguments)
    assert "no such" in capsys.readouterr().err


def test_the_page_and_the_plot_show_the_figures_that_are_kept():
    docs = ROOT / "docs"
    results = Results.from_json(json.loads((docs / "benchmarks.json").read_text()))
    page = (docs / "benchmarks.md").read_text()
    assert page == render(page, results), "run python -m tests.benchmarks --render"
    assert (docs / "benchmarks.svg").read_text() == draw(results)

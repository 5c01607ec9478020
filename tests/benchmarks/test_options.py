"""What the command is told, and what is chosen for it."""

from __future__ import annotations

import os

import pytest

from tests.benchmarks import run
from tests.benchmarks.options import COMPARE, FULL, QUICK, command_of, effort_of, is_full, parse
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.processes import ROOT
from tests.benchmarks.works import WORKS


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "nothing"], "no such work: nothing"),
        (["--servers", "nobody"], "no such server: nobody"),
        (["--compare", "/nowhere"], "/nowhere is no checkout"),
        (["--regime", "three"], "three"),
    ],
)
def test_unknown_names_are_refused(arguments, text, capsys):
    with pytest.raises(SystemExit):
        parse(arguments)
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "effort"), [([], FULL), (["--quick"], QUICK), (["--compare", str(ROOT)], COMPARE)]
)
def test_the_effort(arguments, effort):
    assert effort_of(parse(arguments)) == effort
    assert effort_of(parse([*arguments, "--rounds", "3"])).rounds == 3


def test_the_command_has_the_same_measured_again():
    assert command_of(parse([])) == "make bench"
    arguments = ["--quick", "--only", "tls,idle", "--regime", "two", "--seconds", "0.5"]
    assert command_of(parse(arguments)) == f'make bench BENCH="{" ".join(arguments)}"'
    assert is_full(parse(["--rounds", "3"]))
    assert not is_full(parse(arguments))


def test_a_library_that_is_not_installed_is_told(monkeypatch):
    absent = Peer(key="absent", title="absent", module="absent", needs=("no-such-thing",))
    monkeypatch.setattr(run, "PEERS", (*PEERS, absent))
    skipped: dict[str, str] = {}
    assert absent not in run.choose([], skipped)
    assert skipped["absent"] == "no-such-thing is not installed"


@pytest.mark.parametrize(
    ("allowed", "only", "expected"),
    [({3}, None, {"one"}), ({2, 3}, None, {"one", "two"}), ({2, 3}, "two", {"two"})],
)
def test_a_core_for_each_process(monkeypatch, allowed, only, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
    skipped: dict[str, str] = {}
    assert set(run.choose_cores(only, skipped)) == expected
    assert skipped == ({"two": "there is one core only"} if len(allowed) == 1 else {})


def test_quick_measures_what_the_targets_need():
    works = {work.key: {peer.key for peer in run.needed(work, PEERS)} for work in WORKS}
    assert works["tls"] == {"ours", "picows", "aiohttp_uvloop", "c_echo"}
    assert works["growth"] == {"ours"} | {"c_echo"}
    assert works["1m-text"] == set()

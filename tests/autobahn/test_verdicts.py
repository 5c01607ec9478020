"""How the runner judges: on made-up reports, without the suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.autobahn import run, verdicts
from tests.autobahn.verdicts import Results, Verdict, judge

GOOD = Verdict("OK", "OK")
OPEN = Verdict("INFORMATIONAL", "INFORMATIONAL")


def write_index(folder: Path, cases: dict[str, Verdict]) -> Path:
    path = folder / "index.json"
    entries = {
        case: {"behavior": verdict.behavior, "behaviorClose": verdict.close, "duration": 3}
        for case, verdict in cases.items()
    }
    path.write_text(json.dumps({"agent": entries}))
    return path


def test_the_index_is_read_in_the_order_of_the_cases(tmp_path: Path):
    path = write_index(tmp_path, {"10.1.1": GOOD, "9.1.1": Verdict("FAILED", "UNCLEAN")})
    found = verdicts.read_index(path)
    assert list(found.items()) == [("9.1.1", Verdict("FAILED", "UNCLEAN")), ("10.1.1", GOOD)]


def test_no_index_is_no_cases(tmp_path: Path):
    # wstest exits 0 when it could not connect, and writes an empty one, or none.
    assert verdicts.read_index(tmp_path / "index.json") == {}
    (tmp_path / "index.json").write_text("{}")
    assert verdicts.read_index(tmp_path / "index.json") == {}
    assert judge({}, {}, count=None).problems == ["no case was run"]


def test_an_index_of_two_agents_is_refused(tmp_path: Path):
    (tmp_path / "index.json").write_text('{"a": {}, "b": {}}')
    with pytest.raises(ValueError, match="2 agents"):
        verdicts.read_index(tmp_path / "index.json")


def test_a_run_as_recorded_is_good():
    found = {"1.1.1": GOOD, "7.1.6": OPEN, "7.13.1": Verdict("INFORMATIONAL", "OK")}
    judgement = judge(found, found, count=3)
    assert judgement.is_good
    assert judgement.summary() == (
        "3 cases: 1 INFORMATIONAL / close INFORMATIONAL, 1 INFORMATIONAL / close OK,"
        " 1 OK / close OK"
    )


@pytest.mark.parametrize(
    "verdict",
    [
        *(Verdict(behavior, "OK") for behavior in ("FAILED", "NON-STRICT", "UNIMPLEMENTED")),
        *(Verdict("OK", close) for close in ("FAILED", "UNCLEAN", "WRONG CODE")),
        Verdict("OK", "FAILED BY CLIENT"),
        OPEN,  # only three cases may leave it open
        Verdict("SOMETHING", "OK"),
    ],
    ids=str,
)
def test_anything_but_ok_is_a_problem_even_if_it_is_recorded(verdict: Verdict):
    judgement = judge({"1.1.1": verdict}, {"1.1.1": verdict}, count=1)
    assert judgement.problems == [f"1.1.1: {verdict}"]


@pytest.mark.parametrize("verdict", [Verdict("FAILED", "OK"), Verdict("INFORMATIONAL", "UNCLEAN")])
def test_an_informational_case_may_fail_too(verdict: Verdict):
    assert judge({"7.1.6": verdict}, {}, count=1).problems == [f"7.1.6: {verdict}"]


def test_an_informational_case_is_compared_with_what_is_recorded():
    judgement = judge({"7.1.6": OPEN}, {"7.1.6": Verdict("INFORMATIONAL", "OK")}, count=1)
    assert judgement.problems == [
        "7.1.6: INFORMATIONAL / close INFORMATIONAL, recorded: INFORMATIONAL / close OK"
    ]


def test_a_missing_case_is_a_problem():
    judgement = judge({"1.1.1": GOOD}, {"1.1.1": GOOD, "12.1.2": GOOD}, count=None)
    assert judgement.problems == ["12.1.2: missing, recorded: OK / close OK"]


def test_the_count_is_checked_when_nothing_is_recorded():
    assert judge({"1.1.1": GOOD}, {}, count=None).is_good
    assert judge({"1.1.1": GOOD}, {}, count=2).problems == ["1 cases were run, 2 were expected"]


@pytest.mark.parametrize(
    ("pattern", "case", "expected"),
    [
        ("*", "9.1.1", True),
        ("3.*", "3.2", True),
        ("3.*", "13.2.1", False),
        ("12.*.1", "12.1.18", True),  # the suite's patterns are prefixes
        ("12.*.9", "12.3.9", True),
        ("1.1.1", "1.1.11", False),  # and what has no star is a name
    ],
)
def test_patterns_are_those_of_the_suite(pattern: str, case: str, expected: bool):
    assert verdicts.is_selected(case, [pattern], []) is expected
    assert not verdicts.is_selected(case, [pattern], ["*"])


def test_a_quick_run_leaves_out_the_large_messages_of_12_and_13():
    cases = [f"{section}.1.{n}" for section in (9, 12, 13) for n in range(1, 19)]
    taken = [case for case in cases if verdicts.is_selected(case, ["*"], verdicts.EXCLUDED)]
    assert taken == [
        *(f"9.1.{n}" for n in range(1, 19)),
        *(f"{section}.1.{n}" for section in (12, 13) for n in (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13)),
    ]


def test_results_are_recorded_a_line_a_case_and_kept_for_other_roles_and_cases(tmp_path: Path):
    path = tmp_path / "results.json"
    Results(path).record("server", {"10.1.1": GOOD, "9.1.1": GOOD})
    Results(path).record("client", {"9.1.1": OPEN})
    assert path.read_text() == (
        "{\n"
        '"9.1.1": {"client": ["INFORMATIONAL", "INFORMATIONAL"], "server": ["OK", "OK"]},\n'
        '"10.1.1": {"server": ["OK", "OK"]}\n'
        "}\n"
    )
    assert Results(path).of("client", ["*"], []) == {"9.1.1": OPEN}
    assert Results(path).of("server", ["9.*"], []) == {"9.1.1": GOOD}


def test_the_results_file_of_the_project_is_complete_and_good():
    results = Results(run.RESULTS)
    for role in run.ROLES:
        whole = results.of(role, verdicts.CASES, [])
        quick = results.of(role, verdicts.CASES, verdicts.EXCLUDED)
        assert judge(whole, {}, verdicts.FULL_COUNT).problems == []
        assert len(quick) == verdicts.QUICK_COUNT


def test_a_command_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("WSTEST", raising=False)
    with pytest.raises(run.RunFailed, match=r"no command 'wstest'.*--wstest.*WSTEST.*--docker"):
        run.make_plan(run.read_arguments([]))
    with pytest.raises(run.RunFailed, match="no command 'nowhere -v'"):
        run.make_plan(run.read_arguments(["--wstest", "nowhere -v"]))
    with pytest.raises(run.RunFailed, match="no docker command"):
        run.make_plan(run.read_arguments(["--docker"]))


def test_a_command_is_found_where_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    tool = tmp_path / "wstest"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.delenv("WSTEST", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.find_wstest(None) == [str(tool)]
    monkeypatch.setenv("WSTEST", f"{tool} --debug")
    assert run.find_wstest(None) == [str(tool), "--debug"]
    plan = run.make_plan(run.read_arguments(["--full"]))
    assert (plan.count, plan.excluded) == (verdicts.FULL_COUNT, ())
    assert plan.command("fuzzingclient", tmp_path)[:4] == [
        str(tool),
        "--debug",
        "--mode",
        "fuzzingclient",
    ]
    plan = run.make_plan(run.read_arguments(["--cases", "3.*"]))
    assert (plan.count, plan.cases, plan.excluded) == (None, ["3.*"], ())

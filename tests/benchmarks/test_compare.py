"""Two checkouts beside each other."""

from __future__ import annotations

import pytest

from tests.benchmarks import compare, options, processes, run
from tests.benchmarks.compare import Row, line, rows
from tests.benchmarks.figures import Quartiles
from tests.benchmarks.made_up import made_up
from tests.benchmarks.measure import Effort
from tests.benchmarks.processes import ROOT


@pytest.mark.parametrize(
    ("ratio", "is_worse", "word"),
    [
        ((1.05, 1.06, 1.07), True, "6.0% more"),
        ((0.99, 1.04, 1.09), False, "not clear: measure more rounds"),
        ((1.01, 1.03, 1.05), False, ""),
        ((0.90, 0.95, 0.97), False, "less"),
        ((0.90, 0.95, 1.01), False, ""),
    ],
)
def test_a_row_is_worse_if_three_of_four_rounds_agree(ratio, is_worse, word):
    row = Row("pingpong", "one", 10.0, 10.0, Quartiles(*ratio))
    assert row.is_worse is is_worse
    assert row.word == word


def test_a_row_for_what_was_measured_on_both_sides():
    results = made_up(ours=11.0, other=10.0)
    results.works |= made_up("idle", ours=6.0, other=5.0).works
    results.works |= made_up("tls", ours=6.0).works
    found = list(rows(results))
    assert [(row.work, row.this, row.other) for row in found] == [
        ("pingpong", 11.0, 10.0),
        ("idle", 6.0, 5.0),
    ]
    told = line(found[0])
    assert "1.100 (1.100 to 1.100)  10.0% more" in told
    assert told.startswith("1 connection, 125 B, ping-pong ")


def test_a_checkout_is_measured_beside_itself(monkeypatch, capsys):
    monkeypatch.setattr(options, "COMPARE", Effort(rounds=2, seconds=0.01, warm_up=0, starts=2))
    monkeypatch.setattr(processes, "confine", lambda pid, core: None)
    monkeypatch.setattr(compare, "WORSE", 1e9)
    assert run.main(["--compare", str(ROOT), "--only", "pingpong,1k"]) == 0
    told = capsys.readouterr().out
    assert "1 connection, 125 B, ping-pong" in told
    assert "10 connections, 1 KiB, 4 in flight" in told
    assert "not alike" not in told
    assert "0 of" in told
    assert "failed" not in told


def test_a_checkout_that_fails_is_told(monkeypatch, capsys, tmp_path):
    (tmp_path / "trio_wsendpoint").mkdir()
    (tmp_path / "trio_wsendpoint" / "__init__.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(processes.MeasurementError, match="the other checkout: it has ended"):
        run.main(["--compare", str(tmp_path), "--only", "pingpong"])

"""The page and the plot show what was measured."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tests.benchmarks.made_up import PAGE, made_up, samples
from tests.benchmarks.plot import draw
from tests.benchmarks.processes import ROOT
from tests.benchmarks.readme import BEGIN, END, with_figures
from tests.benchmarks.report import number, render
from tests.benchmarks.results import Results


def test_a_work_has_a_row_for_each_server():
    page = render(PAGE, made_up(ours=10.0, picows=20.0))
    row = "| picows, asyncio | 50,000 | 20.0 | 11.1 to 100 | 0.50 | 40.0 | 60.0 | - |"
    assert row in page
    assert "| 1 connection, 125 B, ping-pong | 10.0 | 20.0 |" in page
    assert "of yesterday" not in page


def test_a_target_has_a_row_with_its_verdict():
    page = render(PAGE, made_up(ours=11.0, picows=10.0))
    what = "1 connection, 125 B, ping-pong | trio_wsendpoint / picows, asyncio"
    assert f"| {what} | 1 | 1.10 | 1.10 to 1.10 | - | does not hold, by 10.0% |" in page
    assert "0 of 30 hold on one core, 29 not measured" in page


@pytest.mark.parametrize(
    ("raw", "words"),
    [(9.0, "0.90 | does not hold, by 20.0% |"), (11.0, "1.10 | does not hold, by 20.0%; the raw")],
)
def test_a_target_shows_what_the_raw_echo_comes_to(raw, words):
    page = render(PAGE, made_up(ours=12.0, raw_trio=raw, picows=10.0))
    assert f"| 1 | 1.20 | 1.20 to 1.20 | {words}" in page


def test_a_profile_has_a_row_for_each_way_of_the_message():
    results = made_up(ours=10.0)
    assert "## Profiles" not in render(PAGE, results)
    calls = {"poll": 0.001, "recv": 1.125, "send": 2.0}
    profile = {"bytecodes": {"ours": 1600.4, "Trio": 90.0}, "system_calls": calls}
    results.profiles = {"pingpong": {"is waited for": profile}}
    row = (
        "| 1 connection, 125 B, ping-pong | is waited for | 1,600 | 90 | 0 | send 2.00, recv 1.12 |"
    )
    assert row in render(PAGE, results)


def test_a_full_load_has_a_mark():
    results = made_up(regime="two", ours=11.0)
    results.works["pingpong"]["two"]["raw_trio"] = samples(10.0, load=1.0)
    page = render(PAGE, results)
    assert "| 1 connection, 125 B, ping-pong | 11.0 | 10.0 † |" in page
    assert "| 1.1 | 1.10 † |" in page


def test_the_floors():
    page = render(PAGE, made_up(ours=30.0, raw_trio=20.0, c_echo=10.0))
    assert "| 1 connection, 125 B, ping-pong | one core | 2.00 | 1.50 | 3.00 |" in page


def test_memory_is_one_table():
    results = made_up("idle", ours=6.0)
    results.works |= made_up("growth", ours=-0.25, picows=3.0).works
    page = render(PAGE, results)
    assert "| trio_wsendpoint | 6.0 | -0.2 |" in page
    assert "| picows, asyncio | - | 3.0 |" in page


def test_what_failed_and_what_was_skipped_is_told():
    results = made_up(ours=10.0)
    results.works["pingpong"]["one"]["picows"] = "failed: no echo"
    results.skipped = {"two": "there is one core only", "tls": "13 minutes were over"}
    page = render(PAGE, results)
    assert "| picows, asyncio | failed: no echo |" in page
    assert "- not measured: two cores, because there is one core only" in page
    assert "- not measured: TLS, 1 connection, 125 B, ping-pong, because 13 minutes" in page


def test_a_page_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="no place"):
        render("# nothing", made_up())


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.5, "0.50"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_plot_has_a_bar_for_each_regime_and_lines():
    results = made_up(ours=10.0, picows=20.0)
    for work in ("pingpong", "connections-100", "connections-1000", "connections-5000"):
        results.works[work] = {
            regime: {"ours": samples(10.0), "raw_trio": samples(5.0)} for regime in ("one", "two")
        }
    plot = ET.fromstring(draw(results))
    kinds = [one.get("class") for one in plot.iter() if one.tag.endswith("rect")]
    assert kinds.count("ours one") == kinds.count("ours two") == 4
    lines = [one for one in plot.iter() if one.tag.endswith("polyline")]
    assert len(lines) == 2 * 2


def test_results_are_kept_whole_and_short():
    results = made_up(ours=10.0)
    text = results.to_json()
    assert Results.from_json(json.loads(text)) == results
    assert '"cpu": [ 90.0, 10.0, 1.1111111111111112 ]' in text


def test_the_page_and_the_plot_show_the_figures_that_are_kept():
    docs = ROOT / "docs"
    results = Results.from_json(json.loads((docs / "benchmarks.json").read_text()))
    page = (docs / "benchmarks.md").read_text()
    assert page == render(page, results), "run python -m tests.benchmarks --render"
    assert (docs / "benchmarks.svg").read_text() == draw(results)
    readme = (ROOT / "README.md").read_text()
    assert readme == with_figures(readme, results), "run python -m tests.benchmarks --render"


def test_the_readme_has_the_figures_of_both_regimes():
    readme = f"# It\n\n{BEGIN}\nof yesterday\n{END}\n"
    made = with_figures(readme, made_up(ours=10.0, picows=20.0))
    assert (
        "| 1 connection, 125 B, ping-pong | 10.0 / - | - / - | - / - | - / - | 20.0 / - |" in made
    )
    assert "make bench" in made
    assert "yesterday" not in made
    with pytest.raises(ValueError, match="no place"):
        with_figures("# nothing", made_up())

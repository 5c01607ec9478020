"""What the explanations name is there: functions of the source, and the tests that hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages.blocks import ROOT
from tests.test_architecture_page import missing_from
from trio_wsendpoint.connection.writer import Writing

DOCS = ROOT / "docs"
PAGES = ["walk-of-a-byte", "sending", "cancellation", "closing", "back-pressure"]


def text_of(page: str) -> str:
    return DOCS.joinpath(f"{page}.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_function_is_there(page: str) -> None:
    assert missing_from(text_of(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_the_tests_that_hold_it_are_there(page: str) -> None:
    for name in re.findall(r"`(tests/[\w/.]+)`", text_of(page)):
        assert ROOT.joinpath(name).exists(), name


def test_the_walk_has_twenty_steps_and_each_names_a_place() -> None:
    step = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^$)", re.MULTILINE | re.DOTALL)
    steps = step.findall(text_of("walk-of-a-byte"))
    assert [int(number) for number, _ in steps] == list(range(1, 21))
    without = [int(number) for number, words in steps if not re.search(r"`[A-Z]\w*\.\w+", words)]
    assert without == [4, 9, 10, 11, 16, 17]  # the kernel's, the codec's, and the end


@pytest.mark.parametrize(("kind", "page"), [(Writing, "sending")])
def test_every_value_is_told(kind: type[Writing], page: str) -> None:
    assert [one.name for one in kind if f"`{kind.__name__}.{one.name}`" not in text_of(page)] == []


def test_an_explanation_shows_one_program_at_most() -> None:
    for page in PAGES:
        assert text_of(page).count("```python") <= 1, page
        assert "\nHeld by: `tests/" in text_of(page), page


def test_each_is_linked_from_the_others() -> None:
    for page in PAGES:
        others = [Path(other) for other in PAGES if other != page]
        assert any(f"]({page}.md)" in text_of(str(other)) for other in others), page

"""The pictures say what the tables say, and can be read by a screen reader and in the dark."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import generated
import pictures
import pytest

from tests.pages.blocks import ROOT
from tests.test_layers import LAYERS, SANS_IO
from trio_wsendpoint.protocol.closing import TRANSITIONS, Event, State

SVG = "{http://www.w3.org/2000/svg}"


def words_of(drawn: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(drawn).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", pictures.pictures())
def test_a_picture_has_a_title_and_both_colours_and_a_page(name: str) -> None:
    drawn = pictures.pictures()[name]
    assert ET.fromstring(drawn).findtext(f"{SVG}title")
    assert "prefers-color-scheme: dark" in drawn
    pages = (ROOT / "docs").glob("*.md")
    assert any(f"]({name})" in path.read_text() for path in pages)


def test_every_arrow_of_the_table_is_drawn() -> None:
    drawn = pictures.pictures()["closing-states.svg"]
    arrows = pictures.arrows_of(TRANSITIONS)
    assert (State.OPEN, State.CLOSE_SENT, "we close") in arrows
    assert sum(len(set(row.values())) for row in TRANSITIONS.values()) == len(arrows)
    assert drawn.count("<polyline") == len(arrows)
    assert {words for _, _, words in arrows} <= set(words_of(drawn))


def test_another_table_is_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pictures.pictures()["closing-states.svg"], pictures.table_of_closing()
    monkeypatch.setitem(TRANSITIONS, State.CLOSED, {Event.BYTES_END: State.FAILED})
    assert pictures.pictures()["closing-states.svg"] != before[0]
    assert pictures.table_of_closing() != before[1]


def test_a_page_of_closing_that_differs_is_found() -> None:
    page = (ROOT / "docs" / "closing.md").read_text()
    table = pictures.table_of_closing()
    assert generated.put_in(page, "table", table) == page
    assert generated.put_in(page.replace("| **open** |", "| **OPEN** |"), "table", table) == page
    with pytest.raises(ValueError, match="no place for the table"):
        generated.put_in(page.replace("<!-- end of table -->", ""), "table", table)


def test_the_layers_are_those_that_imports_are_held_to() -> None:
    drawn = [set(units) for units, _ in pictures.LAYERS]
    held = [set(units) - {"__init__", "__main__"} for units in reversed(LAYERS[1:])]
    assert drawn == [units for units in held if units]
    for units, imports_trio in pictures.LAYERS:
        for unit in set(units) - {"transport"}:
            assert imports_trio == (unit not in SANS_IO), unit

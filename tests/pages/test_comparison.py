"""Each cell of "What each has" names what its library has, or is marked as read."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from tests.pages.blocks import ROOT

PAGE = (ROOT / "docs" / "comparison.md").read_text()
ROWS = re.findall(r"^\| .+ \|$", PAGE.partition("## What each has")[2], re.MULTILINE)
LIBRARIES = ["trio_wsendpoint", "websockets", "trio_websocket", "aiohttp"]
CELLS = [
    pytest.param(library, cell, id=f"{row.split('|')[1].strip()}-{library}")
    for row in ROWS[2:]
    for library, cell in zip(LIBRARIES, row.strip("| ").split(" | ")[-4:], strict=True)
]
#: A name of the library, and a parameter of it: `trio.client.connect(proxy=)`.
NAME = re.compile(r"`([\w.]+)(?:\((\w+)=\))?`")


def find(library: str, name: str) -> object:
    """Return what a name of a library stands for: a module, or something in one."""
    found: object = importlib.import_module(library)
    path = library
    for part in name.split("."):
        path = f"{path}.{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
    return found


@pytest.mark.parametrize(("library", "cell"), CELLS)
def test_a_cell_names_what_is_there_or_is_marked(library: str, cell: str) -> None:
    pytest.importorskip(library)
    names = NAME.findall(cell)
    assert names or cell.endswith("(read)")
    for name, parameter in names:
        found = find(library, name)
        if parameter:
            assert callable(found)
            assert parameter in inspect.signature(found).parameters


def test_each_row_has_four_cells() -> None:
    assert len(CELLS) == 4 * len(ROWS[2:]) > 50
    assert [row for row in ROWS if row.count(" | ") != 4] == []


@pytest.mark.parametrize("name", ["no_such_name", "serve_endpoint.no_such_name"])
def test_a_name_that_is_not_there_is_found(name: str) -> None:
    with pytest.raises(ImportError):
        find("trio_wsendpoint", name)

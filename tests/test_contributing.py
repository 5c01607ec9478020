"""CONTRIBUTING.md and SECURITY.md name what is there."""

from __future__ import annotations

import re

import pytest

from tests.codec.forms import ROOT

PAGES = ("CONTRIBUTING.md", "SECURITY.md")
PATH = re.compile(r"`((?:trio_wsendpoint|tests|docs|changes)/[\w./]*[\w/])`")


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    found = [path for path in PATH.findall(text_of(page)) if "NAME" not in path]
    missing = [path for path in found if not (ROOT / path).exists()]
    assert missing == []


def test_every_place_has_what_it_is_named_for() -> None:
    section = text_of("CONTRIBUTING.md").partition("## Where to find what")[2].partition("##")[0]
    items = [item for item in re.split(r"(?m)^- ", section) if item.strip()]
    assert len(items) >= 8
    for item in items:
        names = re.findall(r"in\s+`(\w+)`|by\s+`(\w+)`", item)
        source = "".join((ROOT / path).read_text() for path in PATH.findall(item))
        for name in filter(None, (one for pair in names for one in pair)):
            assert re.search(rf"(?m)^\s*(?:async )?(?:def|class) {name}\b", source), (name, item)


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_is_there(page: str) -> None:
    makefile = text_of("Makefile")
    for target in re.findall(r"`make (\w+)", text_of(page)):
        assert re.search(rf"(?m)^{target}:", makefile), target


def test_every_folder_has_its_row() -> None:
    table = text_of("CONTRIBUTING.md").partition("## The layers")[2].partition("##")[0]
    folders = [path for path in (ROOT / "trio_wsendpoint").iterdir() if path.is_dir()]
    for folder in folders:
        if not folder.name.startswith("_"):
            assert f"`{folder.name}/`" in table, folder.name

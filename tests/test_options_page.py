"""docs/options.md has every option with its default, and says what happens at each limit."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from trio_wsendpoint import (
    AcceptOptions,
    Backoff,
    ConnectOptions,
    Deflate,
    Heartbeat,
    HttpLimits,
    Limits,
    ServeOptions,
    ServerLimits,
    Timeouts,
)
from trio_wsendpoint.hub import Block, Close, DropNewest, DropOldest, History, Latest
from trio_wsendpoint.workers import WorkersOptions

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "options.md").read_text()
GROUPS = [Backoff, Deflate, Heartbeat, HttpLimits, Limits, ServerLimits, Timeouts]
GROUPS_OF_HUBS = [Block, Close, DropNewest, DropOldest, History, Latest]
KEYWORDS = [AcceptOptions, ConnectOptions, ServeOptions]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated", ROOT / "docs" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_makes() -> None:
    assert generator().render() == PAGE, "run python docs/generated.py"


@pytest.mark.parametrize("group", [*GROUPS, *GROUPS_OF_HUBS])
def test_every_option_of_a_group_is_there(group: type) -> None:
    [section] = re.findall(rf"^## `{group.__name__}`\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert told == [field.name for field in dataclasses.fields(group)]


@pytest.mark.parametrize("options", KEYWORDS)
def test_every_keyword_is_there(options: type) -> None:
    for name in options.__annotations__:
        assert re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE), name


def test_workers_have_a_section_of_their_own() -> None:
    """Not one name of it may be told by the section of servers, which has `listen` too."""
    [section] = re.findall(
        r"^## Keywords of several processes\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [*WorkersOptions.__annotations__]
    assert "| `stop` | `float \\| None` | `None` |" in section


def test_an_option_without_a_text_fails() -> None:
    module = generator()
    del module.TEXTS["Limits"]["fragments"]
    with pytest.raises(KeyError, match="fragments"):
        module.render()


def test_a_default_that_has_changed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    module = generator()
    changed = dataclasses.make_dataclass("Limits", [("message_size", int, 7)], frozen=True)
    monkeypatch.setattr(module, "GROUPS", {changed: ""})
    assert module.render() != PAGE

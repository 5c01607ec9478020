"""docs/options.md has every option with its default, and says what happens at each limit."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import generated
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
from trio_wsendpoint.asgi import AsgiOptions
from trio_wsendpoint.hub import Block, Close, DropNewest, DropOldest, History, Latest
from trio_wsendpoint.hub.redis import RedisBackplane
from trio_wsendpoint.workers import WorkersOptions

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "options.md").read_text()
GROUPS = [Backoff, Deflate, Heartbeat, HttpLimits, Limits, ServerLimits, Timeouts]
GROUPS_OF_HUBS = [Block, Close, DropNewest, DropOldest, History, Latest]
KEYWORDS = [AcceptOptions, AsgiOptions, ConnectOptions, ServeOptions]


def test_what_is_drawn_is_what_the_script_makes() -> None:
    assert generated.main(["--check"]) is None


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


def test_every_argument_of_the_backplane_is_there() -> None:
    section = PAGE.partition("## Arguments of `RedisBackplane`")[2]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert told == list(inspect.signature(RedisBackplane).parameters)


def test_an_option_without_a_text_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(generated.TEXTS["Limits"], "fragments")
    with pytest.raises(KeyError, match="fragments"):
        generated.render()


def test_a_default_that_has_changed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = dataclasses.make_dataclass("Limits", [("message_size", int, 7)], frozen=True)
    monkeypatch.setattr(generated, "GROUPS", {changed: ""})
    assert generated.render() != PAGE

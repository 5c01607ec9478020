"""docs/observing.md names every field, hook and cause that there is."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.pages.blocks import ROOT
from trio_wsendpoint import CloseCause, ConnectionStatistics, ServerStatistics
from trio_wsendpoint.connection.instruments import HOOKS

PAGE = (ROOT / "docs" / "observing.md").read_text()


@pytest.mark.parametrize("kind", [ConnectionStatistics, ServerStatistics])
def test_every_field_is_told(kind: type) -> None:
    told = set(re.findall(r"`(\w+\*?)`", PAGE))
    families = {name[:-1] for name in told if name.endswith("*")}
    names = [field.name for field in dataclasses.fields(kind)]
    assert len(names) > 20
    missing = [n for n in names if n not in told and not n.startswith(tuple(families))]
    assert missing == []


def test_every_hook_and_every_cause_is_told() -> None:
    assert [name for name in HOOKS if f"| `{name}(" not in PAGE] == []
    assert [cause for cause in CloseCause if f'| `"{cause}"` |' not in PAGE] == []

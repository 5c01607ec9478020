"""docs/proxies.md is true: its options exist."""

from __future__ import annotations

import re
from pathlib import Path

from trio_wsendpoint.server.settings import ServeOptions

ROOT = Path(__file__).parents[1]


def test_its_options_exist() -> None:
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "proxies.md").read_text(), re.MULTILINE)
    assert table == ["trusted_proxies", "forwarded", "proxy_protocol"]
    assert set(table) <= ServeOptions.__annotations__.keys()

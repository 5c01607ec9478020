"""docs/proxies.md is true: its code runs, its options exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from trio_wsendpoint.server.settings import ServeOptions

ROOT = Path(__file__).parents[1]


def test_the_code_runs() -> None:
    text = (ROOT / "docs" / "proxies.md").read_text()
    [source] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", source]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout == "192.0.2.1 via 127.0.0.1\n", run.stderr


def test_its_options_exist() -> None:
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "proxies.md").read_text(), re.MULTILINE)
    assert table == ["trusted_proxies", "forwarded", "proxy_protocol"]
    assert set(table) <= ServeOptions.__annotations__.keys()

"""docs/proxies.md and docs/authentication.md are true: their code runs, their options exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trio_wsendpoint.server.settings import ServeOptions

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("proxies.md", "192.0.2.1 via 127.0.0.1\n"),
        ("authentication.md", 'hello ann\n401 Basic realm="prices", charset="UTF-8"\n'),
    ],
)
def test_the_code_runs(page: str, expected: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    [source] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", source]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout == expected, run.stderr


def test_its_options_exist() -> None:
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "proxies.md").read_text(), re.MULTILINE)
    assert table == ["trusted_proxies", "forwarded", "proxy_protocol"]
    assert set(table) <= ServeOptions.__annotations__.keys()

"""docs/listening.md is true: its code runs, and its addresses and options exist."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from trio_wsendpoint import EndpointServer, Listen
from trio_wsendpoint.addressing import parse_listen
from trio_wsendpoint.server.settings import ServeOptions

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "listening.md").read_text()


def test_the_code_runs() -> None:
    [source] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", source]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    addresses, echoed = run.stdout.splitlines()
    assert re.fullmatch(r"tcp:127\.0\.0\.1:\d+ unix:/\S+/app\.sock", addresses)
    assert echoed == "hello"


def test_its_addresses_can_be_read() -> None:
    told = re.findall(r'"((?:tcp|unix|systemd|fd):[^"]*)"', PAGE.replace('f"', '"'))
    assert len(told) > 8
    for text in told:
        assert str(parse_listen(text)) == text


def test_its_options_exist() -> None:
    told = set(re.findall(r"\b([a-z_]+)=", re.sub(r"```ini.*?```", "", PAGE, flags=re.DOTALL)))
    known = set(ServeOptions.__annotations__) | {one.name for one in dataclasses.fields(Listen)}
    assert {"host", "listen", "mode", "ssl_context"} <= told
    assert told - known <= {"stream"}
    for name in re.findall(r"`server\.(\w+)`", PAGE):
        assert hasattr(EndpointServer, name)

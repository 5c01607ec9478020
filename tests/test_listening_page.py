"""docs/listening.md is true: its addresses and options exist."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from trio_wsendpoint import EndpointServer, Listen
from trio_wsendpoint.addressing import parse_listen
from trio_wsendpoint.server.settings import ServeOptions

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "listening.md").read_text()


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

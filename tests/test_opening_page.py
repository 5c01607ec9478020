"""docs/opening.md is true: its options, errors and texts are those there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trio_wsendpoint
from trio_wsendpoint import BadRequest, InvalidURL, Request
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.handshake import ServerHandshake, WebSocketURL
from trio_wsendpoint.handshake.secrecy import SECRET_HEADERS
from trio_wsendpoint.server.settings import ServeOptions

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "opening.md").read_text()


def test_its_options_exist() -> None:
    told = set(re.findall(r"(\w+)=", PAGE)) - {"listeners"}
    known = ServeOptions.__annotations__.keys() | ConnectOptions.__annotations__.keys()
    assert {"host_header", "origins", "subprotocol_required", "wall_clock"} <= told
    assert told - known <= {"stream"}


def test_its_errors_exist() -> None:
    [table] = re.findall(r"^\| error \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    errors = re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE)
    assert len(errors) == 4
    for name in errors:
        assert hasattr(trio_wsendpoint, name) or name == "OSError"


def test_its_secrets_are_those_that_are_hidden() -> None:
    told = {name for name in re.findall(r"`([\w-]+)`", PAGE) if name.lower() in SECRET_HEADERS}
    assert {name.lower() for name in told} == SECRET_HEADERS


def test_its_urls_do_what_it_says() -> None:
    urls = re.findall(r"^\| `(ws\S+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(urls) == 5
    for url, says in urls:
        if says.startswith("refused"):
            with pytest.raises(InvalidURL):
                WebSocketURL.parse(url)
    name, dot, zone, user = (
        WebSocketURL.parse(url) for url, says in urls if not says.startswith("refused")
    )
    assert name.host == "xn--strae-oqa.de"
    assert dot.server_name == "example.com"
    assert (zone.host, zone.host_header) == ("fe80::1%eth0", "[fe80::1]")
    assert zone.server_name == "fe80::1"
    assert user.authorization is not None


def test_its_refusal_is_what_is_said() -> None:
    [text] = re.findall(r"^```\n(.*)\n```$", PAGE, re.MULTILINE)
    headers = {"Upgrade": "websocket", "Connection": "close", "Host": "x"}
    with pytest.raises(BadRequest) as caught:
        ServerHandshake().answer(Request("/", headers))
    assert str(caught.value) == text

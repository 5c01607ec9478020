"""docs/proxies-table.md has each set-up and each cell; docs/proxies.md the lines that are tried."""

from __future__ import annotations

import re

import pytest

from .programs import Place
from .setups import SETUPS
from .table import FILE, rendered, table, with_table
from .trials import COLUMNS

PAGE = FILE.with_name("proxies.md").read_text()
BY_NAME = {setup.name: setup for setup in SETUPS}
#: What the page has otherwise than a test: TLS, names, and sections of their own.
ONLY_SHOWN = {
    "haproxy": {
        "defaults",
        "frontend web",
        "bind :443 ssl crt /etc/haproxy/site.pem",
        "http-request set-header X-Forwarded-Proto https",
        "default_backend app",
        "backend app",
    },
    "Caddy": {"example.com {"},
}


def expected_cells():
    return {
        setup.name: {column: setup.answers.get(column, "ok") for column in COLUMNS}
        for setup in SETUPS
    }


def test_the_table_is_what_the_command_writes():
    assert rendered(FILE.read_text()) == table(expected_cells()), "run make proxies"


def test_only_what_is_between_the_marks_is_written():
    page = FILE.read_text()
    assert with_table(page, rendered(page)) == page
    assert "not tried" in with_table(page, table({}))


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("nginx", "nginx with `$http_host`"),
        ("haproxy", "haproxy with `option httpchk`"),
        ("Apache", "Apache with `ProxyPreserveHost On`"),
        ("Caddy", "Caddy with `reverse_proxy`"),
        ("Varnish", "Varnish with `return (pipe)`"),
    ],
)
def test_the_lines_of_the_page_are_those_that_are_tried(heading, name, tmp_path):
    setup = BY_NAME[name]
    setup.write(Place("127.0.0.1", 1, 8765, tmp_path), setup.lines)
    [written] = tmp_path.iterdir()
    tried = written.read_text()
    block = re.search(rf"^## {heading}\n\n(?:.*\n\n)?```\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)
    assert block is not None
    shown = {line.strip() for line in block[1].splitlines()} - ONLY_SHOWN.get(heading, set())
    assert len(shown) > 1
    assert [line for line in shown if line not in tried] == []

"""Each set-up of docs/proxies-table.md, with the proxy itself: all columns except the idle one."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest
import trio

from .programs import PATIENCE
from .setups import SETUPS, Setup
from .trials import QUICK, check_of_haproxy, origin, try_row
from .world import open_world

pytestmark = pytest.mark.component

TALK = "1 MiB and close"
ORIGIN = "Origin of a page"
BY_NAME = {setup.name: setup for setup in SETUPS}


def need(setup: Setup) -> None:
    """Skip where the proxy is missing; in CI that is a failure."""
    if setup.missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{setup.missing} is missing: .ci/run installs it")
    pytest.skip(f"{setup.missing} is missing")


@pytest.mark.parametrize("name", BY_NAME)
async def test_each_cell_is_as_expected(name, tmp_path):
    setup = BY_NAME[name]
    need(setup)
    cells = await try_row(setup, tmp_path, QUICK)
    assert cells == {column: setup.answers.get(column, "ok") for column in QUICK}


@pytest.mark.parametrize(
    ("name", "column", "answer"),
    [
        ("nginx with `$host` on another port", ORIGIN, r"403: .* not that of the host '[\d.]+'"),
        ("nginx without a Host line", ORIGIN, r"403: .* not that of the host '127\.0\.0\.1:\d+'"),
        ("Apache with `ProxyPass ws://`", ORIGIN, r"403: .* the host '127\.0\.0\.1:\d+'"),
        (
            "nginx `stream` with `proxy_protocol on`",
            TALK,
            r"400: .*\(proxy_protocol=True reads it\)",
        ),
        ("haproxy with `send-proxy`", TALK, r"400: .* PROXY protocol header \(version 1\).*"),
        ("haproxy with `send-proxy-v2`", TALK, r"400: .* PROXY protocol header \(version 2\).*"),
        ("nginx with `$http_host`", "client's address", r"the server saw 127\.0\.0\.1"),
        ("Caddy with `reverse_proxy`", "client's address", r"the server saw 127\.0\.0\.1"),
    ],
)
async def test_without_its_options_a_server_says_what_is_wrong(name, column, answer, tmp_path):
    setup = replace(BY_NAME[name], options={"trusted_proxies": []})
    need(setup)
    cells = await try_row(setup, tmp_path, [column])
    assert re.fullmatch(answer, cells[column]), cells


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("haproxy with `option httpchk`", "405"),
        ("haproxy with `option httpchk GET /health`", "426"),
    ],
)
async def test_haproxy_takes_a_server_without_http_handler_for_ill(name, status, tmp_path):
    setup = replace(BY_NAME[name], options={"http_handler": None})
    need(setup)
    async with open_world(setup, tmp_path) as world, world.proxy():
        with trio.fail_after(PATIENCE):
            while (check := await check_of_haproxy(world)) != ("L7STS", status):
                assert check[0] != "L7OK"
                await trio.sleep(0.02)


async def test_a_proxy_that_sets_no_header_lets_the_client_choose_its_address(tmp_path):
    """No server can see this: the lines of the documents are what helps."""
    setup = BY_NAME["nginx with `$http_host`"]
    need(setup)
    line = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
    assert line in setup.lines
    setup = replace(setup, lines=setup.lines.replace(line, ""))
    forged = {"X-Forwarded-For": "192.0.2.66"}
    async with (
        open_world(setup, tmp_path) as world,
        world.proxy(),
        world.connect(headers=forged) as connection,
    ):
        await connection.send("who")
        assert await connection.receive() == "192.0.2.66"


async def test_nothing_of_a_proxy_stays_behind(tmp_path):
    """Apache has processes of its own."""
    setup = BY_NAME["Apache with `ProxyPreserveHost On`"]
    need(setup)
    async with open_world(setup, tmp_path) as world:
        with trio.CancelScope() as scope:
            async with world.proxy():
                assert await origin(world) == "ok"
                scope.cancel()
                await trio.sleep_forever()
        with pytest.raises(OSError, match="all attempts to connect"):
            await world.open_stream()

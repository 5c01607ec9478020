"""Section I, and the rest of H and K, against a live server in memory."""

from __future__ import annotations

import logging
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.server.helpers import (
    MemoryListener,
    hold,
    open_raw,
    read_all,
    read_head,
    read_response,
    request,
)
from trio_wsendpoint import ServerLimits, Timeouts, serve_endpoint
from trio_wsendpoint.connection import peer as peer_module
from trio_wsendpoint.http import basic_auth
from trio_wsendpoint.testing import memory_stream_pair

LINE = b"PROXY TCP4 192.0.2.7 192.0.2.8 5000 443\r\n"
PAGE = (Path(__file__).parents[2] / "docs" / "proxies.md").read_text()


@asynccontextmanager
async def serving(monkeypatch, source="10.0.0.1", **options):
    monkeypatch.setattr(peer_module, "socket_names", lambda _: ((source, 5), None))
    listener = MemoryListener(memory_stream_pair)
    options = {"trusted_proxies": ["10.0.0.0/8"], **options}
    async with serve_endpoint(hold, listeners=[listener], **options) as server:
        yield server, listener


async def sent(listener, data):
    stream = listener.connect()
    await stream.send_all(data)
    return stream


def levels(caplog):
    return {record.levelno for record in caplog.records}


def test_h172_the_lines_of_proxies_are_in_the_documents():
    blocks = dict(re.findall(r"^## (\w+)\n.*?^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    for proxy in ("nginx", "haproxy", "Apache", "Caddy"):
        assert proxy in blocks
    assert "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;" in blocks["nginx"]
    assert "option forwardfor" in blocks["haproxy"]
    assert "ProxyAddHeaders On" in blocks["Apache"]
    assert "reverse_proxy" in blocks["Caddy"]


async def test_i192_two_headers(autojump_clock, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "trio_wsendpoint")
    async with serving(monkeypatch, proxy_protocol=True) as (_, listener):
        response = await read_response(await sent(listener, LINE + LINE + request()))
        assert response.status == 400
        assert b"a PROXY protocol header" in response.body
    assert levels(caplog) == {logging.INFO}


async def test_i192_from_an_address_that_is_not_trusted(autojump_clock, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "trio_wsendpoint")
    async with serving(monkeypatch, "192.0.2.1", proxy_protocol=True) as (_, listener):
        assert await read_all(await sent(listener, LINE + request())) == b""
    assert levels(caplog) == {logging.INFO}


@pytest.mark.parametrize("pace", [1.0, None])
async def test_i199_a_header_that_does_not_come_in_time(pace, autojump_clock, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "trio_wsendpoint")
    options = {"proxy_protocol": True, "timeouts": Timeouts(open=5)}
    async with serving(monkeypatch, **options) as (_, listener):
        stream = listener.connect()
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            for byte in LINE:
                await trio.sleep(pace or 10)
                await stream.send_all(bytes([byte]))
        assert trio.current_time() - began <= 11
        assert await read_all(stream) == b""
    assert levels(caplog) == {logging.DEBUG}


async def test_k223_failures_in_a_row(autojump_clock, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "trio_wsendpoint")
    authenticate = basic_auth({"ann": "right"})
    asked = []

    async def log_in(opening):
        asked.append(opening.peer.address)
        opening.state.user = await authenticate(opening.request)

    right, wrong = "Basic YW5uOnJpZ2h0", "Basic YW5uOndyb25n"

    def opening(credentials, client):
        return request(Authorization=credentials, X_Forwarded_For=f"192.0.2.{client}")

    limits = ServerLimits(auth_failures=3)
    options = {"process_request": log_in, "server_limits": limits}
    async with serving(monkeypatch, **options) as (server, listener):

        async def status_of(credentials, client=1):
            head, _ = await read_head(await sent(listener, opening(credentials, client)))
            return int(head[9:12]), head

        for _ in range(3):
            assert (await status_of(wrong))[0] == 401
        asked.clear()
        status, head = await status_of(right)
        assert (status, asked) == (429, [])
        assert b"Retry-After: 1\r\n" in head
        # Another client of the same proxy is not concerned, nor is one without credentials.
        assert (await status_of(right, 2))[0] == 101
        data = request(X_Forwarded_For="192.0.2.1")
        assert (await read_response(await sent(listener, data))).status == 401
        await trio.sleep(1)
        assert (await status_of(wrong))[0] == 401
        assert b"Retry-After: 2\r\n" in (await status_of(wrong))[1]
        await trio.sleep(2)
        assert (await status_of(right))[0] == 101
        assert server.connections[-1].state.user == "ann"
        # A success forgets them.
        assert (await status_of(wrong))[0] == 401
        assert (await status_of(right))[0] == 101
    told = [record.getMessage() for record in caplog.records if "(429)" in record.getMessage()]
    assert len(told) == 2
    assert all("auth_failures" in text for text in told)
    assert levels(caplog) == {logging.INFO}


async def test_k223_ipv6_networks_and_other_streams(autojump_clock, monkeypatch):
    async def log_in(opening):
        await basic_auth({})(opening.request)

    limits = ServerLimits(auth_failures=1)
    options = {"process_request": log_in, "server_limits": limits, "trusted_proxies": []}
    async with serving(monkeypatch, "2001:db8::1", **options) as (_, listener):
        data = request(Authorization="Basic YTpi")
        assert (await read_response(await sent(listener, data))).status == 401
        for source, status in ((("2001:db8::2", 1), 429), (None, 401)):
            monkeypatch.setattr(peer_module, "socket_names", lambda _, s=source: (s, None))
            assert (await read_response(await sent(listener, data))).status == status
    async with serving(monkeypatch) as (_, listener):
        await open_raw(await sent(listener, b""))

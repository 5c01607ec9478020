"""Plain requests on the port of WebSockets: who answers, and what becomes of the connection."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.server.helpers import hold, loud, open_raw, read_all, request, serve_memory
from trio_wsendpoint import (
    HandshakeError,
    HttpLimits,
    RequestAnswered,
    Response,
    ServerLimits,
    accept_endpoint,
)
from trio_wsendpoint.connection import peer as peer_module
from trio_wsendpoint.http import Unauthorized
from trio_wsendpoint.testing import memory_stream_pair

from .http_helpers import Client

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def serving(handler=hold, **options):
    async with serve_memory(handler, make_pair=memory_stream_pair, **options) as served:
        yield served, Client(served.connect())


async def status_of(client, data, body=b""):
    """Ask, and return the status; the answer ends with `body`."""
    await client.send(data)
    head = await client.read_until(b"\r\n\r\n")
    if body:
        await client.read_until(body)
    return int(head[9:12])


async def pages(request):
    if request.path == "/fails":
        raise RuntimeError("on purpose")
    body = await request.read()
    return Response(200, body=b"%s %s <%r>" % (request.method.encode(), body, request.peer.port))


# ---- a handler ---------------------------------------------------------------------------------


async def test_a_handler_answers_what_is_plain_and_the_connection_is_kept(autojump_clock):
    seen = []

    async def process_request(opening):
        seen.append(opening.request.path)

    options = {"http_handler": pages, "process_request": process_request}
    async with serving(**options) as (served, client):
        assert await status_of(client, GET, b"GET  <None>") == 200
        post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        assert await status_of(client, post, b"POST abc <None>") == 200
        statistics = served.server.statistics()
        assert (statistics.opening, statistics.connections) == (0, 0)
        # And then it opens a WebSocket, with a message behind it.
        await client.send(request("/chat"))
        head = await client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Date: " in head
        [connection] = served.server.connections
        await client.send(b"\x81\x85\0\0\0\0hello")
        assert await connection.receive() == "hello"
    assert seen == ["/chat"]


async def test_pipelined_requests_and_then_an_opening_in_one_piece(autojump_clock):
    async with serving(http_handler=pages) as (served, client):
        await client.send(GET + GET + request() + b"\x81\x82\0\0\0\0hi")
        await client.read_until(b"GET  <None>")
        await client.read_until(b"GET  <None>")
        assert b" 101 " in await client.read_until(b"\r\n\r\n")
        [connection] = served.server.connections
        assert await connection.receive() == "hi"


async def test_a_handler_that_fails(autojump_clock, caplog):
    async with serving(http_handler=pages) as (served, client):
        assert await status_of(client, GET.replace(b"/ ", b"/fails ")) == 500
        assert served.server.statistics().failed == 1
    [record] = loud(caplog)
    assert "the HTTP handler failed" in record.getMessage()


async def test_a_handler_that_fails_may_end_the_server(autojump_clock):
    with pytest.raises(RuntimeError, match="on purpose"):  # noqa: PT012
        async with serving(http_handler=pages, on_handler_error="raise") as (_, client):
            await client.send(GET.replace(b"/ ", b"/fails "))
            await trio.sleep_forever()


async def test_a_refused_opening_behind_a_plain_request_closes(autojump_clock, caplog):
    caplog.set_level(logging.INFO, "trio_wsendpoint")
    async with serving(http_handler=pages) as (_, client):
        assert await status_of(client, GET, b">") == 200
        assert await status_of(client, request("/x", Origin="null")) == 403
        await client.read_all()
    [record] = caplog.records
    assert "no connection for '/x' (403)" in record.getMessage()


async def test_the_server_stops(autojump_clock):
    """An idle connection ends; a request in work is answered, and says so."""

    async def slow(request):
        await trio.sleep(1)
        return Response(200, body=b"late")

    async with serving(http_handler=slow) as (served, client):
        idle = Client(served.connect())
        assert await status_of(idle, GET, b"late") == 200
        await client.send(GET)
        await trio.sleep(0.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            assert await idle.read_all() == b""
            answer = await client.read_all()
        assert b"Connection: close" in answer
        assert answer.endswith(b"late")


async def test_an_opening_behind_a_plain_request_is_dropped_when_the_server_stops(
    autojump_clock, caplog
):
    caplog.set_level(logging.DEBUG, "trio_wsendpoint")

    async def wait(opening):
        await trio.sleep_forever()

    async with serving(http_handler=pages, process_request=wait) as (served, client):
        assert await status_of(client, GET, b">") == 200
        await client.send(request("/x"))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            answer = await client.read_all()
        assert answer.startswith(b"HTTP/1.1 503 ")
    assert "dropped: the server stops" in caplog.text


async def test_idle_connections_are_no_openings(autojump_clock):
    limits = ServerLimits(openings=1)
    async with serving(http_handler=pages, server_limits=limits) as (served, client):
        assert await status_of(client, GET, b">") == 200
        await open_raw(served.connect())
        silent = served.connect()
        await trio.sleep(0.1)
        await open_raw(served.connect())
        assert b" 503 " in await read_all(silent)
        assert await status_of(client, GET, b">") == 200


async def test_an_idle_connection_ends(autojump_clock):
    async with serving(http_handler=pages, http=HttpLimits(idle=5)) as (_, client):
        assert await status_of(client, GET, b">") == 200
        began = trio.current_time()
        assert await client.read_all() == b""
        assert trio.current_time() - began == pytest.approx(5)


async def test_the_client_belongs_to_the_request(autojump_clock, monkeypatch):
    monkeypatch.setattr(peer_module, "socket_names", lambda _: (("10.0.0.1", 5), None))
    seen = []

    async def handler(request):
        seen.append(repr(request.peer))
        return Response(204)

    limits = ServerLimits(connections_per_address=1)
    options = {"trusted_proxies": ["10.0.0.1"], "server_limits": limits}
    async with serving(http_handler=handler, **options) as (served, client):
        for number in (1, 2):
            line = b"X-Forwarded-For: 192.0.2.%d\r\n\r\n" % number
            assert await status_of(client, GET[:-2] + line) == 204
        assert await status_of(client, GET) == 204
        line = b"X-Forwarded-For: 192.0.2.1\r\n\r\n"
        await open_raw(served.connect(), request()[:-2] + line)
        assert await status_of(client, GET[:-2] + line) == 503
    assert seen == ["192.0.2.1 via 10.0.0.1", "192.0.2.2 via 10.0.0.1", "10.0.0.1:5"]


# ---- without a handler -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/1.1", 426),
        (b"HEAD / HTTP/1.1", 426),
        (b"GET / HTTP/1.0", 426),
        (b"OPTIONS * HTTP/1.1", 204),
        (b"OPTIONS / HTTP/1.0", 405),
        (b"POST / HTTP/1.1", 405),
        (b"FOO / HTTP/1.1", 405),
        (b"TRACE / HTTP/1.1", 405),
    ],
)
async def test_without_a_handler(line, status, autojump_clock, caplog):
    async with serving() as (_, client):
        assert await status_of(client, line + b"\r\nHost: a\r\n\r\n") == status
    assert loud(caplog) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_process_request_answers_health_checks(method, version, autojump_clock):
    async def process_request(opening):
        assert not opening.request.is_upgrade
        return Response(200, {"X-Health": "good"}, "ok\n")

    async with serving(process_request=process_request) as (served, client):
        data = f"{method} /health HTTP/{version}\r\nHost: a\r\n\r\n".encode()
        assert await status_of(client, data, b"" if method == "HEAD" else b"ok\n") == 200
        if version == "1.1":
            assert await status_of(client, data) == 200
        # haproxy's check has no Host.
        other = Client(served.connect())
        assert await status_of(other, b"OPTIONS / HTTP/1.0\r\n\r\n", b"ok\n") == 200


async def test_what_process_request_raises_for_a_plain_request(autojump_clock, caplog):
    async def process_request(opening):
        if opening.request.path == "/":
            raise Unauthorized("no", 'Basic realm="x"')
        raise KeyError("mine")

    async with serving(process_request=process_request) as (_, client):
        assert await status_of(client, GET) == 401
        assert loud(caplog) == []
        await client.read_until(b"required\n")
        assert await status_of(client, GET.replace(b"/ ", b"/x ")) == 500
    [record] = loud(caplog)
    assert "process_request failed" in record.getMessage()


async def test_accept_endpoint_answers_one_plain_request_and_raises(autojump_clock):
    async def process_request(opening):
        return Response(200, body="ok") if opening.request.path == "/health" else None

    for path, kind, status in (("/health", RequestAnswered, 200), ("/", HandshakeError, 426)):
        client, server = memory_stream_pair()
        await client.send_all(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        async with trio.open_nursery() as nursery:

            async def serve(server=server, kind=kind):
                with pytest.raises(kind):
                    async with accept_endpoint(server, process_request=process_request):
                        pass

            nursery.start_soon(serve)
            assert (await read_all(client)).startswith(b"HTTP/1.1 %d " % status)
            await client.aclose()

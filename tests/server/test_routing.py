"""`Routes` for a server: handlers are called with what the path says."""

from __future__ import annotations

import functools

import pytest
import trio

from tests.server.helpers import MemoryListener, echo
from trio_wsendpoint import (
    ConnectionLost,
    HandshakeRefused,
    HttpLimits,
    Request,
    Response,
    Routes,
    StreamedResponse,
    connect_endpoint,
    run_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.server.routing import with_routes
from trio_wsendpoint.server.settings import ServeSettings

from .http_helpers import GET, both_forms, http_client, statuses


async def health(request):
    return Response(200, body="ok")


async def item(request, name, kind):
    return Response(200, body=f"{request.method} {kind} {name}")


async def of_one(connection, room):
    await connection.send(room)


def table():
    routes = Routes()
    routes.add_http("/health", health)
    routes.add_http("/{kind}/{name}", item, methods=["PUT", "GET"])
    routes.add_websocket("/rooms/{room}", of_one)
    return routes


@both_forms
@pytest.mark.parametrize(
    ("line", "status", "body"),
    [
        (b"GET /health", 200, b"ok"),
        (b"GET /health?x=y", 200, b"ok"),
        (b"PUT /a%2Fb/c%20d", 200, b"PUT a/b c d"),
        (b"GET /none", 404, b"not found\n"),
        (b"GET /health/", 404, b"not found\n"),
        (b"DELETE /health", 405, b"'DELETE' is not served here\n"),
        (b"GET /a/%zz", 400, b"bad request: '/a/%zz' has a '%' without two hexadecimal digits\n"),
    ],
)
async def test_plain_requests(nonblocking, line, status, body, autojump_clock):
    async with http_client(table().answer, nonblocking) as client:
        await client.send(line + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        came = await client.read_all()
        assert statuses(came) == [status]
        assert came.endswith(b"\r\n\r\n" + body)


async def test_head_and_a_websocket_alone(autojump_clock):
    async with http_client(table().answer) as client:
        await client.send(GET.replace(b"GET /", b"HEAD /health"))
        assert b"Content-Length: 2\r\n" in await client.read_until(b"\r\n\r\n")
        await client.send(GET.replace(b"GET /", b"OPTIONS *"))
        assert b"Allow: GET, HEAD, OPTIONS, PUT\r\n" in await client.read_until(b"\r\n\r\n")
    routes = Routes()
    routes.add_websocket("/", echo)
    async with http_client(routes.answer) as client:
        await client.send(GET)
        assert statuses(await client.read_until(b"endpoint\n")) == [426]


def test_openings():
    routes = table()
    assert routes.refusal(Request("/rooms/one")) is None
    for target in ("/health", "/rooms/", "/none"):
        refusal = routes.refusal(Request(target))
        assert refusal is not None
        assert refusal.status == 404


async def plain_of_two(connection, name, *, extra):
    pass


def no_function(request):
    pass


async def with_default(request, name="x", other=1):
    return Response(200)


@pytest.mark.parametrize(
    ("path", "handler", "expected"),
    [
        ("/", of_one, r"the handler of '/' is called with \(\w+\): missing .*'room'"),
        ("/{room}/{name}", of_one, r"called with \(\w+, room, name\): got an unexpected .*'name'"),
        ("/{name}", plain_of_two, "missing .*'extra'"),
        ("/{connection}/{request}", of_one, "multiple values|unexpected"),
        ("/", no_function, "must be an async function"),
        ("/", None, "must be an async function"),
    ],
)
def test_a_handler_that_does_not_fit(path, handler, expected):
    for add in (Routes().add_websocket, Routes().add_http):
        with pytest.raises(TypeError, match=expected):
            add(path, handler)


@pytest.mark.parametrize("handler", [with_default, functools.partial(with_default, other=2)])
def test_a_handler_that_fits(handler):
    Routes().add_http("/{name}", handler)
    Routes().add_http("/", handler)


def test_a_path_is_checked():
    routes = table()
    with pytest.raises(ValueError, match="has a WebSocket handler"):
        routes.add_websocket("/rooms/{room}", of_one)
    with pytest.raises(ValueError, match="fit the same paths"):
        routes.add_http("/{name}/{kind}", item)
    with pytest.raises(ValueError, match="no method"):
        routes.add_http("/x", health, methods=["TRACE"])


def test_routes_take_the_place_of_an_http_handler():
    with pytest.raises(TypeError, match=r"add_http\(\) takes the place of http_handler="):
        with_routes(ServeSettings(http_handler=health), Routes())
    with pytest.raises(TypeError, match="takes the place"):
        serve_endpoint(Routes(), 0, http_handler=health)


async def test_the_options_are_checked():
    for options, expected in (
        ({"http_handler": 5}, "http_handler must be an async function, .*not 5"),
        ({"http_handler": no_function}, "http_handler must be an async function"),
        ({"http_handler": item}, "http_handler must be an async function"),
        ({"http": {}}, r"http must be HttpLimits\(\.\.\.\), not {}"),
    ):
        with pytest.raises(TypeError, match=expected):
            serve_endpoint(echo, 0, **options)
        with pytest.raises(TypeError, match=expected):
            await run_endpoint(echo, 0, **options)
    settings = ServeSettings(http=HttpLimits(requests=1))
    assert settings.http.requests == 1
    async with serve_endpoint(table(), listeners=[MemoryListener()]):
        await trio.lowlevel.checkpoint()


def test_a_streamed_response_shows_no_secret():
    async def body():
        yield b""

    response = StreamedResponse(200, {"Set-Cookie": "secret"}, body=body())
    assert "secret" not in repr(response)


# ---- over a server -------------------------------------------------------------------------------


async def test_websockets_of_a_server(autojump_clock):
    seen = []

    async def process_request(opening):
        seen.append(opening.request.path)

    listener = MemoryListener()
    async with serve_endpoint(table(), listeners=[listener], process_request=process_request):
        stream = listener.connect()
        async with connect_endpoint("ws://a/rooms/one%20two", stream=stream) as connection:
            assert await connection.receive() == "one two"
        for path in ("/none", "/health"):
            with pytest.raises(HandshakeRefused) as caught:
                async with connect_endpoint(f"ws://a{path}", stream=listener.connect()):
                    raise AssertionError
            assert caught.value.response.status == 404
    assert seen == ["/rooms/one two", "/none", "/health"]


async def test_a_websocket_that_was_accepted_where_there_is_none(autojump_clock):
    async def process_request(opening):
        await opening.accept()

    listener = MemoryListener()
    async with (
        serve_endpoint(table(), listeners=[listener], process_request=process_request),
        connect_endpoint("ws://a/none", stream=listener.connect()) as connection,
    ):
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.code == 1008

"""The ways in: what is refused at the start, in which order things begin and end, real sockets."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

from tests.server.http_helpers import GET
from trio_wsendpoint import Response, connect_endpoint, serve_endpoint
from trio_wsendpoint.asgi import AsgiApp, LifespanError, run_asgi, serve_asgi
from trio_wsendpoint.testing import MemoryNetwork

from .helpers import BODY, START, ask, served


async def nothing(scope, receive, send):
    pass


def living(notes, *, fails="", then=None):
    """An application with a lifespan; `fails` at its "startup" or "shutdown"."""

    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            notes.append(scope["state"])
            scope["state"]["mine"] = True
            await send(START)
            await send(BODY)
            return
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            notes.append(phase)
            scope["state"]["pool"] = 1
            if phase == "shutdown":
                await trio.sleep(1)
            kind = "failed" if fails == phase else "complete"
            await send({"type": f"lifespan.{phase}.{kind}", "message": "no database"})
            if then is not None:
                await then()

    return app


# ---- arguments -------------------------------------------------------------------------------


def of_package(name):
    return type("Application", (), {"__module__": name, "__call__": nothing})()


@pytest.mark.parametrize(
    "module",
    ["django.core.handlers.asgi", "channels.routing", "quart.app", "socketio", "sanic.app"],
)
def test_an_application_for_asyncio_is_told_so_at_the_start(module) -> None:
    with pytest.raises(TypeError, match="needs asyncio"):
        serve_asgi(of_package(module), 0)


def test_quart_on_trio_is_no_application_for_asyncio() -> None:
    base = type(of_package("quart.app"))

    async def call(self, scope, receive, send): ...

    app = type("QuartTrio", (base,), {"__module__": "quart_trio.app", "__call__": call})()
    serve_asgi(app, 0)


@pytest.mark.parametrize(
    ("app", "options", "error", "match"),
    [
        (None, {}, TypeError, "ASGI application"),
        (lambda scope: None, {}, TypeError, "ASGI 3"),
        (nothing, {"lifespan": "maybe"}, ValueError, "lifespan"),
        (nothing, {"root_path": "api"}, ValueError, "root_path"),
        (nothing, {"root_path": 1}, TypeError, "root_path"),
        (nothing, {"cancel_after": -1}, ValueError, "cancel_after"),
        (nothing, {"startup_timeout": "1"}, TypeError, "startup_timeout"),
        (nothing, {"max_calls": 0}, ValueError, "max_calls"),
        (nothing, {"http_spec_version": "3"}, ValueError, "http_spec_version"),
        (nothing, {"process_request": nothing}, TypeError, "AsgiApp"),
        (nothing, {"prot": 1}, TypeError, "prot"),
    ],
)
def test_wrong_arguments_are_refused(app, options, error, match) -> None:
    with pytest.raises(error, match=match):
        serve_asgi(app, 0, **options)


def test_an_unknown_option_of_an_application() -> None:
    with pytest.raises(TypeError, match="no option 'port'"):
        AsgiApp(nothing, port=80)  # type: ignore[call-arg]


# ---- the order of things ---------------------------------------------------------------------


async def test_startup_before_the_port_and_shutdown_after_the_server(autojump_clock) -> None:
    notes: list[str] = []
    network = MemoryNetwork()
    async with served(living(notes), network=network, lifespan="on") as here:
        assert notes == ["startup"]
        for _ in range(2):
            await here.client.send(GET)
            await here.client.read_until(b"0\r\n\r\n")
    # Each request has a copy of the state of its own.
    assert notes == ["startup", *[{"pool": 1, "mine": True}] * 2, "shutdown"]
    assert not network.open_listeners


async def test_a_startup_that_fails_opens_no_port() -> None:
    with pytest.raises(LifespanError, match="no database"):
        async with serve_asgi(living([], fails="startup"), 0):
            pytest.fail("it has started")


async def test_a_shutdown_that_fails_raises(autojump_clock, caplog) -> None:
    with pytest.raises(LifespanError, match="no database"):
        async with serve_asgi(living([], fails="shutdown"), 0):
            pass
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_an_error_behind_the_startup_ends_the_server() -> None:
    async def fail():
        raise KeyError("the background died")

    with pytest.raises(KeyError):
        async with serve_asgi(living([], then=fail), 0):
            await trio.sleep_forever()


async def test_the_shutdown_runs_when_the_server_is_cancelled(autojump_clock) -> None:
    notes: list[str] = []
    async with trio.open_nursery() as nursery:
        server = await nursery.start(run_asgi, living(notes), 0)
        assert server.port
        nursery.cancel_scope.cancel()
    assert notes == ["startup", "shutdown"]


async def test_run_asgi_returns_when_its_server_is_closed() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(run_asgi, nothing, 0)
        await server.aclose()


async def test_a_port_that_is_taken_ends_the_lifespan(autojump_clock) -> None:
    notes: list[str] = []
    async with serve_asgi(living([]), 0) as server:
        with pytest.raises(OSError, match="cannot listen"):
            async with serve_asgi(living(notes), server.port):
                pytest.fail("it has started")
    assert notes == ["startup", "shutdown"]


async def test_an_application_that_is_not_running() -> None:
    asgi = AsgiApp(nothing)
    network = MemoryNetwork()
    async with serve_endpoint(asgi.websocket, listeners=[network.listen()], http_handler=asgi.http):
        stream = await network.connect()
        await stream.send_all(GET)
        assert b" 500 " in await stream.receive_some(1000)
        await stream.aclose()


async def test_handlers_of_ones_own_in_addition() -> None:
    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["path"]})

    async def handler(connection):
        await connection.send("mine")

    network = MemoryNetwork()
    async with AsgiApp(app, lifespan="off") as asgi:

        async def process(opening):
            return await asgi.opening(opening) if opening.request.path == "/app" else None

        async def health(request):
            return Response(200, body="well")

        async with serve_endpoint(
            handler, listeners=[network.listen()], process_request=process, http_handler=health
        ):
            async with network.connect_endpoint("ws://server/app") as connection:
                assert await connection.receive() == "/app"
            async with network.connect_endpoint("ws://server/other") as connection:
                assert await connection.receive() == "mine"


async def test_the_scope_tells_of_a_trusted_proxy() -> None:
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await send(START)
        await send(BODY)

    request = (
        b"GET /a%2Fb?q=%20 HTTP/1.0\r\nX-Forwarded-For: 192.0.2.7:99\r\n"
        b"X-Forwarded-Proto: https\r\n\r\n"
    )
    async with (
        serve_asgi(
            app,
            0,
            root_path="/api",
            trusted_proxies=["127.0.0.0/8", "::1"],
            forwarded=["X-Forwarded-For", "X-Forwarded-Proto"],
        ) as server,
        await trio.open_tcp_stream("127.0.0.1", server.port) as stream,
    ):
        port = server.port
        await stream.send_all(request)
        await stream.receive_some(1000)
    [scope] = [scope for scope in scopes if scope["type"] == "http"]
    assert scope["client"] == ("192.0.2.7", 99)
    assert scope["scheme"] == "https"
    assert (scope["path"], scope["raw_path"]) == ("/api/a/b", b"/api/a%2Fb")
    assert scope["query_string"] == b"q=%20"
    assert scope["server"] == ("127.0.0.1", port)


# ---- real sockets ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_tls", [False, True], ids=["TCP", "TLS"])
async def test_a_poll_sees_the_client_go(is_tls, server_context, client_context) -> None:
    async def app(scope, receive, send):
        if "tls" in scope["extensions"]:
            assert scope["extensions"]["tls"]["tls_version"] == 0x0304
        await receive()
        polled.set()
        while True:
            with trio.CancelScope() as scope_:
                scope_.cancel()
                if (await receive())["type"] == "http.disconnect":
                    done.set()
                    return
            await trio.lowlevel.checkpoint()

    polled, done = trio.Event(), trio.Event()
    options = {"ssl_context": server_context} if is_tls else {}
    async with serve_asgi(app, 0, lifespan="off", **options) as server:
        stream: Any = await trio.open_tcp_stream("127.0.0.1", server.port)
        if is_tls:
            stream = trio.SSLStream(stream, client_context, server_hostname="localhost")
        await stream.send_all(GET)
        await polled.wait()
        await stream.aclose()
        with trio.fail_after(10):
            await done.wait()


async def test_a_websocket_over_tls(server_context, client_context) -> None:
    async def app(scope, receive, send):
        assert scope["scheme"] == "wss"
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "bytes": (await receive())["bytes"]})

    async with serve_asgi(app, 0, lifespan="off", ssl_context=server_context) as server:
        url = f"wss://localhost:{server.port}/"
        async with connect_endpoint(url, ssl_context=client_context) as connection:
            await connection.send(b"hello")
            assert await connection.receive() == b"hello"


async def test_a_keyboard_interrupt_in_the_application_ends_the_server() -> None:
    async def app(scope, receive, send):
        raise KeyboardInterrupt

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - alone, or in a group
        await ask(app)
    found = caught.value
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, KeyboardInterrupt)

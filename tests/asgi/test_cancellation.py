"""Cancellation, Ctrl-C and broken streams at every checkpoint of a server of an application."""

from __future__ import annotations

import contextlib

import pytest
import trio

from tests.server.helpers import request
from tests.server.http_helpers import GET, post
from trio_wsendpoint.asgi import serve_asgi
from trio_wsendpoint.testing import Run, cancel_at_every_checkpoint

from .helpers import START, body

CLOSE = b"\x88\x80\0\0\0\0"


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/deny":
            denial = "websocket.http.response"
            await send({"type": f"{denial}.start", "status": 401, "headers": []})
            await send({"type": f"{denial}.body", "body": b"no"})
            return
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            with contextlib.suppress(OSError):
                await send({**event, "type": "websocket.send"})
        return
    while (event := await receive()).get("more_body"):
        pass
    await send({"type": "http.response.early_hint", "links": [b"</a.css>"]})
    await send({**START, "trailers": True})
    await send(body(b"a" * 30_000, more_body=True))
    await send(body(b"b"))
    await send({"type": "http.response.trailers", "headers": [(b"x", b"1")]})
    assert (await receive())["type"] == "http.disconnect"


def scenario_of(data: bytes):
    async def scenario(run: Run) -> None:
        """A server talks with a client; the server's task is struck."""
        listener = run.network.listen()
        came = bytearray()

        async def client():
            with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                stream = await run.network.connect(
                    client=run.faults(20_000), server=run.faults(20_000)
                )
                async with stream:
                    await stream.send_all(data)
                    while more := await stream.receive_some(4096):
                        came.extend(more)
            done.set()

        async def serve(task_status=trio.TASK_STATUS_IGNORED):
            async with serve_asgi(app, listeners=[listener], lifespan="off"):
                with trio.move_on_after(100):
                    await done.wait()

        done = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            await run.victim(serve)
            listener.close()
            with trio.move_on_after(100):
                await done.wait()
            nursery.cancel_scope.cancel()

    return scenario


@pytest.mark.parametrize(
    "data",
    [
        GET + post(b"x" * 9000) + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        request() + b"\x81\x81\0\0\0\0a" + CLOSE,
        request().replace(b"GET / ", b"GET /deny "),
    ],
    ids=["http", "websocket", "denial"],
)
def test_nothing_is_left_wherever_a_server_is_struck(data) -> None:
    scenario = scenario_of(data)
    scenario.__name__ = "scenario"
    report = cancel_at_every_checkpoint(
        scenario, seeds=range(1), inject=("cancel", "interrupt", "client error", "server error")
    )
    assert not report.failures, str(report.failures[0])

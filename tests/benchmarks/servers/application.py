"""The ASGI application that is served: a page, and an echo."""

from __future__ import annotations

from tests.benchmarks.servers.common import PAGE

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(PAGE)).encode()),
    ],
}
BODY = {"type": "http.response.body", "body": PAGE}


async def application(scope, receive, send) -> None:
    kind = scope["type"]
    if kind == "http":
        await receive()
        await send(START)
        await send(BODY)
    elif kind == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
    else:
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return

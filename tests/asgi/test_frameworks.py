"""Real frameworks: a page, a login form, files, an echo; each skips where it is not installed."""

from __future__ import annotations

import pytest
import trio

from trio_wsendpoint import connect_endpoint
from trio_wsendpoint.asgi import serve_asgi

httpx = pytest.importorskip("httpx", reason="httpx is not installed")
# They warn of their own dependencies.
pytestmark = pytest.mark.filterwarnings("default")


def starlette(tmp_path):
    pytest.importorskip("starlette", reason="starlette is not installed")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, RedirectResponse
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles

    async def hello(request):
        return PlainTextResponse("hello")

    async def login(request):
        async with request.form() as form:
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie("user", form["user"])
            return answer

    async def echo(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    (tmp_path / "file.txt").write_text("x" * 100_000)
    return Starlette(
        routes=[
            Route("/", hello),
            Route("/login", login, methods=["POST"]),
            Mount("/static", StaticFiles(directory=tmp_path)),
            WebSocketRoute("/ws", echo),
        ]
    )


def fastapi(tmp_path):
    module = pytest.importorskip("fastapi", reason="fastapi is not installed")
    app = module.FastAPI()

    @app.get("/")
    def hello():
        from fastapi.responses import PlainTextResponse

        return PlainTextResponse("hello")

    async def echo(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    echo.__annotations__["websocket"] = module.WebSocket
    app.websocket("/ws")(echo)
    return app


def litestar(tmp_path):
    module = pytest.importorskip("litestar", reason="litestar is not installed")

    async def hello() -> str:
        return "hello"

    async def echo(data: str) -> str:
        return data

    from litestar import MediaType, get
    from litestar.handlers import websocket_listener

    return module.Litestar(
        [get("/", media_type=MediaType.TEXT)(hello), websocket_listener("/ws")(echo)]
    )


def quart_trio(tmp_path):
    module = pytest.importorskip("quart_trio", reason="quart-trio is not installed")
    from quart import websocket

    app = module.QuartTrio(__name__)

    @app.get("/")
    async def hello():
        return "hello"

    @app.websocket("/ws")
    async def echo():
        while True:
            await websocket.send(await websocket.receive())

    return app


@pytest.mark.parametrize("make", [starlette, fastapi, litestar, quart_trio])
async def test_hello_and_echo(make, tmp_path) -> None:
    with trio.fail_after(30):
        async with serve_asgi(make(tmp_path), 0) as server:
            host = f"127.0.0.1:{server.port}"
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://{host}/")
                assert (answer.status_code, answer.text) == (200, "hello")
                assert (await client.get(f"http://{host}/none")).status_code == 404
            async with connect_endpoint(f"ws://{host}/ws") as connection:
                await connection.send("echo")
                assert await connection.receive() == "echo"


async def test_a_starlette_application(tmp_path) -> None:
    pytest.importorskip("python_multipart", reason="python-multipart is not installed")
    with trio.fail_after(30):
        async with (
            serve_asgi(starlette(tmp_path), 0) as server,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
        ):
            answer = await client.post("/login", data={"user": "ann"})
            assert (answer.status_code, answer.cookies["user"]) == (303, "ann")
            answer = await client.get("/static/file.txt", headers={"Range": "bytes=5-9"})
            assert (answer.status_code, answer.text) == (206, "xxxxx")
            assert len((await client.get("/static/file.txt")).content) == 100_000
            assert (await client.head("/static/file.txt")).headers["content-length"] == "100000"

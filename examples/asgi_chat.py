"""A chat in a Starlette application: a page, a login form, and WebSockets, on one port.

pip install starlette python-multipart && python examples/asgi_chat.py 8000
"""

import sys

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from trio_wsendpoint.asgi import serve_asgi

LOGIN = '<form method="post"><input id="name" name="name" autofocus> <button>Join</button></form>'
CHAT = """<!doctype html><title>Chat</title><p id=state></p><input id=text><pre id=lines></pre>
<script>const socket = new WebSocket(location.href.replace(/^http(.*?)\\/?$/, "ws$1/ws"));
const [state, text, lines] = document.querySelectorAll("[id]");
socket.onopen = () => state.textContent = "connected";
socket.onmessage = ({data}) => lines.append(data + "\\n");
text.onkeydown = ({key}) => { if (key === "Enter") { socket.send(text.value); text.value = ""; } };
</script>"""
members: set[WebSocket] = set()


async def page(request: Request) -> Response:
    if request.method == "POST":
        async with request.form() as form:
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie("name", str(form["name"]), httponly=True, samesite="strict")
            return answer
    return HTMLResponse(CHAT if "name" in request.cookies else LOGIN)


async def chat(websocket: WebSocket) -> None:
    if "name" not in websocket.cookies:
        return await websocket.close()  # before it is accepted: 403
    await websocket.accept()
    members.add(websocket)
    try:
        async for text in websocket.iter_text():
            for member in list(members):
                await member.send_text(f"{websocket.cookies['name']}: {text}")
    finally:
        members.discard(websocket)


async def main() -> None:
    routes = [Route("/", page, methods=["GET", "POST"]), WebSocketRoute("/ws", chat)]
    async with serve_asgi(Starlette(routes=routes), int(sys.argv[1])) as server:
        print(f"http://127.0.0.1:{server.port}/", flush=True)
        await trio.sleep_forever()


try:
    trio.run(main)
except* KeyboardInterrupt:
    pass

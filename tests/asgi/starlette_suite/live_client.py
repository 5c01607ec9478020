"""A plugin of pytest that runs Starlette's own tests against our server, over live sockets.

It takes the place of the tests' `conftest.py`: its `test_client_factory` makes a client like
Starlette's `TestClient`, except that the application is served on a port, under Trio, in a thread.
Tests that do not ask for that fixture are left out, and so are those of the list beside this file.
It is given to pytest as `-p live_client`, with its folder on the path: `tests` is Starlette's own
package there.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from typing import Any

import httpx2 as httpx
import pytest
import trio
from listed import NEEDS_IN_PROCESS, listed_tests  # type: ignore[import-not-found]
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from trio_wsendpoint import HttpLimits
from trio_wsendpoint.asgi import ClientDisconnected, serve_asgi

#: Seconds for anything.
PATIENCE = 20


def pytest_collection_modifyitems(config, items) -> None:
    listed = set(listed_tests(NEEDS_IN_PROCESS.read_text()))
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        name = item.nodeid.partition("[")[0]
        is_ours = "test_client_factory" in item.fixturenames and name not in listed
        (kept if is_ours else dropped).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture
def test_client_factory():
    with contextlib.ExitStack() as stack:

        def make(app, **options):
            client = LiveClient(app, **options)
            stack.callback(client.shut_down)
            return client

        yield make


class Served:
    """The application on a port, in a thread; what it raises is kept for the client."""

    def __init__(self, app, *, lifespan: str, root_path: str) -> None:
        self._app = app
        self._options: dict[str, Any] = {
            "lifespan": lifespan,
            "root_path": root_path,
            "cancel_after": 1,
            "http": HttpLimits(body_size=None),
            "trusted_proxies": ["127.0.0.1"],
            "forwarded": ["X-Forwarded-Proto"],
        }
        self._told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stop = trio.Event()
        self.errors: list[BaseException] = []
        self._calls = 0
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        told = self._told.get(timeout=PATIENCE)
        if isinstance(told, BaseException):
            raise told
        self.port, self._token = told

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:  # noqa: BLE001 - `stop` raises it
            self._failure = error
            self._told.put(error)

    async def _serve(self) -> None:
        async with serve_asgi(self._call, 0, **self._options) as one:
            self._told.put((one.port, trio.lowlevel.current_trio_token()))
            await self._stop.wait()

    async def _call(self, scope, receive, send) -> None:
        self._count(1)
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if not isinstance(error, ClientDisconnected) and scope["type"] != "lifespan":
                self.errors.append(error)
            raise
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._changed:
            self._calls += more
            self._changed.notify_all()

    def wait_over(self) -> None:
        """Wait until the application has returned from all calls except its lifespan's."""
        least = int(self._options["lifespan"] != "off")
        with self._changed:
            self._changed.wait_for(lambda: self._calls <= least, PATIENCE)

    def stop(self) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._stop.set)
        self._thread.join(PATIENCE)
        if self._failure is not None:
            raise self._failure

    def raise_error(self) -> None:
        """Raise what the application has raised."""
        if self.errors:
            raise self.errors.pop()


class LiveClient(httpx.Client):
    """Asks an application that is served; as Starlette's client, a context runs its lifespan."""

    def __init__(
        self,
        app,
        base_url="http://testserver",
        raise_server_exceptions=True,
        root_path="",
        cookies=None,
        headers=None,
        follow_redirects=True,
    ) -> None:
        super().__init__(
            base_url=base_url,
            headers={"user-agent": "testclient", **(headers or {})},
            cookies=cookies,
            follow_redirects=follow_redirects,
            transport=ToServer(self, raise_server_exceptions),
            timeout=PATIENCE,
        )
        self.app = app
        self._root_path = root_path
        self._served: Served | None = None

    def serve(self, lifespan: str = "off") -> Served:
        if self._served is None:
            self._served = Served(self.app, lifespan=lifespan, root_path=self._root_path)
        return self._served

    def shut_down(self) -> None:
        served, self._served = self._served, None
        self._transport.close()
        if served is not None:
            served.stop()

    def __enter__(self):
        self.shut_down()
        self.serve("auto")
        return self

    def __exit__(self, *_) -> None:
        self.shut_down()

    def websocket_connect(self, url, subprotocols=None, auth=None, **options):
        request = self.build_request("GET", self.base_url.join(url), **options)
        if auth is not None:
            request = next(httpx.BasicAuth(*auth).auth_flow(request))
        return Session(self, request, subprotocols)


class ToServer(httpx.BaseTransport):
    """Sends each request to the server of the client, whatever host it names."""

    def __init__(self, client: LiveClient, raises: bool) -> None:
        self._client = client
        self._raises = raises
        self._wire = httpx.HTTPTransport()

    def handle_request(self, request):
        served = self._client.serve()
        headers = [*request.headers.raw, (b"X-Forwarded-Proto", request.url.scheme.encode())]
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=served.port)
        sent = httpx.Request(request.method, url, headers=headers, stream=request.stream)
        try:
            response = self._wire.handle_request(sent)
            response.read()
        except httpx.TransportError:
            served.wait_over()
            served.raise_error()
            raise
        served.wait_over()
        if self._raises:
            served.raise_error()
        return response

    def close(self) -> None:
        self._wire.close()
        self._wire = httpx.HTTPTransport()


class Session:
    """One WebSocket, by the methods of Starlette's `WebSocketTestSession`."""

    def __init__(self, client: LiveClient, request, subprotocols) -> None:
        self._client = client
        self._request = request
        self._subprotocols = subprotocols

    def __enter__(self):
        served = self._served = self._client.serve()
        url = self._request.url
        headers = [
            (name, value)
            for name, value in self._request.headers.multi_items()
            if name.lower() not in {"host", "connection", "user-agent"}
        ]
        is_secure = url.scheme in {"https", "wss"}
        headers.append(("X-Forwarded-Proto", "https" if is_secure else "http"))
        try:
            self._connecting = connect(
                str(url.copy_with(scheme="ws")),
                sock=socket.create_connection(("127.0.0.1", served.port)),
                additional_headers=headers,
                subprotocols=self._subprotocols,
                user_agent_header="testclient",
                compression=None,
                proxy=None,
                open_timeout=PATIENCE,
            )
            self._connection = self._connecting.__enter__()
        except InvalidStatus as error:
            served.wait_over()
            served.raise_error()
            response = error.response
            if response.status_code == 403 and not response.body:
                raise WebSocketDisconnect(1000) from None
            fields = [(name.encode(), value.encode()) for name, value in response.headers.items()]
            denial = WebSocketDenialResponse(
                status_code=response.status_code, headers=fields, content=bytes(response.body)
            )
            denial.read()
            raise denial from None
        self.accepted_subprotocol = self._connection.subprotocol
        answer = self._connection.response
        assert answer is not None
        self.extra_headers = [
            (name.lower().encode(), value.encode())
            for name, value in answer.headers.raw_items()
            if name.lower() not in {"date", "upgrade", "connection"}
            and not name.lower().startswith("sec-websocket-")
        ]
        return self

    def __exit__(self, kind, *_) -> None:
        self._connection.close()
        if kind is None:
            self._client.shut_down()  # the application has ended
            self._served.raise_error()

    def receive(self):
        try:
            data = self._connection.recv(PATIENCE)
        except ConnectionClosed as error:
            frame = error.rcvd
            code, reason = (1006, "") if frame is None else (frame.code, frame.reason)
            return {"type": "websocket.close", "code": code, "reason": reason}
        return {"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data}

    def _message(self):
        message = self.receive()
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(message["code"], message["reason"])
        return message

    def receive_text(self):
        return self._message()["text"]

    def receive_bytes(self):
        return self._message()["bytes"]

    def receive_json(self, mode="text"):
        return json.loads(self._message()["text" if mode == "text" else "bytes"])

    def send_text(self, data) -> None:
        self._connection.send(data)

    send_bytes = send_text

    def send_json(self, data, mode="text") -> None:
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        self._connection.send(text if mode == "text" else text.encode())

    def close(self, code=1000, reason=None) -> None:
        self._connection.close(code, reason or "")

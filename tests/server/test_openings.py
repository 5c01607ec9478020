"""The opening handshake of a server: what is refused, what the app may answer, and by when."""

from __future__ import annotations

import contextlib
import functools
import math
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    BadRequest,
    BadResponse,
    ClientEndpoint,
    HandshakeError,
    HandshakeRefused,
    Limits,
    RequestAnswered,
    Response,
    ServerLimits,
    Timeouts,
    TLSFailed,
    accept_endpoint,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.testing import MemoryNetwork, memory_stream_pair
from trio_wsendpoint.transport.any_tls import over_tls
from trio_wsendpoint.transport.tls import TLSTransport

from .helpers import (
    ACCEPT,
    echo,
    hold,
    loud,
    only_error,
    open_raw,
    read_all,
    read_head,
    read_response,
    request,
    serve_memory,
    settled,
    task_count,
)

URL = "ws://example.test/"


async def ask(served, data):
    stream = served.connect()
    await stream.send_all(data)
    return await read_response(stream)


# ---- bad requests ------------------------------------------------------------------------------

BAD = {
    400: [
        b"\r\n\r\nG",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        request().replace(b"\r\n", b"\n"),
        request(without=["Sec-WebSocket-Key"]),
        request(Sec_WebSocket_Key="short"),
        request(Content_Length="5"),
        request(Transfer_Encoding="chunked"),
        request(Sec_WebSocket_Protocol="a b"),
        request("*"),
        request() + bytes(4097),
    ],
    403: [request(Origin="https://evil.test"), request(Origin="null")],
    414: [b"GET /" + b"x" * 9000],
    426: [
        request(without=["Upgrade"]),
        request(without=["Connection"]),
        request(Upgrade="h2c"),
        request(Sec_WebSocket_Version="8"),
        request(Sec_WebSocket_Version="13, 8"),
        request(without=["Sec-WebSocket-Version"]),
    ],
    431: [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 65,
        request(Sec_WebSocket_Protocol=",".join("abcdefghijklmnopqrstuvwxyzABCDEFGH")),
    ],
    505: [
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"GET / HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
}


LONG = b"GET / HTTP/1.1\r\nX: " + b"x" * 30000


@pytest.mark.parametrize(("status", "data"), [(one, data) for one in BAD for data in BAD[one]])
async def test_a_bad_request_is_answered_and_the_connection_closed(
    status, data, autojump_clock, caplog
):
    async with serve_memory() as served:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        stream = served.connect()
        await stream.send_all(data)
        response = await read_response(stream)
        assert response.status == status
        if status == 426:
            assert response.headers["Sec-WebSocket-Version"] == "13"
            assert response.headers["Upgrade"] == "websocket"
        await stream.aclose()
        await settled(before)
        assert trio.current_time() < 0.1
        assert served.server.statistics().opened == 0
    assert loud(caplog) == []


async def test_a_bad_request_over_a_socket_is_answered_though_more_is_sent():
    """The answer must not be lost to the reset of a socket with unread bytes."""
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        for _ in range(20):
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with stream:
                await stream.send_all(LONG)
                assert (await read_response(stream)).status == 431


async def test_a_refused_client_that_sends_for_ever_is_read_no_longer(autojump_clock):
    async with serve_memory() as served:
        stream = served.connect()
        await stream.send_all(LONG)
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            while True:
                await stream.send_all(bytes(16384))
                await trio.sleep(0.5)
        assert trio.current_time() < 6


async def test_a_refused_client_that_stays_is_left(autojump_clock):
    async with serve_memory() as served:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        assert (await ask(served, LONG)).status == 431
        await trio.sleep(2.1)
        assert task_count() == before


async def test_a_refused_client_that_does_not_read_is_left(autojump_clock):
    async with serve_memory(make_pair=trio.testing.lockstep_stream_pair) as served:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        stream = served.connect()
        await stream.send_all(b"\x16")
        await trio.sleep(1.1)
        assert task_count() == before
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")


# ---- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: example.test\r\n"])
async def test_a_client_that_says_too_little_gets_408(sent, autojump_clock, caplog):
    async with serve_memory(timeouts=Timeouts(open=4)) as served:
        assert (await ask(served, sent)).status == 408
        assert trio.current_time() == 4
    assert loud(caplog) == []


async def test_bytes_do_not_renew_the_time(autojump_clock):
    async with serve_memory() as served, trio.open_nursery() as nursery:
        stream = served.connect()

        async def drip():
            with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):  # noqa: PT012
                for byte in request(X_Long="x" * 3000):
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.5)

        nursery.start_soon(drip)
        assert (await read_response(stream)).status == 408
        assert trio.current_time() == pytest.approx(10)
        await stream.aclose()


async def test_a_slow_request_within_the_time_is_welcome(autojump_clock):
    async with serve_memory() as served:
        stream = served.connect()
        data = request()
        for byte in data[:-1]:
            await stream.send_all(bytes([byte]))
            await trio.sleep(9 / len(data))
        await open_raw(stream, data[-1:])


async def test_a_client_that_does_not_take_the_answer(autojump_clock):
    async with serve_memory(make_pair=trio.testing.lockstep_stream_pair) as served:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        stream = served.connect()
        await stream.send_all(request())
        await trio.sleep(11.1)
        assert task_count() == before


@pytest.mark.parametrize("nonblocking", [False, True])
async def test_a_client_that_takes_half_of_its_answer_is_written_no_other(
    nonblocking, autojump_clock, caplog
):
    network = MemoryNetwork(nonblocking=nonblocking, capacity=50)
    caplog.set_level("DEBUG", "trio_wsendpoint")
    async with serve_endpoint(hold, listeners=[network.listen()]):
        stream = await network.connect()
        await stream.send_all(request())
        await trio.sleep(10.5)  # Timeouts.open
        answer = await read_all(stream)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert len(answer) == 50
        assert b" 408 " not in answer
        await stream.aclose()
    [record] = caplog.records
    assert "the client did not take the answer within 10 s" in record.getMessage()
    assert network.open_streams == ()


async def test_a_silent_tls_client_is_dropped(server_context, autojump_clock, caplog):
    async with serve_memory(ssl_context=server_context) as served:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        stream = served.connect()
        await stream.send_all(b"\x16\x03\x01")
        assert await read_all(stream) == b""
        assert trio.current_time() <= 11  # Timeouts.open, and linger
        await settled(before)
    assert loud(caplog) == []


async def test_openings_under_way_get_503_when_the_server_stops(autojump_clock):
    async def process_request(opening):
        await trio.sleep_forever()

    async with serve_memory(process_request=process_request) as served:
        streams = [served.connect() for _ in range(3)]
        await streams[1].send_all(b"GET /")
        await streams[2].send_all(request())
        await trio.testing.wait_all_tasks_blocked()
        assert served.server.statistics().opening == 3
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            for stream in streams:
                assert (await read_response(stream)).status == 503
                await stream.aclose()
        assert trio.current_time() < 0.1


async def test_an_opening_that_goes_on_as_the_server_stops_gets_503(autojump_clock):
    async def process_request(opening):
        with trio.CancelScope(shield=True):
            await trio.sleep(0.05)

    async with serve_memory(process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(request())
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            assert (await read_response(stream)).status == 503
            await stream.aclose()


async def test_streams_accepted_as_the_server_stops_get_503(autojump_clock):
    async with serve_memory() as served:
        # Accepted, but perhaps no task has begun to read.
        stream = served.connect()
        while not served.server.statistics().accepted:
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            assert (await read_response(stream)).status == 503


async def test_too_much_behind_the_request(autojump_clock):
    async with serve_memory(limits=Limits(pipelined=10)) as served:
        assert (await ask(served, request() + bytes(11))).status == 400
        await open_raw(served.connect(), request() + bytes(9))


# ---- process_request ---------------------------------------------------------------------------


async def test_process_request_answers_plain_http(autojump_clock, caplog):
    async def process_request(opening):
        request = opening.request
        if request.is_upgrade:
            return None
        if request.path == "/":
            return Response(200, {"X-Page": "1"}, "hello\n")
        return Response(404, body=b"\x00gone")

    async with serve_memory(process_request=process_request) as served:
        page = await ask(served, b"GET /?q HTTP/1.0\r\nHost: example.test\r\n\r\n")
        assert (page.status, page.body) == (200, b"hello\n")
        assert page.headers["X-Page"] == "1"
        assert page.headers["Content-Type"].startswith("text/plain")
        missing = await ask(served, b"GET /no HTTP/1.0\r\n\r\n")
        assert (missing.status, missing.body) == (404, b"\x00gone")
        await open_raw(served.connect())
    assert loud(caplog) == []


async def test_process_request_refuses_an_upgrade(autojump_clock):
    async def process_request(opening):
        request = opening.request
        if "Authorization" not in request.headers:
            return Response(401, {"WWW-Authenticate": "Basic"}, "who are you?")
        return None

    async with serve_memory(process_request=process_request) as served:
        with pytest.raises(HandshakeRefused) as caught:
            async with connect_endpoint(URL, stream=served.connect()):
                raise AssertionError
        assert caught.value.response.status == 401
        assert caught.value.response.headers["WWW-Authenticate"] == "Basic"
        assert caught.value.response.body == b"who are you?"
        async with connect_endpoint("ws://me:secret@example.test/", stream=served.connect()) as c:
            assert c.is_open


async def test_process_request_that_passes_plain_http_on(autojump_clock):
    async def process_request(opening):
        return

    async with serve_memory(process_request=process_request) as served:
        assert (await ask(served, b"GET / HTTP/1.0\r\n\r\n")).status == 426


async def test_process_request_is_not_asked_about_nonsense(autojump_clock):
    asked = []

    async def process_request(opening):
        request = opening.request
        asked.append(request)

    async with serve_memory(process_request=process_request) as served:
        for data in (request(Sec_WebSocket_Version="8"), request(Origin="null"), b"\r\r"):
            await ask(served, data)
    assert asked == []


async def wrong_type(request):
    return 403


async def switching(request):
    return Response(101)


async def raises(request):
    raise RuntimeError("on purpose")


@functools.wraps(raises)
def not_async(request):
    return Response(200)


@pytest.mark.parametrize("process_request", [wrong_type, switching, raises, not_async])
async def test_process_request_that_fails(process_request, autojump_clock, caplog):
    async with serve_memory(process_request=process_request) as served:
        response = await ask(served, request())
        assert response.status == 500
        assert b"purpose" not in response.body  # it is nobody's business
        assert only_error(caplog).exc_info[2] is not None
        caplog.clear()
        assert (await ask(served, request())).status == 500  # the server lives
        assert len(loud(caplog)) == 1


async def test_process_request_that_never_returns(autojump_clock, caplog):
    async def process_request(opening):
        await trio.sleep_forever()

    async with serve_memory(process_request=process_request) as served:
        await trio.testing.wait_all_tasks_blocked()
        before = task_count()
        stream = served.connect()
        await stream.send_all(request())
        assert (await read_response(stream)).status == 503
        assert trio.current_time() == 10
        await stream.aclose()
        await settled(before)
    assert loud(caplog) == []


# ---- origins and headers -----------------------------------------------------------------------

DATE = b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


async def answer_to(data, *, ends=False, **options):
    """All that a server says to `data`, up to the end of a head."""
    async with serve_memory(wall_clock=lambda: 784111777.0, **options) as served:
        stream = served.connect()
        await stream.send_all(data)
        if ends:
            await stream.send_eof()
        head, _ = await read_head(stream)
        return head


async def teapot(request):
    return Response(418, {}, "tea only")


async def own_date(request):
    return Response(200, {"Date": "today"})


async def failing(request):
    raise ValueError("oh no")


@pytest.mark.parametrize(
    ("status", "data", "options"),
    [
        (101, request(), {}),
        (101, request(), {"headers": {"X": "y"}}),
        (400, b"\x16", {}),
        (403, request(Origin="null"), {}),
        (405, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", {}),
        (408, b"", {}),
        (418, request(), {"process_request": teapot}),
        (418, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", {"process_request": teapot}),
        (426, request(Sec_WebSocket_Version="8"), {}),
        (431, request(X="x" * 20_000), {}),
        (500, request(), {"process_request": failing}),
        (505, b"PRI * HTTP/2.0", {}),
        (503, request(), {"server_limits": ServerLimits(connections=1)}),
    ],
)
async def test_every_answer_has_a_date(status, data, options, autojump_clock):
    if status == 503:
        async with serve_memory(hold, wall_clock=lambda: 784111777.0, **options) as served:
            await served.connect_raw()
            head, _ = await read_head(served.connect())
    else:
        head = await answer_to(data, **options)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert head.count(DATE) == 1


async def test_the_date_of_an_answer_may_be_the_apps(autojump_clock):
    for head in (
        await answer_to(request(), process_request=own_date),
        await answer_to(request(), headers={"date": "today"}),
    ):
        assert head.lower().count(b"date: ") == 1
        assert b"today" in head


async def test_the_date_of_one_accepted_stream(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(request())
    async with accept_endpoint(ours, wall_clock=lambda: 784111777.0):
        head, _ = await read_head(theirs)
        await theirs.aclose()
    assert DATE in head


async def test_by_default_the_date_is_the_systems(autojump_clock):
    async with serve_memory() as served:
        stream = served.connect()
        await stream.send_all(request())
        head, _ = await read_head(stream)
    [line] = [line for line in head.split(b"\r\n") if line.startswith(b"Date: ")]
    assert parsedate_to_datetime(line[6:].decode()).year >= 2024


async def test_a_subprotocol_may_be_required(autojump_clock):
    options: Any = {"subprotocols": ["chat"], "subprotocol_required": True}
    async with serve_memory(**options) as served:
        async with connect_endpoint(URL, stream=served.connect(), **options) as connection:
            assert connection.subprotocol == "chat"
        for offered in ((), ("soap",)):
            with pytest.raises(HandshakeRefused, match=r"400 .*expected one of chat"):
                async with connect_endpoint(URL, stream=served.connect(), subprotocols=offered):
                    raise AssertionError
    async with serve_memory() as served:
        with pytest.raises(BadResponse, match=r"missing: expected one that was offered \(chat\)"):
            async with connect_endpoint(URL, stream=served.connect(), **options):
                raise AssertionError


@pytest.mark.parametrize("wrap", [trio.SSLStream, over_tls])
async def test_over_tls_a_page_of_http_is_of_another_origin(
    wrap, server_context, client_context, autojump_clock, caplog
):
    """Whichever of the two speaks TLS, on a server's stream or on one that was accepted."""
    caplog.set_level("DEBUG")
    for origin, status in (("http://example.test", 403), ("https://example.test", 101)):
        ours, theirs = memory_stream_pair()
        client = trio.SSLStream(theirs, client_context, server_hostname="example.test")
        secure = wrap(ours, server_context, server_side=True)
        assert isinstance(secure, trio.SSLStream if wrap is trio.SSLStream else TLSTransport)
        async with trio.open_nursery() as nursery:

            async def accept(stream):
                with contextlib.suppress(BadRequest):
                    async with accept_endpoint(stream):
                        pass

            nursery.start_soon(accept, secure)
            await client.send_all(request(Origin=origin))
            head = bytes(await client.receive_some(65536))
            assert head.startswith(b"HTTP/1.1 %d " % status)
            await trio.aclose_forcefully(client)
    says = "the origin 'http://example.test' is not that of the host 'example.test' over TLS"
    assert len([record for record in caplog.records if says in record.getMessage()]) == 1


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        ("same", None, 101),
        ("same", "http://example.test", 101),
        ("same", "http://example.test:8080", 403),
        ("any", "https://evil.test", 101),
        (["https://ok.test"], "https://ok.test", 101),
        (["https://ok.test"], "https://ok.test.evil", 403),
        (["https://ok.test"], None, 403),
        (["https://ok.test", None], None, 101),
    ],
)
async def test_origins(origins, origin, status, autojump_clock):
    headers = {} if origin is None else {"Origin": origin}
    async with serve_memory(origins=origins) as served:
        stream = served.connect()
        await stream.send_all(request(**headers))
        head, _ = await read_head(stream)
        assert head.startswith(b"HTTP/1.1 %d " % status)


async def test_options_that_could_never_make_an_answer():
    options: dict[str, Any]
    for options in (
        {"subprotocols": ["a b"]},
        {"subprotocols": ["a", "a"]},
        {"headers": {"Sec-WebSocket-Accept": "x"}},
        {"headers": {"X": "a\r\nb: c"}},
        {"origins": "https://example.com"},
        {"unrecognized_pong": "ignored"},
        {"subprotocol_required": True},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each has a text of its own
            serve_endpoint(echo, 0, **options)
        with pytest.raises(ValueError):  # noqa: PT011, PT012
            stream, _ = trio.testing.memory_stream_pair()
            async with accept_endpoint(stream, **options):
                raise AssertionError
    for options in (
        {"heartbeat": 5},
        {"subprotocols": "chat"},
        {"colour": "red"},
        {"endpoint_class": ClientEndpoint},
        {"endpoint_class": "ServerEndpoint"},
        {"wall_clock": 784111777.0},
        {"subprotocols": ["a"], "subprotocol_required": "yes"},
    ):
        with pytest.raises(TypeError):
            serve_endpoint(echo, 0, **options)


# ---- accept_endpoint ---------------------------------------------------------------------------


async def test_accept_endpoint_in_serve_tcp():
    async def handler(stream):
        async with accept_endpoint(stream, subprotocols=["chat"]) as connection:
            await echo(connection)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handler, 0)
        port = listeners[0].socket.getsockname()[1]
        async with connect_endpoint(f"ws://localhost:{port}/", subprotocols=["chat"]) as client:
            assert client.subprotocol == "chat"
            await client.send(b"hello")
            assert await client.receive() == b"hello"
        nursery.cancel_scope.cancel()


async def test_accept_endpoint_over_tls(server_context, client_context, autojump_clock):
    client_side, server_side = trio.testing.memory_stream_pair()
    secure = trio.SSLStream(server_side, server_context, server_side=True, https_compatible=True)
    async with trio.open_nursery() as nursery:

        async def serve():
            async with accept_endpoint(secure) as connection:
                await echo(connection)

        nursery.start_soon(serve)
        async with connect_endpoint(
            "wss://example.test/", stream=client_side, ssl_context=client_context
        ) as client:
            await client.send("hello")
            assert await client.receive() == "hello"


async def test_accept_endpoint_raises_what_it_has_answered(autojump_clock):
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(request(Sec_WebSocket_Version="8"))
    with pytest.raises(BadRequest) as caught:
        async with accept_endpoint(server):
            raise AssertionError
    assert caught.value.response.status == 426
    assert (await read_response(client)).status == 426
    with pytest.raises(trio.ClosedResourceError):
        await server.send_all(b"x")


async def test_accept_endpoint_when_process_request_answers(autojump_clock):
    async def process_request(opening):
        return Response(200, body="a page")

    client, server = trio.testing.memory_stream_pair()
    await client.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(RequestAnswered, match="200") as caught:
        async with accept_endpoint(server, process_request=process_request):
            raise AssertionError
    assert caught.value.response.body == b"a page"


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"])
async def test_accept_endpoint_when_the_client_goes(sent, autojump_clock):
    client, server = trio.testing.memory_stream_pair()
    if sent:
        await client.send_all(sent)
    await client.aclose()
    with pytest.raises(HandshakeError, match="closed the connection before its request"):
        async with accept_endpoint(server):
            raise AssertionError
    with pytest.raises(trio.ClosedResourceError):
        await server.send_all(b"x")


async def test_accept_endpoint_when_the_connection_breaks(autojump_clock):
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(request())
    client.receive_stream.close()  # so the 101 cannot be written
    with pytest.raises(HandshakeError, match="the connection was lost in the opening handshake"):
        async with accept_endpoint(server):
            raise AssertionError


async def test_accept_endpoint_when_tls_fails(server_context, autojump_clock):
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(request())
    with pytest.raises(TLSFailed, match=r"the TLS handshake failed: .*"):
        async with accept_endpoint(trio.SSLStream(server, server_context, server_side=True)):
            raise AssertionError


async def test_accept_endpoint_cancelled_closes_the_stream(autojump_clock):
    client, server = trio.testing.memory_stream_pair()
    before = task_count()
    with trio.move_on_after(1) as scope:
        async with accept_endpoint(server, timeouts=Timeouts(open=math.inf)):
            raise AssertionError
    assert scope.cancelled_caught
    assert await read_all(client) == b""
    assert task_count() == before


async def test_accept_endpoint_after_408(autojump_clock):
    _, server = trio.testing.memory_stream_pair()
    with pytest.raises(BadRequest, match="no request within 10 s"):
        async with accept_endpoint(server):
            raise AssertionError


async def test_the_example_of_rfc_6455(autojump_clock):
    async with serve_memory(hold, wall_clock=lambda: 784111777.0) as served:
        stream = served.connect()
        await stream.send_all(request())
        head, _ = await read_head(stream)
        assert head == (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + ACCEPT.encode() + DATE + b"\r\n"
        )


@pytest.mark.parametrize("handler", [echo])
async def test_the_opening_says_nothing_of_what_was_not_agreed(handler, autojump_clock):
    async with serve_memory(handler) as served:
        stream = served.connect()
        await stream.send_all(
            request(Sec_WebSocket_Protocol="a", Sec_WebSocket_Extensions="permessage-deflate")
        )
        head, _ = await read_head(stream)
        assert b"Protocol:" not in head
        assert b"Extensions" not in head


# ---- how many ----------------------------------------------------------------------------------


async def test_more_connections_than_the_server_takes(autojump_clock):
    async with serve_memory(server_limits=ServerLimits(connections=2, retry_after=7)) as served:
        first = await served.connect_raw()
        await served.connect_raw()
        refused = await ask(served, request())
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "7"
        assert served.server.statistics().refused == 1
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
        await served.connect_raw()


async def test_more_openings_than_the_server_takes(autojump_clock):
    """The oldest makes way; a flood of silent clients does not keep others out."""
    async with serve_memory(server_limits=ServerLimits(openings=2)) as served:
        silent = []
        for _ in range(6):
            silent.append(served.connect())
            await trio.testing.wait_all_tasks_blocked()
        assert served.server.statistics().opening == 2
        assert (await read_response(silent[0])).status == 503
        await served.connect_raw()
    assert served.server.statistics().opened == 1


async def test_refusals_have_a_limit_too(autojump_clock):
    limits = ServerLimits(connections=1, openings=1)
    async with serve_memory(server_limits=limits) as served:
        await served.connect_raw()
        refused = [served.connect() for _ in range(5)]
        await trio.testing.wait_all_tasks_blocked()
        answers = [await read_all(stream) for stream in refused]
        assert sum(answer.startswith(b"HTTP/1.1 503 ") for answer in answers) == 1
        assert answers.count(b"") == 4
        assert served.server.statistics().refused == 5


async def test_a_refused_tls_client_gets_no_handshake(server_context, client_context):
    limits = ServerLimits(connections=1)
    async with serve_memory(ssl_context=server_context, server_limits=limits) as served:
        options = {"ssl_context": client_context}
        async with connect_endpoint("wss://example.test/", stream=served.connect(), **options):
            with pytest.raises(TLSFailed):
                async with connect_endpoint(
                    "wss://example.test/", stream=served.connect(), **options
                ):
                    raise AssertionError


async def test_a_refused_stream_that_does_not_close_well(autojump_clock, caplog):
    class Stubborn(trio.abc.Stream):
        def __init__(self, inner):
            self._inner = inner

        async def send_all(self, data):
            await self._inner.send_all(data)

        async def wait_send_all_might_not_block(self):
            await self._inner.wait_send_all_might_not_block()

        async def receive_some(self, max_bytes=None):
            return await self._inner.receive_some(max_bytes)

        async def aclose(self):
            await trio.aclose_forcefully(self._inner)
            raise RuntimeError("on purpose")

    async with serve_memory(server_limits=ServerLimits(connections=1)) as served:
        await served.connect_raw()
        client, server = trio.testing.memory_stream_pair()
        served.listener.offer(Stubborn(server))
        assert (await read_response(client)).status == 503
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
    assert loud(caplog) == []

"""A refusal over TLS is read by the client, as over plain sockets; and TLS where there is none."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from trio_wsendpoint import (
    BadResponse,
    HandshakeRefused,
    Opening,
    Response,
    ServerLimits,
    TLSFailed,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.handshake import ResponseReader
from trio_wsendpoint.testing import MemoryNetwork
from trio_wsendpoint.transport.any_tls import AnyTLSStream, over_tls

from .helpers import echo, read_response, request

#: Refused after the first 16 KiB or less, while more is still to come.
REFUSED = {
    431: request(Cookie="a" * 60_000),
    414: request("/" + "a" * 60_000),
    400: b"\r\r" + bytes(40_000),
    403: request(Origin="https://elsewhere.test") + bytes(4_000),
    401: request("/private") + bytes(4_000),
    500: request("/fails") + bytes(4_000),
}
#: How many bytes leave at a time: the server has refused before the last of them.
PIECE = 6_000


async def process_request(opening: Opening) -> Response | None:
    asked = opening.request
    if asked.path == "/private":
        return Response(401, body="no\n")
    if asked.path == "/fails":
        raise RuntimeError("on purpose")
    if asked.path == "/slow":
        await trio.sleep_forever()
    return None


async def ask(stream: AnyTLSStream, data: bytes) -> Response:
    """Write `data` bit by bit, whatever is answered meanwhile, then read the answer."""
    await stream.do_handshake()
    for start in range(0, len(data), PIECE):
        await stream.send_all(data[start : start + PIECE])
        await trio.testing.wait_all_tasks_blocked()
    reader, response = ResponseReader(), None
    while response is None:
        piece = bytes(await stream.receive_some(65536))
        response = reader.receive_data(piece) if piece else reader.receive_eof()
    return response


@pytest.mark.parametrize("status", REFUSED)
async def test_over_sockets(
    status: int, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    options: dict[str, Any] = {"ssl_context": server_context, "process_request": process_request}
    async with serve_endpoint(echo, 0, host="127.0.0.1", **options) as server:
        for _ in range(5):
            plain = await trio.open_tcp_stream("127.0.0.1", server.port)
            stream = over_tls(plain, client_context, server_hostname="localhost")
            async with stream:
                assert (await ask(stream, REFUSED[status])).status == status


@pytest.mark.parametrize("nonblocking", [False, True], ids=["Trio's TLS", "ours"])
@pytest.mark.parametrize("status", REFUSED)
async def test_in_memory_the_end_is_told(
    status: int,
    nonblocking: bool,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    autojump_clock: object,
) -> None:
    """And at once: no client has to wait until it is left."""
    network = MemoryNetwork(nonblocking=nonblocking)
    options: dict[str, Any] = {"ssl_context": server_context, "process_request": process_request}
    async with serve_endpoint(echo, listeners=[network.listen()], **options):
        stream = over_tls(await network.connect(), client_context, server_hostname="localhost")
        assert (await ask(stream, REFUSED[status])).status == status
        assert await stream.receive_some(1) == b""
        assert trio.current_time() < 0.1
        await stream.aclose()
    assert network.open_streams == ()


@pytest.mark.parametrize("nonblocking", [False, True], ids=["Trio's TLS", "ours"])
async def test_503_where_the_handshake_was_done(
    nonblocking: bool,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    autojump_clock: object,
) -> None:
    """The app takes too long, the server stops, another opening is in its place."""
    network = MemoryNetwork(nonblocking=nonblocking)
    options: dict[str, Any] = {
        "ssl_context": server_context,
        "process_request": process_request,
        "server_limits": ServerLimits(openings=1),
    }
    async with serve_endpoint(echo, listeners=[network.listen()], **options) as server:

        async def refused(data: bytes) -> Response:
            stream = over_tls(await network.connect(), client_context, server_hostname="localhost")
            async with stream:
                return await ask(stream, data)

        assert (await refused(request("/slow"))).status == 503
        assert trio.current_time() == pytest.approx(10)  # Timeouts.open
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def dropped() -> None:
                assert (await refused(b"GET /")).status == 503

            await trio.testing.wait_all_tasks_blocked()
            silent = await network.connect()
            await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def stopped() -> None:
                assert (await refused(request("/slow"))).status == 503

            await trio.testing.wait_all_tasks_blocked()
            await silent.aclose()
            await server.aclose()
    assert network.open_streams == ()


@pytest.mark.parametrize("secure", [False, True])
async def test_our_client_reads_why_its_request_was_not_read(
    secure: bool, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """More than the server reads on for: it has closed before all was written."""
    context = server_context if secure else None
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=context) as server:
        with pytest.raises(HandshakeRefused) as caught:
            async with connect_endpoint(
                server.urls[0],
                ssl_context=client_context if secure else None,
                headers={"X-Large": "a" * 4_000_000},
            ):
                raise AssertionError
    assert caught.value.response.status == 431


# ---- failed certificates of clients --------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(ca: trustme.CA) -> ssl.SSLContext:
    """A server's context that wants a certificate from its client."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("kind", ["none", "another authority's"])
async def test_a_client_reads_what_was_wrong_with_its_certificate(
    kind: str, ca: trustme.CA, strict: ssl.SSLContext
) -> None:
    """In TLS 1.3 the client has been sending for a while by then: here, all that it wants to."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if kind != "none":
        trustme.CA().issue_cert("me").configure_cert(context)
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=strict) as server:
        for _ in range(10):
            plain = await trio.open_tcp_stream("127.0.0.1", server.port)
            stream = over_tls(plain, context, server_hostname="localhost")
            async with stream:
                await stream.do_handshake()
                for _ in range(5):
                    await stream.send_all(bytes(PIECE))
                    await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BrokenResourceError) as caught:
                    await stream.receive_some(1)
            cause = caught.value.__cause__
            assert isinstance(cause, ssl.SSLError)
            assert "ALERT" in str(cause.reason)


# ---- TLS where there is none, and none where there is TLS ----------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("form", ["socket", "memory", "memory, plain"])
async def test_plain_http_to_a_tls_port_is_told_so(
    form: str, method: str, server_context: ssl.SSLContext
) -> None:
    network = MemoryNetwork(nonblocking=form == "memory")
    listeners: list[Any] = (
        await trio.open_tcp_listeners(0, host="127.0.0.1")
        if form == "socket"
        else [network.listen()]
    )
    async with serve_endpoint(echo, listeners=listeners, ssl_context=server_context) as plain:
        # With given listeners TLS is spoken too.
        stream = (
            await trio.open_tcp_stream("127.0.0.1", plain.port)
            if form == "socket"
            else await network.connect()
        )
        async with stream:
            await stream.send_all(request().replace(b"GET", method.encode(), 1))
            response = await read_response(stream)
            assert response.status == 400
            assert b"use wss://" in response.body


async def test_a_ws_client_of_our_tls_port(server_context: ssl.SSLContext) -> None:
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=server_context) as server:
        with pytest.raises(HandshakeRefused, match="this port speaks TLS: use wss://"):
            async with connect_endpoint(f"ws://127.0.0.1:{server.port}/"):
                raise AssertionError


@pytest.mark.parametrize(
    "alert", [b"\x15\x03\x01\x00\x02\x02\x46", b"\x15\x03\x03\x00\x02\x02\x0a"]
)
async def test_a_ws_client_of_another_s_tls_port(alert: bytes, autojump_clock: object) -> None:
    pair = MemoryNetwork().pair()
    await pair.server.send_all(alert)
    await pair.server.send_eof()
    with pytest.raises(BadResponse, match=r"the server speaks TLS: is it wss://\?$"):
        async with connect_endpoint("ws://example.test/", stream=pair.client):
            raise AssertionError
    await pair.server.aclose()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail\r\n", b""])
@pytest.mark.parametrize("nonblocking", [False, True], ids=["Trio's TLS", "ours"])
async def test_a_wss_client_of_a_plain_port(
    answer: bytes, nonblocking: bool, client_context: ssl.SSLContext, autojump_clock: object
) -> None:
    pair = MemoryNetwork(nonblocking=nonblocking).pair()
    if answer:
        await pair.server.send_all(answer)
    await pair.server.send_eof()
    with pytest.raises(TLSFailed, match=r"does the server speak TLS .* or is its URL ws://\?"):
        async with connect_endpoint(
            "wss://example.test/", stream=pair.client, ssl_context=client_context
        ):
            raise AssertionError
    await pair.server.aclose()


async def test_a_wss_client_of_our_plain_port(client_context: ssl.SSLContext) -> None:
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        with pytest.raises(TLSFailed, match=r"is its URL ws://\?"):
            async with connect_endpoint(
                f"wss://127.0.0.1:{server.port}/", ssl_context=client_context
            ):
                raise AssertionError


async def test_a_certificate_that_fails_is_no_missing_tls(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=server_context) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        with pytest.raises(TLSFailed) as caught:
            async with connect_endpoint(
                "wss://other.test/", stream=stream, ssl_context=client_context
            ):
                raise AssertionError
    assert "ws://" not in str(caught.value)


# ---- names with a final dot ----------------------------------------------------------------------


@pytest.mark.parametrize("nonblocking", [False, True], ids=["Trio's TLS", "ours"])
async def test_a_fully_qualified_name(
    nonblocking: bool, ca: trustme.CA, client_context: ssl.SSLContext, autojump_clock: object
) -> None:
    """It is verified, and sent as SNI, without its dot; the Host header has the name as given."""
    seen: list[str | None] = []
    hosts: list[str | None] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("example.test").configure_cert(context)
    context.sni_callback = lambda _, name, __: seen.append(name)

    async def look(opening: Opening) -> None:
        hosts.append(opening.request.host)

    network = MemoryNetwork(nonblocking=nonblocking)
    async with serve_endpoint(
        echo, listeners=[network.listen()], ssl_context=context, process_request=look
    ):
        for name in ("example.test", "example.test."):
            async with connect_endpoint(
                f"wss://{name}/", stream=await network.connect(), ssl_context=client_context
            ):
                pass
        with pytest.raises(TLSFailed, match="certificate verify failed"):
            async with connect_endpoint(
                "wss://other.test./", stream=await network.connect(), ssl_context=client_context
            ):
                raise AssertionError
    assert seen == ["example.test", "example.test", "other.test"]
    assert hosts == ["example.test", "example.test."]

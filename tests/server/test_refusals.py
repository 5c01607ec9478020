"""What an operator sees of refused clients: policy at INFO, noise at DEBUG, each of them once."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from trio_wsendpoint import (
    HandshakeError,
    Instrument,
    Opening,
    Peer,
    Response,
    ServerLimits,
    TLSFailed,
    accept_endpoint,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.server import refusals
from trio_wsendpoint.testing import MemoryNetwork

from .helpers import echo, hold, open_raw, read_all, request, serve_memory

LOGGER = "trio_wsendpoint"


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", LOGGER)


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in caplog.records]


def only(caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    [record] = caplog.records
    return record.levelname, record.getMessage()


async def process_request(opening: Opening) -> Response | None:
    asked = opening.request
    answers = {"/private": 401, "/forbidden": 403, "/none": 404, "/many": 429, "/moved": 302}
    if asked.path in answers:
        return Response(answers[asked.path])
    return None if asked.is_upgrade or asked.path == "/proxied" else Response(200, body="a page\n")


PLAIN = {"without": ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]}
#: A proxy that does not pass Upgrade on.
PROXIED = {"without": ["Upgrade", "Connection"]}

POLICY = {
    "401": (request("/private"), 401, "/private"),
    "403 of the app": (request("/forbidden"), 403, "/forbidden"),
    "404": (request("/none"), 404, "/none"),
    "429": (request("/many"), 429, "/many"),
    "403 of an origin": (request("/chat", Origin="https://elsewhere.test"), 403, "/chat"),
    "426 of a version": (request("/chat", Sec_WebSocket_Version="8"), 426, "/chat"),
    "426 of a proxy": (request("/proxied", **PROXIED), 426, "/proxied"),
    "431 of cookies": (request("/chat", Cookie="a" * 20_000), 431, None),
    "431 of a list": (request("/chat", Sec_WebSocket_Protocol="a," * 40 + "a"), 431, "/chat"),
    "414": (request("/" + "a" * 10_000), 414, None),
}
NOISE = {
    "a redirection": request("/moved"),
    "nonsense": b"\r\r",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "HTTP/1.0": request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a bad key": request(Sec_WebSocket_Key="short"),
    "an end": b"",
    "half a request": b"GET / HTTP/1.1\r\n",
}


@pytest.mark.parametrize("name", POLICY)
async def test_policy_is_told_at_info_once(
    name: str, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    data, status, path = POLICY[name]
    async with serve_memory(process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(data)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 %d " % status)
        await stream.aclose()
    level, message = only(caplog)
    assert level == "INFO"
    assert f"({status})" in message
    assert "#1] no connection" in message
    if path is not None:
        assert f"for '{path}' " in message


@pytest.mark.parametrize("name", NOISE)
async def test_noise_stays_at_debug_once(
    name: str, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory(process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(NOISE[name])
        await stream.send_eof()
        await read_all(stream)
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
    level, message = only(caplog)
    assert level == "DEBUG"
    assert "no connection" in message


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"])
async def test_silence_is_noise(
    sent: bytes, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory() as served:
        stream = served.connect()
        await stream.send_all(sent)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 408 ")
        await stream.aclose()
    assert only(caplog)[0] == "DEBUG"


async def test_an_app_that_takes_too_long_is_told(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(_: Opening) -> None:
        await trio.sleep_forever()

    async with serve_memory(process_request=slow) as served:
        stream = served.connect()
        await stream.send_all(request("/slow"))
        await read_all(stream)
        await stream.aclose()
    level, message = only(caplog)
    assert (level, "'/slow' (503): process_request took too long" in message) == ("INFO", True)


async def test_an_app_that_fails_is_an_error_and_no_policy(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(_: Opening) -> None:
        raise RuntimeError("on purpose")

    async with serve_memory(process_request=fails) as served:
        stream = served.connect()
        await stream.send_all(request())
        await read_all(stream)
        await stream.aclose()
    assert levels(caplog) == ["ERROR", "DEBUG"]


# ---- what must not be shown ----------------------------------------------------------------------


async def test_no_query_and_nothing_unescaped_is_shown(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory(process_request=process_request) as served:
        for target in ("/private?token=hunter2", "http://a.test/private?token=hunter2"):
            stream = served.connect()
            await stream.send_all(request(target, Cookie="hunter2", Authorization="Basic hunter2"))
            await read_all(stream)
            await stream.aclose()
        stream = served.connect()
        await stream.send_all(request("/" + "%1b" * 2000, Origin="https://elsewhere.test"))
        await read_all(stream)
        await stream.aclose()
    assert levels(caplog) == ["INFO"] * 3
    for record in caplog.records:
        assert "hunter2" not in record.getMessage()
        assert len(record.getMessage()) < 500


# ---- limits --------------------------------------------------------------------------------------


async def test_connections_over_the_limit(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory(hold, server_limits=ServerLimits(connections=1)) as served:
        first = await served.connect_raw()
        stream = served.connect()
        await read_all(stream)
        await stream.aclose()
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
    shown = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert len(shown) == 1
    assert "#2] no connection: the server has as many connections as it takes" in shown[0]


async def test_connections_of_an_address_over_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    limits = ServerLimits(connections_per_address=1)
    async with (
        serve_endpoint(hold, 0, host="127.0.0.1", server_limits=limits) as server,
        connect_endpoint(server.urls[0]),
    ):
        with pytest.raises(HandshakeError):
            async with connect_endpoint(server.urls[0]):
                raise AssertionError
    shown = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert len(shown) == 1
    assert shown[0].startswith("[127.0.0.1:")
    assert "too many connections from your address" in shown[0]


async def test_openings_over_the_limit_and_the_end_of_the_server(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory(server_limits=ServerLimits(openings=1)) as served:
        streams = []
        for _ in range(2):
            streams.append(served.connect())
            await trio.testing.wait_all_tasks_blocked()
        assert only(caplog)[0] == "INFO"
        assert "too many openings" in only(caplog)[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            for stream in streams:
                await read_all(stream)
                await stream.aclose()
    assert levels(caplog) == ["INFO", "DEBUG"]
    assert "the server stops" in caplog.records[1].getMessage()


async def test_the_records_are_limited_in_rate(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory(process_request=process_request) as served:

        async def refuse(times: int) -> None:
            for _ in range(times):
                stream = served.connect()
                await stream.send_all(request("/private"))
                await read_all(stream)
                await stream.aclose()

        await refuse(refusals.RATE + 7)
        assert levels(caplog) == ["INFO"] * refusals.RATE + ["DEBUG"] * 7
        assert all("more since" not in record.getMessage() for record in caplog.records)
        await trio.sleep(1)
        caplog.clear()
        await refuse(2)
        assert levels(caplog) == ["INFO"] * 2
        assert "(7 more since were told at DEBUG)" in caplog.records[0].getMessage()
        assert "more since" not in caplog.records[1].getMessage()


async def test_noise_uses_up_no_record(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory(process_request=process_request) as served:
        for data in [b"\r\r"] * 50 + [request("/private")]:
            stream = served.connect()
            await stream.send_all(data)
            await read_all(stream)
            await stream.aclose()
    assert levels(caplog) == ["DEBUG"] * 50 + ["INFO"]
    assert "more since" not in caplog.records[-1].getMessage()


# ---- TLS -----------------------------------------------------------------------------------------


def no_certificate(ca: trustme.CA) -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def wants_one(ca: trustme.CA) -> ssl.SSLContext:
    context = ordinary(ca)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def ordinary(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("example.test").configure_cert(context)
    return context


@pytest.mark.parametrize("nonblocking", [False, True], ids=["Trio's TLS", "ours"])
@pytest.mark.parametrize("make", [no_certificate, wants_one])
async def test_tls_that_cannot_work_is_told_at_info(
    make: Callable[[trustme.CA], ssl.SSLContext],
    nonblocking: bool,
    ca: trustme.CA,
    client_context: ssl.SSLContext,
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = MemoryNetwork(nonblocking=nonblocking)
    async with serve_endpoint(echo, listeners=[network.listen()], ssl_context=make(ca)):
        caplog.clear()  # of the warning that there is no certificate
        with pytest.raises(HandshakeError):
            async with connect_endpoint(
                "wss://example.test/", stream=await network.connect(), ssl_context=client_context
            ):
                raise AssertionError
        await trio.testing.wait_all_tasks_blocked()
    level, message = only(caplog)
    assert level == "INFO"
    assert "no connection: the TLS handshake failed: " in message


async def test_a_client_that_distrusts_our_certificate_is_told_at_info(
    ca: trustme.CA, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    network = MemoryNetwork()
    async with serve_endpoint(echo, listeners=[network.listen()], ssl_context=ordinary(ca)):
        with pytest.raises(TLSFailed):
            async with connect_endpoint(
                "wss://example.test/",
                stream=await network.connect(),
                ssl_context=ssl.create_default_context(),
            ):
                raise AssertionError
        await trio.testing.wait_all_tasks_blocked()
    level, message = only(caplog)
    assert level == "INFO"
    assert "unknown ca" in message


@pytest.mark.parametrize(
    "data", [request(), b"SSH-2.0-scanner\r\n", bytes(30), b"", b"\x16\x03\x01"]
)
async def test_what_is_no_tls_is_noise(
    data: bytes, ca: trustme.CA, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_memory(ssl_context=ordinary(ca)) as served:
        stream = served.connect()
        await stream.send_all(data)
        await stream.send_eof()
        await read_all(stream)
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
    assert only(caplog)[0] == "DEBUG"


# ---- others --------------------------------------------------------------------------------------


async def test_accept_endpoint_leaves_it_to_its_caller(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Who gets the error, and can tell of it as often as is right."""
    ours, theirs = trio.testing.memory_stream_pair()
    await ours.send_all(request(Origin="https://elsewhere.test"))
    await ours.send_eof()
    with pytest.raises(HandshakeError):
        async with accept_endpoint(theirs):
            raise AssertionError
    assert only(caplog)[0] == "DEBUG"


async def test_instruments_are_told_once_too(autojump_clock: object) -> None:
    heard: list[str] = []

    class Listener(Instrument):
        def handshake_refused(self, error: HandshakeError, peer: Peer | None) -> None:
            heard.append(str(error))

    async with serve_memory(process_request=process_request, instruments=[Listener()]) as served:
        stream = served.connect()
        await stream.send_all(request("/private"))
        await read_all(stream)
        await stream.aclose()
    assert heard == ["process_request answered 401"]


async def test_a_logger_that_raises_leaves_no_stream_open(autojump_clock: object) -> None:
    class Broken(logging.Logger):
        def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the base's name
            raise ValueError("on purpose")

    options: dict[str, Any] = {"logger": Broken("broken"), "process_request": process_request}
    network = MemoryNetwork()
    async with serve_endpoint(echo, listeners=[network.listen()], **options):
        for data in (request("/private"), b"\r\r"):
            stream = await network.connect()
            await stream.send_all(data)
            assert (await read_all(stream)).startswith(b"HTTP/1.1 40")
            await stream.aclose()
        await open_raw(stream := await network.connect())
        await stream.aclose()
    assert network.open_streams == ()

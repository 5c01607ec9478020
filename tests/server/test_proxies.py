"""A server behind proxies: whom it believes, and as whom it counts and shows a client."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.addressing.wire import v2
from tests.server.helpers import (
    MemoryListener,
    hold,
    open_raw,
    read_all,
    read_head,
    read_response,
    request,
)
from trio_wsendpoint import (
    Instrument,
    Peer,
    ServerLimits,
    SocketAddress,
    Timeouts,
    UnexpectedProxyHeader,
    accept_endpoint,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.connection import peer as peer_module
from trio_wsendpoint.testing import memory_stream_pair

PROXY = ("10.0.0.1", 4711)
TRUSTED = {"trusted_proxies": ["10.0.0.0/8"]}
LINE = b"PROXY TCP4 192.0.2.7 192.0.2.8 5000 443\r\n"
LOCAL = v2(b"", command=0x20, family=0)


@pytest.fixture(autouse=True)
def everything(caplog):
    caplog.set_level(logging.DEBUG, "trio_wsendpoint")


class Ear(Instrument):
    def __init__(self):
        self.refused = []
        self.opened = []

    def handshake_refused(self, error, peer):
        self.refused.append((type(error).__name__, repr(peer)))

    def connection_opened(self, connection):
        self.opened.append(repr(connection.peer))


class Served:
    """A server in memory; each connection to it comes from `source`."""

    def __init__(self, server, listener, ear):
        self.server = server
        self.listener = listener
        self.ear = ear
        self.source = PROXY

    async def send(self, data):
        stream = self.listener.connect()
        await stream.send_all(data)
        return stream

    async def ask(self, data):
        return await read_response(await self.send(data))

    async def open(self, *lines, before=b""):
        return await open_raw(await self.send(before + asked(*lines)))


def asked(*lines):
    """An opening with more header lines."""
    data = request()
    return data[:-2] + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


@pytest.fixture
def serve(monkeypatch):
    @asynccontextmanager
    async def serving(handler=hold, **options):
        listener, ear = MemoryListener(memory_stream_pair), Ear()
        options = {**TRUSTED, "instruments": [ear], **options}
        async with serve_endpoint(handler, listeners=[listener], **options) as server:
            served = Served(server, listener, ear)
            monkeypatch.setattr(
                peer_module, "socket_names", lambda _: (served.source, ("10.9.9.9", 80))
            )
            yield served

    return serving


def peers(server):
    return [repr(connection.peer) for connection in server.connections]


# ---- forwarding headers ------------------------------------------------------------------------


async def test_the_client_is_whom_a_trusted_proxy_names(serve, caplog, autojump_clock):
    async with serve() as served:
        await served.open("X-Forwarded-For: 6.6.6.6, 192.0.2.1")
        await served.open("X-Forwarded-For: ::ffff:192.0.2.2")
        await served.open("X-Forwarded-For: unknown")
        await served.open()
        served.source = ("192.0.2.9", 1)
        await served.open("X-Forwarded-For: 192.0.2.1")
        expected = [
            "192.0.2.1 via 10.0.0.1",
            "192.0.2.2 via 10.0.0.1",
            "unknown via 10.0.0.1",
            "10.0.0.1:4711",
            "192.0.2.9:1",
        ]
        assert peers(served.server) == expected == served.ear.opened
        [first, *_] = served.server.connections
        assert first.local == SocketAddress("10.9.9.9", 80)
        first.logger.info("hello")
    texts = [record.getMessage() for record in caplog.records]
    assert "[192.0.2.1 via 10.0.0.1 #1] hello" in texts
    told = [text for text in texts if "not believed" in text]
    assert told == ["[192.0.2.9:1 #5] forwarding headers of this address are not believed"]


async def test_what_is_malformed_is_refused_and_told(serve, caplog, autojump_clock):
    async with serve() as served:
        response = await served.ask(asked("X-Forwarded-For: 1.2.3"))
        assert response.status == 400
        assert b"10.0.0.1" not in response.body
    [record] = [one for one in caplog.records if one.levelno == logging.INFO]
    assert "(400): a forwarding header from 10.0.0.1:4711: '1.2.3' is not" in record.getMessage()
    assert served.ear.refused == [("BadForwarding", "10.0.0.1:4711")]


@pytest.mark.parametrize(
    ("lines", "forwarded", "status"),
    [
        (["X-Forwarded-Host: a.test"], ["X-Forwarded-Host"], 101),
        (["X-Forwarded-Host: b.test"], ["X-Forwarded-Host"], 403),
        (["X-Forwarded-Host: a.test"], ["X-Forwarded-For"], 403),
        (["Forwarded: for=192.0.2.1;host=a.test"], ["Forwarded"], 101),
        (["X-Forwarded-Host: a.test", "X-Forwarded-Port: 8443"], ["X-Forwarded-Host"], 101),
        (
            ["X-Forwarded-Host: a.test", "X-Forwarded-Port: 8443"],
            ["X-Forwarded-Host", "X-Forwarded-Port"],
            403,
        ),
    ],
)
async def test_an_origin_is_compared_with_the_host_that_is_believed(
    serve, lines, forwarded, status, autojump_clock
):
    async with serve(forwarded=forwarded) as served:
        stream = await served.send(asked("Origin: https://a.test", *lines))
        head, _ = await read_head(stream)
        assert head.startswith(b"HTTP/1.1 %d " % status)


async def test_a_page_without_tls_is_no_page_of_a_client_with_tls(serve, autojump_clock):
    seen = []

    async def process_request(opening):
        seen.append((opening.is_secure, opening.host, repr(opening.peer)))

    options = {"forwarded": ["X-Forwarded-Proto"], "process_request": process_request}
    async with serve(**options) as served:
        await served.open("X-Forwarded-Proto: wss", "Origin: https://example.test")
        lines = ["X-Forwarded-Proto: https", "Origin: http://example.test"]
        assert (await served.ask(asked(*lines))).status == 403
    assert seen == [(True, "example.test", "10.0.0.1:4711")]


async def test_limits_count_the_client(serve, autojump_clock):
    limits = ServerLimits(connections_per_address=1)
    async with serve(server_limits=limits) as served:
        await served.open("X-Forwarded-For: 192.0.2.1")
        await served.open("X-Forwarded-For: 192.0.2.2")
        response = await served.ask(asked("X-Forwarded-For: 192.0.2.1"))
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert b"from your address" in response.body
        # One that a proxy hides counts as the proxy.
        await served.open("X-Forwarded-For: unknown")
        assert (await served.ask(asked("X-Forwarded-For: _x"))).status == 503
        served.source = ("192.0.2.1", 5)
        assert (await served.ask(asked("X-Forwarded-For: 192.0.2.3"))).status == 503
        served.source = PROXY
        assert served.server.statistics().refused == 3
        # The place is free again when the connection has ended.
        [first, *_] = served.server.connections
        await first.aclose()
        await trio.sleep(10)
        await served.open("X-Forwarded-For: 192.0.2.1")


async def test_rates_count_the_client(serve, autojump_clock):
    async with serve(server_limits=ServerLimits(opening_rate=1)) as served:
        for number in range(3):
            await served.open(f"X-Forwarded-For: 192.0.2.{number}")
        assert (await served.ask(asked("X-Forwarded-For: 192.0.2.0"))).status == 503


# ---- the PROXY protocol ------------------------------------------------------------------------


@pytest.mark.parametrize("header", [LINE, v2(bytes([192, 0, 2, 7, 192, 0, 2, 8, 19, 136, 1, 187]))])
async def test_a_proxy_header_names_both_ends(serve, header, autojump_clock):
    async with serve(proxy_protocol=True) as served:
        await served.open(before=header)
        [connection] = served.server.connections
        assert connection.peer == Peer(address="192.0.2.7", port=5000, proxies=("10.0.0.1",))
        assert connection.local == SocketAddress("192.0.2.8", 443)


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n", v2(b"", family=0)])
async def test_a_proxy_that_speaks_for_itself(serve, header, caplog, autojump_clock):
    async with serve(proxy_protocol=True) as served:
        await served.open(before=header)
        assert peers(served.server) == ["10.0.0.1:4711"]
    assert all(record.levelno == logging.DEBUG for record in caplog.records)


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_health_check_is_no_refusal(serve, how, caplog, autojump_clock):
    async with serve(proxy_protocol=True) as served:
        stream = await served.send(LOCAL)
        await trio.testing.wait_all_tasks_blocked()
        if how == "end":
            await stream.aclose()
        else:
            stream.reset()
        await trio.testing.wait_all_tasks_blocked()
        statistics = served.server.statistics()
        assert (statistics.refused, statistics.opening) == (0, 0)
    assert served.ear.refused == []
    assert all(record.levelno == logging.DEBUG for record in caplog.records)


async def test_proxy_and_forwarding_headers_both(serve, autojump_clock):
    async with serve(proxy_protocol=True) as served:
        await served.open("X-Forwarded-For: 6.6.6.6", before=LINE)
        line = LINE.replace(b"192.0.2.7", b"10.0.0.9")
        await served.open("X-Forwarded-For: 192.0.2.1", before=line)
        assert peers(served.server) == [
            "192.0.2.7:5000 via 10.0.0.1",
            "192.0.2.1 via 10.0.0.9, 10.0.0.1",
        ]


async def test_limits_count_whom_a_proxy_header_names(serve, autojump_clock):
    limits = ServerLimits(connections_per_address=1)
    async with serve(proxy_protocol=True, server_limits=limits) as served:
        await served.open(before=LINE)
        assert (await served.ask(LINE + request())).status == 503
        await served.open(before=LINE.replace(b"192.0.2.7", b"192.0.2.9"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (request(), "no PROXY header, but b'G'"),
        (b"\x16\x03\x01", "no PROXY header, but"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n" + request(), "is not a PROXY line"),
        (b"", "the connection ended before a PROXY header"),
    ],
)
async def test_without_a_good_header_it_is_dropped(serve, data, text, caplog, autojump_clock):
    async with serve(proxy_protocol=True) as served:
        stream = await served.send(data)
        if not data:
            await stream.send_eof()
        assert await read_all(stream) == b""
    [record] = [one for one in caplog.records if one.levelno > logging.DEBUG]
    assert record.levelno == logging.INFO
    assert text in record.getMessage()


async def test_from_an_address_that_is_not_trusted_nothing_is_read(serve, caplog, autojump_clock):
    async with serve(proxy_protocol=True) as served:
        served.source = ("192.0.2.1", 5)
        assert await read_all(await served.send(LINE + request())) == b""
    [record] = [one for one in caplog.records if one.levelno > logging.DEBUG]
    assert "[192.0.2.1:5 #1] no connection: a PROXY header is taken from" in record.getMessage()
    assert record.levelno == logging.INFO


@pytest.mark.parametrize("data", [b"", LINE[:20]])
async def test_a_header_that_does_not_come_in_time(serve, data, caplog, autojump_clock):
    async with serve(proxy_protocol=True, timeouts=Timeouts(open=4)) as served:
        began = trio.current_time()
        assert await read_all(await served.send(data)) == b""
        assert trio.current_time() - began == 4
    assert all(record.levelno == logging.DEBUG for record in caplog.records)
    assert "no PROXY header within 4 s" in caplog.records[0].getMessage()


@pytest.mark.parametrize("pieces", [1, 1000])
@pytest.mark.parametrize("header", [LINE, LOCAL])
async def test_a_header_that_nobody_expects(serve, header, pieces, caplog, autojump_clock):
    async with serve(forwarded=["Forwarded"]) as served:
        stream = served.listener.connect()
        data = header + request()
        with trio.move_on_after(1):
            for at in range(0, len(data), pieces):
                await stream.send_all(data[at : at + pieces])
        response = await read_response(stream)
        assert response.status == 400
        assert b"PROXY protocol header" in response.body
    [record] = [one for one in caplog.records if one.levelno > logging.DEBUG]
    assert record.levelno == logging.INFO
    assert served.ear.refused == [(UnexpectedProxyHeader.__name__, "10.0.0.1:4711")]


# ---- options, and accept_endpoint --------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"trusted_proxies": "10.0.0.1"}, TypeError, "trusted_proxies must be a list"),
        ({"trusted_proxies": ["10.1.2.3/8"]}, ValueError, "did you mean"),
        ({"trusted_proxies": [1]}, TypeError, "a trusted proxy is a string"),
        ({"forwarded": ["X-Real-IP"]}, ValueError, "is no forwarding header"),
        ({"forwarded": ["Forwarded", "X-Forwarded-For"]}, ValueError, "cannot both"),
        ({"proxy_protocol": 1}, TypeError, "proxy_protocol is a bool"),
        ({"proxy_protocol": True}, ValueError, "name the proxies there"),
    ],
)
async def test_options_that_make_no_sense(options, error, text, autojump_clock):
    with pytest.raises(error, match=text):
        serve_endpoint(hold, 0, **options)
    with pytest.raises(error, match=text):
        accept_endpoint(memory_stream_pair()[1], **options)


async def test_one_stream_alone(monkeypatch, autojump_clock):
    monkeypatch.setattr(peer_module, "socket_names", lambda _: ("/run/app", "/run/app"))
    client, server = memory_stream_pair()
    await client.send_all(LINE)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def serve():
            async with accept_endpoint(
                server, trusted_proxies=["unix:"], proxy_protocol=True
            ) as connection:
                assert repr(connection.peer) == "192.0.2.7:5000 via unix:"

        async with connect_endpoint("ws://a.test/", stream=client) as ours:
            assert [message async for message in ours] == []
            assert ours.peer == Peer(address="/run/app", transport="unix")
            assert ours.local == SocketAddress("/run/app", family="unix")

"""`proxy=`: through HTTP and SOCKS proxies of our own, good ones and bad ones."""

from __future__ import annotations

import base64
import builtins
import errno
import re
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from tests.client.proxies import HTTPProxy, SOCKSProxy, accept, in_memory
from tests.server.helpers import echo
from trio_wsendpoint import (
    Backoff,
    GaveUp,
    HandshakeError,
    HandshakeTimeout,
    Instrument,
    Limits,
    ProxyError,
    ProxyRefused,
    Timeouts,
    TLSFailed,
    connect_endpoint,
    reconnecting_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.testing import Faults, MemoryNetwork, Run, cancel_at_every_checkpoint

PROXY = "proxy.test:3128"
URL = "ws://example.test/chat"
SECRET = "pa55word"
CREDENTIALS = (b"me", SECRET.encode())


@asynccontextmanager
async def world(kind=HTTPProxy, *, network=None, tls=None, **options):
    """A proxy, and an echo server behind it at `example.test`; gives the network and the proxy."""
    async with (
        in_memory(kind, network, **options) as (network, proxy),
        serve_endpoint(echo, listeners=[network.listen("example.test")], ssl_context=tls),
    ):
        yield network, proxy
    assert network.open_streams == ()


async def talk(network, url=URL, **options):
    async with network.connect_endpoint(url, **options) as connection:
        await connection.send("hello" * 1000)
        assert await connection.receive() == "hello" * 1000
        return connection


async def refusal(network, proxy, error=ProxyError, **options):
    """Connect through a proxy that does not let us; return what that raises."""
    with pytest.raises(error) as caught:
        async with network.connect_endpoint(URL, proxy=proxy, **options):
            raise AssertionError
    told = caught.value
    assert isinstance(told, HandshakeError)
    assert isinstance(told, OSError)
    assert SECRET not in str(told)
    assert "\x1b" not in str(told)
    return told


def proxy_context(ca):
    """The context of a proxy that speaks TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("proxy.test").configure_cert(context)
    return context


# ---- good ones -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "kind", "version"),
    [
        ("http", HTTPProxy, None),
        ("socks5h", SOCKSProxy, 5),
        ("socks4a", SOCKSProxy, 4),
    ],
)
@pytest.mark.parametrize("is_secure", [False, True])
async def test_through(
    scheme, kind, version, is_secure, server_context, client_context, autojump_clock
):
    tls = {"ssl_context": client_context} if is_secure else {}
    url = "wss://example.test/chat" if is_secure else URL
    async with world(kind, tls=server_context if is_secure else None) as (network, proxy):
        connection = await talk(network, url, proxy=f"{scheme}://{PROXY}", **tls)
        assert proxy.asked == [("example.test", 443 if is_secure else 80)]
        assert getattr(proxy, "version", None) == version
        assert connection.request.headers["Host"] == "example.test"
        assert connection.timings.proxy is not None


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        (f"http://me:{SECRET}@{PROXY}", HTTPProxy),
        (f"socks5h://me:{SECRET}@{PROXY}", SOCKSProxy),
        (f"socks4a://me@{PROXY}", SOCKSProxy),
    ],
)
async def test_credentials(proxy, kind, autojump_clock):
    async with world(kind, credentials=CREDENTIALS) as (network, _):
        await talk(network, proxy=proxy)


async def test_what_an_http_proxy_is_sent(autojump_clock):
    async with world() as (network, proxy):
        await talk(network, proxy=f"http://{PROXY}", headers={"Cookie": "a=b"})
        assert proxy.head.split("\r\n")[:2] == [
            "CONNECT example.test:80 HTTP/1.1",
            "Host: example.test:80",
        ]
        assert "User-Agent: trio_wsendpoint/" in proxy.head
        assert "Cookie" not in proxy.head
        with pytest.raises(ProxyRefused):
            await talk(network, "ws://[::1]:81/", proxy=f"http://{PROXY}", user_agent=None)
        assert proxy.head == "CONNECT [::1]:81 HTTP/1.1\r\nHost: [::1]:81\r\n\r\n"


async def test_tls_to_the_proxy(ca, server_context, client_context, autojump_clock):
    context = proxy_context(ca)
    options = {"proxy": f"https://{PROXY}", "proxy_ssl_context": client_context}
    async with world(context=context, tls=server_context) as (network, _):
        # TLS to the server within TLS to the proxy
        await talk(network, "wss://example.test/", ssl_context=client_context, **options)
    async with world(context=context) as (network, _):
        await talk(network, **options)
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as network:
        with pytest.raises(ProxyError, match="is its URL http://") as caught:
            await talk(network, **options)
        assert isinstance(caught.value.__cause__, TLSFailed)
    async with world(context=server_context) as (network, _):
        with pytest.raises(ProxyError, match=r"not valid for 'proxy\.test'"):
            await talk(network, **options)


@pytest.mark.parametrize(("scheme", "version"), [("socks5", 5), ("socks4", 4)])
async def test_a_name_that_is_looked_up_here(scheme, version, autojump_clock):
    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
            v4 = (socket.AF_INET, type, proto, "", ("192.0.2.7", port))
            v6 = (socket.AF_INET6, type, proto, "", ("2001:db8::7", port, 0, 0))
            if host == b"example.test":
                return [v4] if family == socket.AF_INET else [v6, v4]
            if host == b"six.test" and family != socket.AF_INET:
                return [v6]
            raise socket.gaierror(socket.EAI_NONAME, "no such name")

        async def getnameinfo(self, sockaddr, flags):
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    network = MemoryNetwork()
    async with in_memory(SOCKSProxy, network) as (_, proxy):
        proxy.says = b""
        for name in ("example", "six", "unknown"):
            with pytest.raises(OSError, match=r"closed it before|no address of the host"):
                await talk(network, f"ws://{name}.test/", proxy=f"{scheme}://{PROXY}")
    expected = [("192.0.2.7", 80)]
    if version == 5:
        expected.append(("2001:db8::7", 80))
    assert proxy.asked == expected


async def test_over_loopback():
    async with trio.open_nursery() as nursery, serve_endpoint(echo, 0, host="127.0.0.1") as server:
        for kind, scheme in (HTTPProxy, "http"), (SOCKSProxy, "socks5"), (SOCKSProxy, "socks4"):
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            proxy = kind(trio.open_tcp_stream)
            nursery.start_soon(accept, listener, proxy, None)
            port = listener.socket.getsockname()[1]
            async with connect_endpoint(
                f"ws://127.0.0.1:{server.port}/", proxy=f"{scheme}://127.0.0.1:{port}"
            ) as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
            assert proxy.asked == [("127.0.0.1", server.port)]
        nursery.cancel_scope.cancel()


async def test_the_environment_names_it(monkeypatch, autojump_clock):
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", PROXY)
    async with world() as (network, proxy):
        await talk(network, proxy=True)
        assert len(proxy.asked) == 1
        monkeypatch.setenv("NO_PROXY", "example.test:80")
        await talk(network, proxy=True)
        assert len(proxy.asked) == 1


async def test_a_channel_that_stays_connected(autojump_clock):
    async with world() as (network, proxy):
        async with reconnecting_endpoint(
            URL, proxy=f"http://{PROXY}", open_stream=network.open_stream, backoff=Backoff()
        ) as channel:
            for _ in range(2):
                await channel.wait_connected()
                await channel.send("hello")
                assert await channel.receive() == "hello"
                network.reset()
                await trio.sleep(60)
        assert len(proxy.asked) > 1


@pytest.mark.parametrize(
    ("scheme", "kind"), [("http", HTTPProxy), ("socks5h", SOCKSProxy), ("socks4a", SOCKSProxy)]
)
@pytest.mark.parametrize("nonblocking", [False, True])
async def test_an_answer_that_comes_in_pieces(scheme, kind, nonblocking, autojump_clock):
    network = MemoryNetwork(server=Faults(chop=1), nonblocking=nonblocking)
    async with world(kind, network=network) as (network, _):
        await talk(network, proxy=f"{scheme}://{PROXY}")


# ---- bad ones ------------------------------------------------------------------------------------


async def test_credentials_that_are_wrong(autojump_clock):
    async with world(credentials=CREDENTIALS) as (network, _):
        error = await refusal(network, f"http://you:{SECRET}@{PROXY}", ProxyRefused)
        assert str(error) == (
            f"http://{PROXY} answered 407 Proxy Authentication Required to CONNECT "
            "example.test:80, Proxy-Authenticate: Basic realm=\"here\": 'who?\\x1b[2J'"
        )
        assert (error.status, error.is_final, error.proxy) == (407, True, f"http://{PROXY}")
        assert error.response.headers["Proxy-Authenticate"] == 'Basic realm="here"'
        assert error.response.body == b"who?\x1b[2J"


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        (f"socks5h://{PROXY}", "it wants user and password"),
        (f"socks5h://you:{SECRET}@{PROXY}", "it does not take this user and password"),
        (f"socks4a://you@{PROXY}", "our identd names another user"),
    ],
)
async def test_credentials_that_a_socks_proxy_does_not_take(proxy, says, autojump_clock):
    async with world(SOCKSProxy, credentials=CREDENTIALS) as (network, _):
        error = await refusal(network, proxy, ProxyRefused)
        assert says in str(error)
        assert error.is_final
        assert error.response is None


@pytest.mark.parametrize(
    ("scheme", "kind", "status"),
    [("http", HTTPProxy, 502), ("socks5h", SOCKSProxy, 5), ("socks4a", SOCKSProxy, 0x5B)],
)
async def test_a_server_that_the_proxy_does_not_reach(scheme, kind, status, autojump_clock):
    async with in_memory(kind) as (network, _):
        error = await refusal(network, f"{scheme}://{PROXY}", ProxyRefused)
        assert error.status == status
        assert not error.is_final
        assert "example.test:80" in str(error)


async def test_a_proxy_that_repeats_the_password(autojump_clock):
    encoded = base64.b64encode(b"me:" + SECRET.encode())
    for said in (SECRET.encode(), encoded, b"me:" + SECRET.encode()):
        answers = [
            b"HTTP/1.1 403 No\r\nContent-Length: 99\r\n\r\n" + said,
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: " + said + b"\r\nContent-Length: 0\r\n\r\n",
            said + b"\r\n\r\n",
            b"Proxy-Authorization: Basic " + said + b"\r\n\r\n",
        ]
        for answer in answers:
            async with in_memory(HTTPProxy, says=answer) as (network, _):
                error = await refusal(network, f"http://me:{SECRET}@{PROXY}")
                assert encoded.decode() not in str(error)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "the proxy closed the connection before answering"),
        (b"HTTP/1.1 200 OK\r\nX: y", "the proxy closed the connection after 21 bytes"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, "more than 64 header"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "a head of more than 16384 bytes"),
        (b"SSH-2.0-OpenSSH\r\n", "the proxy's answer is not good HTTP: an SSH banner"),
        (b"\x05\xff", "the proxy's answer is not good HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "not HTTP: the proxy speaks TLS: is it an https:"),
        (b"HTTP/2 200 OK\r\n\r\n", "the proxy's answer is not good HTTP"),
        (b"HTTP/1.1 banana\r\n\r\n", "the proxy's answer is not good HTTP"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10, "more than 8 interim responses"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "it sent 5 bytes behind its answer"),
    ],
)
async def test_what_an_http_proxy_must_not_say(answer, says, autojump_clock):
    async with in_memory(HTTPProxy, says=answer) as (network, _):
        error = await refusal(network, f"http://me:{SECRET}@{PROXY}")
        assert not isinstance(error, ProxyRefused)
        assert str(error).startswith(f"no way through http://{PROXY}: ")
        assert says in str(error)
        assert len(str(error)) < 500
        assert trio.current_time() < 5
    assert network.open_streams == ()


@pytest.mark.parametrize(("pause", "took"), [(0.0, 0.0), (0.3, 1.0)])
async def test_a_refusal_without_an_end(pause, took, autojump_clock):
    network = MemoryNetwork()
    async with trio.open_nursery() as nursery, network.listen(PROXY) as listener:

        async def serve():
            async with await listener.accept() as stream:
                await stream.receive_some()
                await stream.send_all(b"HTTP/1.1 403 No\r\n\r\n")
                with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 - some time
                    while True:
                        await stream.send_all(b"x" * 10_000)
                        await trio.sleep(pause)

        nursery.start_soon(serve)
        error = await refusal(network, f"http://{PROXY}", ProxyRefused)
        assert trio.current_time() == took
        assert 10_000 < len(error.response.body) <= 64 * 1024
    assert network.open_streams == ()


@pytest.mark.parametrize("status", [101, 301, 403, 407, 500, 999])
async def test_any_other_status(status, autojump_clock):
    answer = b"HTTP/1.1 %d Why\r\nContent-Length: 0\r\nLocation: ws://x/\r\n\r\n" % status
    async with in_memory(HTTPProxy, says=answer) as (network, _):
        error = await refusal(network, f"http://{PROXY}", ProxyRefused, redirects=5)
        assert error.status == status
        assert error.is_final == (status != 500)


@pytest.mark.parametrize(
    ("scheme", "answer", "says"),
    [
        ("socks5h", b"", "it closed it before it had answered"),
        ("socks5h", b"\x05", "it closed it before it had answered after b'\\x05'"),
        ("socks5h", b"\x05\x00\x00\x01", "it closed it before it had answered after"),
        ("socks5h", b"HTTP/1.1 400 Bad Request\r\n\r\n", "is none of SOCKS"),
        ("socks5h", b"\x05\x63" + bytes(20), "is none of SOCKS"),
        ("socks5h", b"\x05\x00\x07" + bytes(20), "is none of SOCKS"),
        ("socks5h", b"\x05\x00\x00\x09" + bytes(20), "is none of SOCKS"),
        ("socks5h", b"\x05\x00\x00\x03\x02\xff\xfe\x00\x00", "is none of SOCKS"),
        ("socks4a", b"\x00\x5a", "it closed it before it had answered"),
        ("socks4a", b"\x04\x5a" + bytes(6), "is none of SOCKS"),
        ("socks4a", b"\x00\x99" + bytes(6), "is none of SOCKS"),
        ("socks4a", b"HTTP/1.1 400 Bad", "is it an http:// proxy?"),
    ],
)
async def test_what_a_socks_proxy_must_not_say(scheme, answer, says, autojump_clock):
    async with in_memory(SOCKSProxy, says=answer) as (network, _):
        error = await refusal(network, f"{scheme}://{PROXY}")
        assert not isinstance(error, ProxyRefused)
        assert says in str(error)
    assert network.open_streams == ()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is it an http:// proxy?"),
        (b"\x04\x00", "is none of SOCKS"),
        (b"\x05\x01", "is none of SOCKS"),
        (b"\x05\x02", "is none of SOCKS"),  # which was not offered
        (b"\x05\x99", "is none of SOCKS"),
    ],
)
async def test_a_first_answer_that_is_none_of_socks(answer, says, autojump_clock):
    async with answering(answer) as network:
        assert says in str(await refusal(network, f"socks5h://{PROXY}"))


@asynccontextmanager
async def answering(answer):
    """A proxy that says the same to whatever it is sent."""
    network = MemoryNetwork()
    async with trio.open_nursery() as nursery, network.listen(PROXY) as listener:

        async def serve():
            async with await listener.accept() as stream:
                await stream.receive_some()
                await stream.send_all(answer)

        nursery.start_soon(serve)
        yield network
    assert network.open_streams == ()


@pytest.mark.parametrize(
    "faults",
    [
        {"server": Faults(reset_at=0)},
        {"server": Faults(reset_at=1)},
        {"client": Faults(reset_at=10)},
        {"server": Faults(tear_at=0)},
        {"server": Faults(half_close_at=0)},
    ],
)
@pytest.mark.parametrize(
    ("scheme", "kind"), [("http", HTTPProxy), ("socks5h", SOCKSProxy), ("socks4a", SOCKSProxy)]
)
async def test_a_proxy_that_is_gone(faults, scheme, kind, autojump_clock):
    async with in_memory(kind, MemoryNetwork(**faults)) as (network, _):
        error = await refusal(network, f"{scheme}://{PROXY}")
        assert re.search(r"was lost.*(Broken pipe|reset)|closed (it|the connection)", str(error))


async def test_a_proxy_that_is_not_there(autojump_clock):
    error = await refusal(MemoryNetwork(), f"http://{PROXY}")
    assert str(error).startswith(f"no way to http://{PROXY}: ")
    assert error.__cause__.errno == errno.ECONNREFUSED


async def test_a_proxy_whose_name_is_not_known():
    with pytest.raises(ProxyError, match=r"no way to http://no\.invalid:80: no address of") as got:
        async with connect_endpoint(URL, proxy="http://no.invalid"):
            raise AssertionError
    assert isinstance(got.value.__cause__, socket.gaierror)


# ---- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("http", HTTPProxy), ("https", HTTPProxy), ("socks5h", SOCKSProxy), ("socks4a", SOCKSProxy)],
)
@pytest.mark.parametrize("faults", [Faults(stall_at=0), Faults(chop=1, slow=1.0)])
async def test_a_proxy_that_takes_too_long(scheme, kind, faults, client_context, autojump_clock):
    network = MemoryNetwork(server=faults)
    tls = {"proxy_ssl_context": client_context} if scheme == "https" else {}
    async with in_memory(kind, network):
        says = rf"^the proxy {scheme}://{PROXY} did not answer within 4 s$"
        with pytest.raises(HandshakeTimeout, match=says):
            async with network.connect_endpoint(
                URL, proxy=f"{scheme}://{PROXY}", timeouts=Timeouts(open=4), **tls
            ):
                raise AssertionError
        assert trio.current_time() == 4


async def test_a_proxy_that_is_not_reached_in_time(autojump_clock):
    async def open_stream(host, port):
        await trio.sleep_forever()

    with pytest.raises(HandshakeTimeout, match="the proxy http://p:80 could not be connected to"):
        async with connect_endpoint(URL, proxy="http://p", open_stream=open_stream):
            raise AssertionError


async def test_a_server_behind_a_proxy_that_takes_too_long(autojump_clock):
    async with in_memory(HTTPProxy) as (network, _):
        listener = network.listen("example.test")
        with pytest.raises(HandshakeTimeout, match=r"^example\.test:80 did not answer within 10 s"):
            async with network.connect_endpoint(URL, proxy=f"http://{PROXY}"):
                raise AssertionError
        listener.close()


async def test_the_times_are_told(autojump_clock):
    network = MemoryNetwork(client=Faults(slow=0.5))
    async with world(network=network) as (network, _):
        connection = await talk(network, proxy=f"http://{PROXY}", limits=Limits())
        timings = connection.timings
        assert timings.tcp == 0
        assert timings.dns is timings.tls is None
        assert timings.proxy >= 1
        assert timings.answer >= 1
        assert timings.total == timings.proxy + timings.answer


# ---- what else -----------------------------------------------------------------------------------


class Heard(Instrument):
    def __init__(self):
        self.errors = []

    def handshake_refused(self, error, peer):
        self.errors.append(error)


async def test_instruments_hear_of_it(autojump_clock):
    heard = Heard()
    async with in_memory(HTTPProxy) as (network, _):
        error = await refusal(network, f"http://{PROXY}", instruments=[heard])
        assert heard.errors == [error]


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_without_the_extra(scheme, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'trio-wsendpoint\[proxy\]'"):
        connect_endpoint(URL, proxy=f"{scheme}://{PROXY}")


async def test_http_needs_no_extra(monkeypatch, autojump_clock):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        assert not name.startswith("python_socks")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    async with world() as (network, _):
        await talk(network, proxy=f"http://{PROXY}")


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("ws://[::1]/", {"proxy": "socks4://p"}, "a socks4:// proxy knows no IPv6"),
        ("ws://[::1]/", {"proxy": "socks4a://p"}, "a socks4a:// proxy knows no IPv6"),
        ("ws://[fe80::1%25eth0]/", {"proxy": "http://p"}, "a zone of an IPv6 address"),
        (URL, {"proxy": "http://p", "address": "unix:/x"}, "address and proxy both say where"),
        (URL, {"proxy": True, "address": "tcp:x:1"}, "address and proxy both say where"),
    ],
)
def test_a_way_that_there_is_not(url, options, says):
    with pytest.raises(ValueError, match=says):
        connect_endpoint(url, **options)
    with pytest.raises(ValueError, match=says):
        reconnecting_endpoint(url, **options)


def test_a_context_for_no_proxy(client_context, server_context):
    for proxy in (None, "http://p", "socks5://p"):
        with pytest.raises(ValueError, match="proxy_ssl_context is for an https:// proxy"):
            connect_endpoint(URL, proxy_ssl_context=client_context, proxy=proxy)
    with pytest.raises(ValueError, match="is a server's"):
        connect_endpoint(URL, proxy="https://p", proxy_ssl_context=server_context)
    connect_endpoint(URL, proxy=True, proxy_ssl_context=client_context)


# ---- staying connected ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        (b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", "http-proxy"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "proxy-refused"),
        (b"HTTP/1.1 503 No\r\nRetry-After: 9999\r\nContent-Length: 0\r\n\r\n", "retry-after"),
    ],
)
async def test_a_proxy_that_makes_a_channel_give_up(answer, row, autojump_clock):
    async with in_memory(HTTPProxy, says=answer) as (network, _):
        options: Any = {"proxy": f"http://{PROXY}", "open_stream": network.open_stream}
        async with reconnecting_endpoint(URL, **options) as channel:
            with pytest.raises(GaveUp) as caught:
                await channel.receive()
        assert caught.value.row.name == row
        assert caught.value.response is not None
        assert caught.value.response.status == int(answer[9:12])


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"])
async def test_a_proxy_that_a_channel_asks_again(says, autojump_clock):
    async with world(says=says) as (network, proxy):
        options: Any = {"proxy": f"http://{PROXY}", "open_stream": network.open_stream}
        async with reconnecting_endpoint(URL, **options) as channel:
            await trio.sleep(5)
            proxy.says = None
            await channel.wait_connected()
            [row] = channel.statistics().decisions
            assert row == ("http-later" if says else "proxy-failed")


# ---- cancelled at every checkpoint ---------------------------------------------------------------


async def through(proxy, kind, contexts, run: Run):
    theirs, ours = contexts

    async def once():
        async with run.network.connect_endpoint(
            URL, proxy=proxy, random_bytes=run.random_bytes, proxy_ssl_context=ours
        ) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"

    async with (
        in_memory(kind, run.network, context=theirs),
        serve_endpoint(
            echo, listeners=[run.network.listen("example.test")], random_bytes=run.random_bytes
        ),
    ):
        await run.victim(once)
        await once()


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("http", HTTPProxy), ("https", HTTPProxy), ("socks5h", SOCKSProxy), ("socks4a", SOCKSProxy)],
)
def test_cancelled_at_every_checkpoint(scheme, kind, ca, client_context):
    contexts = (proxy_context(ca), client_context) if scheme == "https" else (None, None)
    scenario = partial(through, f"{scheme}://{PROXY}", kind, contexts)
    report = cancel_at_every_checkpoint(scenario, seeds=range(2))
    assert report.failures == []
    assert report.injections["cancel"] > 10

"""`connect_endpoint`: what it connects to, what it asks for, and what it refuses to be told."""

from __future__ import annotations

import base64
import errno
import os
import socket
from typing import Any

import pytest
import trio
import trio.testing

import trio_wsendpoint
from tests.server.helpers import (
    echo,
    open_raw,
    read_head,
    request,
    serve_memory,
    task_count,
)
from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    HandshakeTimeout,
    Instrument,
    InvalidURL,
    Limits,
    ServerEndpoint,
    TextFrame,
    Timeouts,
    TLSFailed,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.handshake import RequestReader, ServerHandshake, serialize_response

URL = "ws://example.test/"

#: The same function for calls that a type checker would refuse.
connect: Any = connect_endpoint


async def answer(stream, behind=b"", **options):
    """Be a server by hand: read the request, answer it, and return it."""
    reader, asked = RequestReader(), None
    while asked is None:
        asked = reader.receive_data(bytes(await stream.receive_some()))
    await stream.send_all(serialize_response(ServerHandshake(**options).answer(asked)) + behind)
    return asked


async def asked_by(url=URL, **options):
    """Return the request that a client with these options makes."""
    client, server = trio.testing.memory_stream_pair()
    seen = []
    async with trio.open_nursery() as nursery:

        async def serve():
            seen.append(await answer(server, origins="any", subprotocols=["a", "b"]))
            await server.aclose()

        nursery.start_soon(serve)
        async with connect_endpoint(url, stream=client, **options):
            pass
    return seen[0]


# ---- where to ----------------------------------------------------------------------------------


async def test_over_loopback():
    async with (
        serve_endpoint(echo, 0) as server,
        connect_endpoint(f"ws://localhost:{server.port}/") as client,
    ):
        for message in ("text", "", b"binary", b""):
            await client.send(message)
            received = await client.receive()
            assert received == message
            assert type(received) is type(message)


async def test_over_a_stream_of_the_callers(autojump_clock):
    async with (
        serve_memory() as served,
        connect_endpoint("ws://no-such-host.invalid/", stream=served.connect()) as client,
    ):
        await client.send("hello")
        assert await client.receive() == "hello"


async def test_wss(server_context, client_context):
    async with (
        serve_endpoint(echo, 0, ssl_context=server_context) as server,
        connect_endpoint(f"wss://localhost:{server.port}/", ssl_context=client_context) as client,
    ):
        await client.send("hello" * 100_000)
        assert await client.receive() == "hello" * 100_000


async def test_wss_over_a_stream(server_context, client_context, autojump_clock):
    async with serve_memory(ssl_context=server_context) as served:
        # TLS is spoken over the stream if a context says how,
        async with connect_endpoint(
            "wss://example.test/", stream=served.connect(), ssl_context=client_context
        ) as client:
            await client.send("hello")
            assert await client.receive() == "hello"
        # and the stream is taken as it is, TLS or whatever else, if none does.
        secure = trio.SSLStream(
            served.connect(), client_context, server_hostname="example.test", https_compatible=True
        )
        async with connect_endpoint("wss://example.test/", stream=secure) as client:
            await client.send("hello")
            assert await client.receive() == "hello"


async def test_a_connection_refused():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(ConnectionRefusedError) as caught:
        async with connect_endpoint(f"ws://127.0.0.1:{port}/?token=SECRET"):
            raise AssertionError
    assert caught.value.errno == errno.ECONNREFUSED
    assert caught.value.strerror == (
        f"cannot connect to 127.0.0.1:{port}: ('127.0.0.1', {port}): Connection refused"
    )
    assert "all attempts" in str(caught.value.__cause__)


class Resolver(trio.abc.HostnameResolver):
    """Knows one name; `asked` has the names that it was asked for."""

    def __init__(self, *addresses, port=1):
        self.asked = []
        self._found = [
            (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))
            for family, host in addresses
        ]

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
        self.asked.append(host)
        if not self._found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._found

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


class Sockets(trio.abc.SocketFactory):
    """Makes sockets whose attempts fail, one after the other, with `errors`."""

    def __init__(self, *errors):
        self._errors = list(errors)

    def socket(self, family=socket.AF_INET, type=socket.SOCK_STREAM, proto=0):
        return Unconnectable(self._errors.pop(0))


class Unconnectable(trio.socket.SocketType):
    def __init__(self, error):
        self._error = error

    async def connect(self, address):
        raise OSError(self._error, f"Error connecting to {address!r}: {os.strerror(self._error)}")

    def close(self):
        pass


async def test_every_attempt_is_told():
    found = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "192.0.2.2")]
    trio.socket.set_custom_hostname_resolver(Resolver(*found))
    trio.socket.set_custom_socket_factory(Sockets(errno.ENETUNREACH, errno.ECONNREFUSED))
    with pytest.raises(ConnectionRefusedError) as caught:
        async with connect_endpoint("ws://example.test/"):
            raise AssertionError
    assert str(caught.value) == (
        "[Errno 111] cannot connect to example.test:80: "
        "('192.0.2.1', 1): Network is unreachable; ('192.0.2.2', 1): Connection refused"
    ).replace("111", str(errno.ECONNREFUSED))


@pytest.mark.parametrize(
    ("url", "asked", "named"),
    [
        ("ws://no-such-host.invalid/", b"no-such-host.invalid", "no-such-host.invalid"),
        ("ws://stra\xdfe.invalid/", b"xn--strae-oqa.invalid", "xn--strae-oqa.invalid"),
        ("ws://a_b.invalid./", b"a_b.invalid.", "a_b.invalid."),
        ("ws://[fe80::1%25nosuchzone]/", b"fe80::1%nosuchzone", "fe80::1%nosuchzone"),
    ],
)
async def test_a_host_that_does_not_exist(url, asked, named):
    resolver = Resolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    with pytest.raises(socket.gaierror) as caught:
        async with connect_endpoint(url):
            raise AssertionError
    assert resolver.asked == [asked]
    assert caught.value.errno == socket.EAI_NONAME
    says = f"no address of the host '{named}' was found: Name or service not known"
    assert says in str(caught.value)


async def test_a_host_that_cannot_be_reached_in_time(autojump_clock):
    class Silent(Unconnectable):
        async def connect(self, address):
            await trio.sleep_forever()

    class Factory(Sockets):
        def socket(self, *args, **options):
            return Silent(0)

    trio.socket.set_custom_hostname_resolver(Resolver((socket.AF_INET, "192.0.2.1")))
    trio.socket.set_custom_socket_factory(Factory())
    says = r"^example\.test:80 could not be connected to within 10 s$"
    with pytest.raises(HandshakeTimeout, match=says):
        async with connect_endpoint("ws://example.test/"):
            raise AssertionError
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(HandshakeTimeout, match=r"^\[fe80::1%x\]:80 did not answer within 10 s$"):
        async with connect_endpoint("ws://[fe80::1%25x]/", stream=ours):
            raise AssertionError


async def test_another_host_than_the_urls(autojump_clock):
    async with serve_memory() as served:
        options: Any = {"host_header": "stra\xdfe.de:8080"}
        async with connect_endpoint(
            "ws://[fe80::1%25eth0]/", stream=served.connect(), **options
        ) as client:
            assert client.request.headers["Host"] == "xn--strae-oqa.de:8080"
            assert served.server.connections[0].request.host == "xn--strae-oqa.de:8080"
        async with connect_endpoint("ws://[fe80::1%25eth0]/", stream=served.connect()) as client:
            assert served.server.connections[0].request.host == "[fe80::1]"
        with pytest.raises(ValueError, match="use host_header="):
            connect_endpoint(URL, stream=served.connect(), headers={"Host": "x"})


# ---- TLS ---------------------------------------------------------------------------------------


async def test_the_default_context_refuses_a_stranger(server_context):
    async with serve_endpoint(echo, 0, ssl_context=server_context) as server:
        with pytest.raises(TLSFailed, match="certificate verify failed") as caught:
            async with connect_endpoint(f"wss://localhost:{server.port}/"):
                raise AssertionError
        assert "SSLCertVerificationError" in repr(caught.value.__cause__)


async def test_a_certificate_for_another_host(server_context, client_context, autojump_clock):
    async with serve_memory(ssl_context=server_context) as served:
        with pytest.raises(TLSFailed, match=r"other.test"):
            async with connect_endpoint(
                "wss://other.test/", stream=served.connect(), ssl_context=client_context
            ):
                raise AssertionError


async def test_tls_to_a_plain_port(client_context):
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        with pytest.raises(TLSFailed, match=r"the TLS handshake failed: .*(?i:version|record)"):
            async with connect_endpoint(
                f"wss://127.0.0.1:{server.port}/", ssl_context=client_context
            ):
                raise AssertionError


async def test_tls_that_ends_in_the_handshake(client_context, autojump_clock):
    client, server = trio.testing.memory_stream_pair()
    await server.send_eof()
    with pytest.raises(TLSFailed):
        async with connect_endpoint(
            "wss://example.test/", stream=client, ssl_context=client_context
        ):
            raise AssertionError


# ---- options are checked before anything is done -----------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.test/", "use ws://"),
        ("https://example.test/", "use wss://"),
        ("example.test", "starts with ws:// or wss://"),
        ("ws://", "no host"),
        ("ws://example.test:99999/", "port"),
        ("ws://example.test:0/", "port"),
        ("ws://example.test/a b", "percent-encode"),
        ("ws://example.test/#top", "fragment"),
        ("ws://::1/", "brackets"),
        ("ws://a..b/", "empty"),
    ],
)
async def test_a_bad_url(url, says):
    stream, _ = trio.testing.memory_stream_pair()
    with pytest.raises(InvalidURL, match=says) as caught:
        async with connect_endpoint(url, stream=stream):
            raise AssertionError
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"headers": None}, TypeError, r"headers must be a mapping .* not None: leave it out"),
        ({"headers": 5}, TypeError, r"headers must be a mapping .* not int"),
        ({"headers": b"A: b"}, TypeError, r"headers must be a mapping .* not bytes"),
        ({"subprotocols": None}, TypeError, "subprotocols must be a list of tokens, not None"),
        ({"instruments": Instrument()}, TypeError, "instruments must be a list of Instrument"),
        ({"instruments": None}, TypeError, "instruments must be a list .* leave it out"),
        ({"on_data_frame": echo}, TypeError, "on_data_frame must not be async: echo would"),
        ({"before_send_frame": echo}, TypeError, "before_send_frame must not be async"),
        ({"random_bytes": b"1234"}, TypeError, "random_bytes must be a function, not b'1234'"),
        ({"logger": "mine"}, TypeError, "logger must be a logging.Logger or an adapter"),
        ({"user_agent": True}, TypeError, "user_agent must be a str, or None for none, not True"),
        ({"user_agent": "a\nb"}, ValueError, "header 'User-Agent'"),
        ({"ssl_context": True}, TypeError, "ssl_context must be an ssl.SSLContext, not True"),
        ({"ssl_context": False}, TypeError, "ssl_context must be .* not False: .* leave it out"),
        (
            {"ssl_context": "cert.pem"},
            TypeError,
            "ssl_context must be an ssl.SSLContext, not a str",
        ),
        ({"heartbeat": 5}, TypeError, r"heartbeat must be Heartbeat\(\.\.\.\), not 5"),
        ({"limits": None}, TypeError, r"limits must be Limits\(\.\.\.\), not None"),
        ({"timeouts": 3}, TypeError, r"timeouts must be Timeouts\(\.\.\.\), not 3"),
        ({"deflate": True}, TypeError, r"deflate must be Deflate\(\.\.\.\), not True"),
        ({"colour": "red"}, TypeError, r"connect_endpoint\(\) has no option 'colour'"),
        ({"process_request": None}, TypeError, r"leave it out: serve_endpoint\(\) has this option"),
        ({"extra_headers": {}}, TypeError, "write headers="),
        ({"orgin": "https://x"}, TypeError, "is it 'origin'"),
        ({"uri": URL}, TypeError, r"write connect_endpoint\(url\)"),
        ({"subprotocols": "chat"}, TypeError, "subprotocols"),
        ({"subprotocols": ["a b"]}, ValueError, "a b"),
        ({"headers": {"Host": "x"}}, ValueError, "host"),
        ({"headers": {"A\r\nB": "x"}}, ValueError, "header name"),
        ({"headers": [("Origin", "x")], "origin": "https://x"}, ValueError, "origin"),
        ({"unrecognized_pong": "maybe"}, ValueError, "unrecognized_pong"),
        ({"endpoint_class": ServerEndpoint}, TypeError, "a subclass of ClientEndpoint"),
        ({"endpoint_class": ClientEndpoint()}, TypeError, "a subclass of ClientEndpoint"),
    ],
)
async def test_a_bad_option(options, error, says):
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(error, match=says):
        async with connect_endpoint(URL, stream=ours, **options):
            raise AssertionError
    with trio.move_on_after(0) as scope:
        await theirs.receive_some()
    assert scope.cancelled_caught  # nothing was sent, nothing closed


async def test_a_context_that_is_a_servers(server_context):
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match="ssl_context is a server's, and this is a client: write"):
        connect_endpoint("wss://example.test/", stream=ours, ssl_context=server_context)
    with trio.move_on_after(0) as scope:
        await theirs.receive_some()
    assert scope.cancelled_caught


async def test_a_socket_is_no_stream():
    with socket.socket() as one, trio.socket.from_stdlib_socket(socket.socket()) as two:
        for number, hint in ((one, "from_stdlib_socket"), (two, r"trio\.SocketStream\(socket\)")):
            with pytest.raises(TypeError, match=rf"stream must be a trio\.abc\.Stream.*{hint}"):
                connect(URL, stream=number)
    with pytest.raises(TypeError, match=r"stream must be a trio\.abc\.Stream, not 5$"):
        connect(URL, stream=5)


async def test_what_it_returns_is_entered_with_async_with():
    made = connect(URL)
    expected = "write `async with connect_endpoint\\(url\\) as connection:`"
    with pytest.raises(TypeError, match=expected):
        await made
    with pytest.raises(TypeError, match=expected), made:
        raise AssertionError
    with pytest.raises(AttributeError, match=f"no 'receive': {expected}"):
        made.receive  # noqa: B018
    assert repr(made) == "<connect_endpoint(...): enter it with `async with`>"


async def test_an_ssl_context_for_a_plain_url(client_context):
    with pytest.raises(ValueError, match="ssl_context is for wss://"):
        connect_endpoint(URL, ssl_context=client_context)


async def test_a_server_refuses_these_as_well():
    with pytest.raises(TypeError, match="server_limits must be ServerLimits"):
        serve_endpoint(echo, 0, server_limits=Limits())  # type: ignore[arg-type]


# ---- what it asks for --------------------------------------------------------------------------


async def test_the_request(autojump_clock):
    got = await asked_by(
        "ws://me:p%40ss@example.test:8080/chat?room=1",
        origin="https://page.test",
        headers=[("Cookie", "a=1"), ("X", "1"), ("X", "2")],
        subprotocols=["b", "a"],
    )
    assert got.target == "/chat?room=1"
    assert got.host == "example.test:8080"
    assert got.origin == "https://page.test"
    assert got.headers["Cookie"] == "a=1"
    assert got.headers.get_all("X") == ("1", "2")
    assert got.subprotocols == ("b", "a")
    assert got.headers["Authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert len(base64.b64decode(got.headers["Sec-WebSocket-Key"])) == 16
    assert "Sec-WebSocket-Extensions" not in got.headers


async def test_the_user_agent(autojump_clock):
    default = f"trio_wsendpoint/{trio_wsendpoint.__version__}"
    assert (await asked_by()).headers.get_all("User-Agent") == (default,)
    got = await asked_by(user_agent="robot/1", headers={"Cookie": "a=1"})
    assert got.headers.get_all("User-Agent") == ("robot/1",)
    assert got.headers["Cookie"] == "a=1"
    assert "User-Agent" not in (await asked_by(user_agent=None)).headers
    got = await asked_by(headers={"user-agent": "mine"})
    assert got.headers.get_all("User-Agent") == ("mine",)


async def test_lists_may_be_iterators(autojump_clock):
    got = await asked_by(
        headers=iter([("Cookie", "a=1")]), subprotocols=iter(["a", "b"]), instruments=iter([])
    )
    assert got.headers["Cookie"] == "a=1"
    assert got.subprotocols == ("a", "b")


async def test_the_key_is_from_random_bytes(autojump_clock):
    got = await asked_by(random_bytes=bytes)
    assert got.headers["Sec-WebSocket-Key"] == base64.b64encode(bytes(16)).decode()


async def test_what_was_agreed_is_on_the_connection(autojump_clock):
    async with (
        serve_memory(subprotocols=["a", "b"], headers={"X-Server": "me"}) as served,
        connect_endpoint(
            URL + "path?q", stream=served.connect(), subprotocols=["b", "a"]
        ) as client,
    ):
        assert client.subprotocol == "b"
        assert client.response.status == 101
        assert client.response.headers["X-Server"] == "me"
        assert (client.request.path, client.request.query.raw) == ("/path", "q")


async def test_an_endpoint_class(autojump_clock):
    class Counting(ClientEndpoint):
        pongs = 0

        def on_pong(self, frame):
            self.pongs += 1
            super().on_pong(frame)

    async with (
        serve_memory() as served,
        connect_endpoint(URL, stream=served.connect(), endpoint_class=Counting) as client,
    ):
        await client.ping()
        await client.ping()
        assert isinstance(client.endpoint, Counting)
        assert client.endpoint.pongs == 2


async def test_an_endpoint_that_cannot_be_made(autojump_clock):
    class Broken(ClientEndpoint):
        def __init__(self, **options):
            raise RuntimeError("on purpose")

    async with serve_memory() as served:
        stream = served.connect()
        with pytest.raises(RuntimeError, match="on purpose"):
            async with connect_endpoint(URL, stream=stream, endpoint_class=Broken):
                raise AssertionError
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"x")


async def test_frames_in_the_same_segment_as_the_101(autojump_clock):
    client, server = trio.testing.memory_stream_pair()
    behind = TextFrame("first").to_bytes() + BinaryFrame(b"second").to_bytes() + b"\x81\x05th"
    async with trio.open_nursery() as nursery:

        async def serve():
            await answer(server, behind)
            await server.send_all(b"ird\x88\x02\x03\xe8")

        nursery.start_soon(serve)
        async with connect_endpoint(URL, stream=client) as connection:
            assert [message async for message in connection] == ["first", b"second", "third"]


# ---- time and cancellation ---------------------------------------------------------------------


async def test_a_server_that_does_not_answer(autojump_clock):
    before = task_count()
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(HandshakeTimeout, match=r"example.test:80 did not answer within 4 s") as got:
        async with connect_endpoint(URL, stream=ours, timeouts=Timeouts(open=4)):
            raise AssertionError
    assert isinstance(got.value, trio.TooSlowError)
    assert trio.current_time() == 4
    await read_head(theirs)
    assert await theirs.receive_some() == b""
    assert task_count() == before


async def test_a_server_that_answers_byte_by_byte(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def drip():
            with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
                for byte in b"HTTP/1.1 101 OK\r\nX: " + b"x" * 1000:
                    await theirs.send_all(bytes([byte]))
                    await trio.sleep(0.5)

        nursery.start_soon(drip)
        with pytest.raises(HandshakeTimeout):
            async with connect_endpoint(URL, stream=ours):
                raise AssertionError
        assert trio.current_time() == 10


async def test_a_server_that_is_silent_in_the_tls_handshake(client_context, autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(HandshakeTimeout, match=r"example.test:443"):
        async with connect_endpoint("wss://example.test/", stream=ours, ssl_context=client_context):
            raise AssertionError
    assert trio.current_time() == 10
    while await theirs.receive_some():
        pass


async def test_a_server_that_takes_nothing(autojump_clock):
    ours, _ = trio.testing.lockstep_stream_pair()
    with pytest.raises(HandshakeTimeout):
        async with connect_endpoint(URL, stream=ours):
            raise AssertionError
    assert trio.current_time() == 10


@pytest.mark.parametrize("secure", [False, True])
async def test_cancelled_while_connecting(secure, client_context, autojump_clock):
    before = task_count()
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.move_on_after(1) as scope:
        async with connect_endpoint(
            "wss://example.test/" if secure else URL,
            stream=ours,
            ssl_context=client_context if secure else None,
        ):
            raise AssertionError
    assert scope.cancelled_caught
    assert trio.current_time() == 1
    while await theirs.receive_some():
        pass
    assert task_count() == before


async def test_cancelled_before_it_connects():
    with trio.CancelScope() as scope:
        scope.cancel()
        async with connect_endpoint("ws://127.0.0.1:1/"):
            raise AssertionError
    assert scope.cancelled_caught


async def test_cancelled_in_the_block(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, theirs)
        with trio.move_on_after(2) as scope:
            async with connect_endpoint(URL, stream=ours):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == 2
    goodbye = b""
    while data := await theirs.receive_some():
        goodbye += bytes(data)
    assert goodbye[0] == 0x88


async def test_an_error_in_the_block_comes_out_as_itself(autojump_clock):
    error = RuntimeError("on purpose")
    async with serve_memory() as served:
        with pytest.raises(RuntimeError) as caught:
            async with connect_endpoint(URL, stream=served.connect()):
                raise error
    assert caught.value is error


async def test_our_own_server_takes_our_own_requests_byte_by_byte(autojump_clock):
    async with serve_memory() as served:
        stream = served.connect()
        for byte in request()[:-1]:
            await stream.send_all(bytes([byte]))
        await open_raw(stream, request()[-1:])

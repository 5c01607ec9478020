"""`address=`, `open_stream=` and TCP: how a client's stream is opened, and what that took."""

from __future__ import annotations

import errno
import socket
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import trio

from tests.server.helpers import echo
from trio_wsendpoint import (
    HandshakeTimeout,
    Timeouts,
    connect_endpoint,
    reconnecting_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.client.dialing import HEAD_START
from trio_wsendpoint.testing import MemoryNetwork

URL = "ws://example.test/"

#: The same function for calls that a type checker would refuse.
connect: Any = connect_endpoint


async def says_hello(manager):
    async with manager as connection:
        await connection.send("hello")
        assert await connection.receive() == "hello"
        return connection


# ---- address= ------------------------------------------------------------------------------------


@pytest.fixture
async def unix_listener(tmp_path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "app.sock"))
        made.listen()
        yield trio.SocketListener(trio.socket.from_stdlib_socket(made.dup()))


@pytest.mark.parametrize("is_channel", [False, True])
async def test_a_unix_socket(is_channel, unix_listener, tmp_path):
    address = f"unix:{tmp_path}/app.sock"
    async with serve_endpoint(echo, listeners=[unix_listener]):
        if is_channel:
            await says_hello(reconnecting_endpoint(URL, address=address))
            return
        connection = await says_hello(connect_endpoint(URL, address=address))
        assert connection.request.headers["Host"] == "example.test"
        assert connection.timings.tcp is not None
        assert connection.timings.dns is None


async def test_an_abstract_unix_socket():
    name = f"trio-wsendpoint-{id(object())}"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"\0{name}")
        made.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(made.dup()))
        async with serve_endpoint(echo, listeners=[listener]):
            await says_hello(connect_endpoint(URL, address=f"unix:@{name}"))


async def test_tls_over_a_unix_socket(unix_listener, tmp_path, server_context, client_context):
    async with serve_endpoint(echo, listeners=[unix_listener], ssl_context=server_context):
        await says_hello(
            connect_endpoint(
                "wss://example.test/",
                address=f"unix:{tmp_path}/app.sock",
                ssl_context=client_context,
            )
        )


async def test_another_port(server_context, client_context):
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=server_context) as server:
        connection = await says_hello(
            connect_endpoint(
                "wss://example.test/",
                address=f"tcp:127.0.0.1:{server.port}",
                ssl_context=client_context,
            )
        )
        assert connection.request.headers["Host"] == "example.test"


async def test_a_unix_socket_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"connect to unix:.*/no\.sock: No such file"):
        await says_hello(connect_endpoint(URL, address=f"unix:{tmp_path}/no.sock"))


async def test_a_unix_socket_that_does_not_answer(tmp_path, autojump_clock):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "app.sock"))
        made.listen()
        address = f"unix:{tmp_path}/app.sock"
        says = rf"^example\.test:80 at {address} did not answer within 3 s$"
        with pytest.raises(HandshakeTimeout, match=says):
            await says_hello(connect_endpoint(URL, address=address, timeouts=Timeouts(open=3)))


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("/run/app.sock", ValueError, "address '/run/app.sock': expected 'tcp:HOST:PORT', 'unix:"),
        ("systemd:", ValueError, "expected 'tcp:HOST:PORT', 'unix:/PATH' or 'unix:@NAME'"),
        ("fd:3", ValueError, "expected 'tcp:HOST:PORT', 'unix:/PATH' or 'unix:@NAME'"),
        ("unix:", ValueError, "address 'unix:': it has no path"),
        (f"unix:/{'x' * 200}", ValueError, "a path of 201 bytes"),
        ("tcp:localhost", ValueError, "address 'tcp:localhost': it has no port"),
        ("tcp:localhost:0", ValueError, "the port must be 1 to 65535, not 0"),
        (b"unix:/run/app.sock", TypeError, "address must be a str"),
    ],
)
def test_an_address_that_is_none(address, error, says):
    for function in (connect_endpoint, reconnecting_endpoint):
        with pytest.raises(error) as caught:
            function(URL, address=address)
        assert says in str(caught.value)


# ---- open_stream= --------------------------------------------------------------------------------


async def test_a_stream_of_the_apps_own(autojump_clock):
    network, asked = MemoryNetwork(), []

    async def open_stream(host, port):
        asked.append((host, port))
        await trio.sleep(2)
        return await network.connect()

    async with serve_endpoint(echo, listeners=[network.listen()]):
        connection = await says_hello(
            connect_endpoint("ws://stra\xdfe.test:81/", open_stream=open_stream)
        )
    assert asked == [("xn--strae-oqa.test", 81)]
    assert connection.timings.tcp == 2
    assert connection.timings.dns is connection.timings.proxy is connection.timings.tls is None


async def test_tls_over_a_stream_of_the_apps_own(server_context, client_context, autojump_clock):
    network = MemoryNetwork()
    async with serve_endpoint(echo, listeners=[network.listen()], ssl_context=server_context):
        await says_hello(
            connect_endpoint(
                "wss://example.test/", open_stream=network.open_stream, ssl_context=client_context
            )
        )
        with pytest.raises(Exception, match="certificate verify failed"):
            await says_hello(
                connect_endpoint("wss://example.test/", open_stream=network.open_stream)
            )
    assert network.open_streams == ()


async def test_what_open_stream_raises_comes_out(autojump_clock):
    async def open_stream(host, port):
        raise LookupError("on purpose")

    with pytest.raises(LookupError, match="on purpose"):
        await says_hello(connect_endpoint(URL, open_stream=open_stream))


async def test_an_open_stream_that_takes_too_long(autojump_clock):
    async def open_stream(host, port):
        await trio.sleep_forever()

    says = r"^example\.test:80 could not be connected to within 10 s$"
    with pytest.raises(HandshakeTimeout, match=says):
        await says_hello(connect_endpoint(URL, open_stream=open_stream))


async def test_an_open_stream_that_returns_none(autojump_clock):
    async def open_stream(host, port):
        return None

    with pytest.raises(TypeError, match=r"what open_stream returned must be a trio\.abc\.Stream"):
        await says_hello(connect_endpoint(URL, open_stream=open_stream))


async def test_what_excludes_each_other():
    stream = MemoryNetwork().pair().client
    open_stream = MemoryNetwork().open_stream
    for options, says in (
        ({"stream": stream, "open_stream": open_stream}, "leave out open_stream="),
        ({"stream": stream, "address": "unix:/x"}, "leave out address="),
        ({"stream": stream, "proxy": "http://p"}, "leave out proxy="),
        ({"address": "unix:/x", "open_stream": open_stream}, "address and open_stream both say"),
    ):
        with pytest.raises(ValueError, match=says):
            connect(URL, **options)
    with pytest.raises(TypeError, match="open_stream must be an async function"):
        connect(URL, open_stream=lambda host, port: stream)


# ---- TCP -----------------------------------------------------------------------------------------


class Net(trio.abc.HostnameResolver, trio.abc.SocketFactory):
    """A network of addresses, each of which connects after some seconds, or fails.

    `times` has the seconds of each address, or an error to fail with; `tried` when each was tried.
    """

    def __init__(self, lookup=0.0, **times):
        self.lookup = lookup
        self.times = {name.replace("_", "."): value for name, value in times.items()}
        self.tried = {}
        self.open = set()
        trio.socket.set_custom_hostname_resolver(self)
        trio.socket.set_custom_socket_factory(self)

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
        await trio.sleep(self.lookup)
        return [
            (socket.AF_INET6 if "six" in name else socket.AF_INET, type, 6, "", (name, port))
            for name in self.times
        ]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError

    def socket(self, family=socket.AF_INET, type=socket.SOCK_STREAM, proto=0):
        made = Socket(self)
        self.open.add(made)
        return made


class Socket(trio.socket.SocketType):
    def __init__(self, net):
        self.net = net
        self.name = None

    async def connect(self, address):
        self.name = address[0]
        self.net.tried[self.name] = trio.current_time()
        does = self.net.times[self.name]
        if isinstance(does, OSError):
            raise does
        await trio.sleep(does)

    def setsockopt(self, *args):
        pass

    def close(self):
        self.net.open.discard(self)


async def test_the_addresses_are_tried_one_after_the_other(autojump_clock):
    net = Net(a=5.0, b=1.0, c=1.0)
    with pytest.raises(HandshakeTimeout):
        await says_hello(connect_endpoint(URL, timeouts=Timeouts(open=HEAD_START + 0.1)))
    assert net.tried == {"a": 0, "b": HEAD_START}
    assert net.open == set()


async def test_the_next_one_does_not_wait_for_one_that_has_failed(autojump_clock):
    refused = OSError(errno.ECONNREFUSED, "refused")
    net = Net(a=refused, b=refused, c=refused)
    with pytest.raises(ConnectionRefusedError, match="refused; refused; refused"):
        await says_hello(connect_endpoint(URL))
    assert net.tried == {"a": 0, "b": 0, "c": 0}
    assert net.open == set()


async def test_the_second_one_is_of_the_other_family(autojump_clock):
    refused = OSError(errno.ECONNREFUSED, "refused")
    net = Net(six1=refused, six2=refused, four=refused)
    with pytest.raises(ConnectionRefusedError):
        await says_hello(connect_endpoint(URL))
    assert list(net.tried) == ["six1", "four", "six2"]


async def test_the_last_to_fail_is_waited_for(autojump_clock):
    net = Net(a=20.0, b=OSError(errno.EHOSTUNREACH, "unreachable"))
    with trio.move_on_after(5) as scope:
        await says_hello(connect_endpoint(URL))
    assert scope.cancelled_caught
    assert net.tried == {"a": 0, "b": HEAD_START}
    assert net.open == set()


@pytest.mark.parametrize("after", [0.0, 0.1, HEAD_START, 0.3, 0.6])
async def test_cancelled_in_the_race(after, autojump_clock):
    net = Net(a=5.0, b=5.0, lookup=0.05)
    with trio.move_on_after(after) as scope:
        await says_hello(connect_endpoint(URL))
    assert scope.cancelled_caught
    assert net.open == set()


async def test_the_first_one_to_answer_wins():
    """Over loopback: `::1` is refused or answers, `127.0.0.1` answers."""

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
            v4 = (socket.AF_INET, type, 6, "", ("127.0.0.1", port))
            return [v4, (socket.AF_INET, type, 6, "", ("127.0.0.2", port)), v4]

        async def getnameinfo(self, sockaddr, flags):
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())
    async with serve_endpoint(echo, 0, host="127.0.0.2") as server:
        connection = await says_hello(connect_endpoint(f"ws://example.test:{server.port}/"))
        assert connection.timings.dns is not None


# ---- the times -----------------------------------------------------------------------------------


async def test_the_times_of_tcp_and_tls(server_context, client_context):
    async with serve_endpoint(echo, 0, ssl_context=server_context) as server:
        connection = await says_hello(
            connect_endpoint(f"wss://localhost:{server.port}/", ssl_context=client_context)
        )
    assert connection.peer.tls.version.startswith("TLSv1.")
    assert ("DNS", "localhost") in connection.peer.tls.details["subjectAltName"]
    assert "notAfter" in connection.peer.tls.details
    timings = connection.timings
    steps = [timings.dns, timings.tcp, timings.tls, timings.answer]
    assert all(step is not None and step >= 0 for step in steps)
    assert sum(steps) <= timings.total
    assert timings.proxy is None
    with pytest.raises(FrozenInstanceError):
        timings.total = 0


async def test_the_times_of_a_stream(autojump_clock):
    network = MemoryNetwork()
    async with (
        serve_endpoint(echo, listeners=[network.listen()]) as server,
        connect_endpoint(URL, stream=await network.connect()) as connection,
    ):
        assert connection.timings is not None
        assert connection.timings.tcp is None
        assert connection.timings.total == connection.timings.answer == 0
        assert server.connections[0].timings is None

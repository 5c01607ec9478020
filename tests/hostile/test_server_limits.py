"""`ServerLimits`, and a machine that is short of descriptors: what is refused, and how."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import resource
import socket
import subprocess
import sys

import pytest
import trio
import trio.testing

from tests.costs import lines_of
from tests.server.helpers import read_response
from trio_wsendpoint import (
    HandshakeRefused,
    Limits,
    Response,
    ServerLimits,
    TextFrame,
    Timeouts,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.connection import peer as peer_module
from trio_wsendpoint.server.admission import Admission
from trio_wsendpoint.server.listening import (
    _SpareDescriptor,
    accept_streams,
    addresses,
)
from trio_wsendpoint.server.tcp_listeners import open_tcp_listeners

from .server_under_test import (
    BYSTANDERS,
    MASK,
    LogRecorder,
    MemoryListener,
    echo,
    hold,
    open_raw,
    read_all,
    read_head,
    receive_exactly,
    request,
    server_under_test,
    task_count,
)

LOGGER = logging.getLogger("trio_wsendpoint")

# ---- Admission ---------------------------------------------------------------------------------


def test_admission_counts_streams():
    admission = Admission(ServerLimits(connections=2))
    assert admission.admit("a", 0) is None
    assert admission.admit(None, 0) is None
    full = "the server has as many connections as it takes (ServerLimits.connections)"
    assert [admission.admit(address, 0) for address in ("a", "b", None)] == [full] * 3
    admission.release(None)
    assert admission.admit("b", 0) is None
    admission.release("a")
    admission.release("b")
    assert [admission.admit("a", 0), admission.admit("a", 0)] == [None, None]


def test_admission_counts_the_streams_of_an_address():
    admission = Admission(ServerLimits(connections_per_address=2))
    assert [admission.admit("a", 0) for _ in range(3)] == [
        None,
        None,
        "too many connections from your address (ServerLimits.connections_per_address)",
    ]
    assert admission.admit("b", 0) is None
    admission.release("a")
    assert admission.admit("a", 0) is None
    # Streams without an address (a Unix socket, memory) count towards the whole alone.
    assert [admission.admit(None, 0) for _ in range(5)] == [None] * 5
    for address in ("a", "a", "b"):
        admission.release(address)
    assert [admission.admit("a", 0) for _ in range(2)] == [None, None]


def test_admission_keeps_the_rate_of_each_address():
    admission = Admission(ServerLimits(opening_rate=2))
    too_fast = "too many connections a second from your address (ServerLimits.opening_rate)"
    assert [admission.admit("a", 10.0) for _ in range(3)] == [None, None, too_fast]
    assert admission.admit("b", 10.5) is None
    assert admission.admit("a", 10.9) == too_fast
    assert admission.admit("a", 11.0) is None
    # What is refused holds no place, however often it comes.
    for _ in range(3):
        admission.release("a")
    assert admission.admit(None, 11.0) is None


def test_admission_that_refuses_counts_nothing():
    admission = Admission(ServerLimits(connections=1, connections_per_address=1, opening_rate=9))
    assert admission.admit("a", 0) is None
    for _ in range(100):
        assert admission.admit("a", 0) is not None
        assert admission.admit("b", 0) is not None
    admission.release("a")
    assert admission.admit("b", 0) is None


@pytest.mark.parametrize(
    ("one", "other", "prefix", "is_same"),
    [
        ("1.2.3.4", "1.2.3.5", 64, False),
        ("1.2.3.4", "::ffff:1.2.3.4", 64, True),
        ("::ffff:1.2.3.4", "::FFFF:102:304", 64, True),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.5", 1, False),
        ("1.2.3.4", "::1.2.3.4", 64, False),
        ("2001:db8::1", "2001:db8:0:0:ffff::2", 64, True),
        ("2001:db8::1", "2001:db8:0:1::1", 64, False),
        ("2001:db8::1", "2001:db8:0:1::1", 48, True),
        ("2001:db8::1", "2001:0DB8::0001", 128, True),
        ("2001:db8::1", "2001:db8::2", 128, False),
        ("2001:db8::1", "a001:db8::1", 1, False),
        ("2001:db8::1", "3001:db8::1", 1, True),
        ("fe80::1%eth0", "fe80::2%eth0", 64, True),
        ("fe80::1%eth0", "fe80::1%eth1", 64, False),
        ("what is:none", "what is:none", 64, True),
        ("what is:none", "what is:other", 64, False),
    ],
)
@pytest.mark.parametrize("limit", ["connections_per_address", "opening_rate"])
def test_addresses_are_compared_as_addresses(one, other, prefix, is_same, limit):
    admission = Admission(ServerLimits(ipv6_prefix=prefix, **{limit: 1}))
    assert admission.admit(one, 0) is None
    assert (admission.admit(other, 0) is not None) is is_same
    admission.release(one)
    if is_same and limit == "connections_per_address":
        assert admission.admit(other, 0) is None
        admission.release(one)  # as it is counted, whatever it was called
        assert admission.admit(one, 0) is None


def test_the_rates_of_many_addresses_are_no_leak():
    admission = Admission(ServerLimits(connections=10**9, opening_rate=1))
    for second in range(20):
        for number in range(1500):
            address = f"{second}.{number}"
            assert admission.admit(address, second * 2.0) is None
            admission.release(address)
    assert len(admission._rates) <= 2 * 1500
    assert len(admission._by_address) == 0


def test_a_flood_from_ever_new_addresses_costs_the_same_for_each():
    """Within one second none has gone quiet: to look again for each would be quadratic."""

    def flood(count):
        admission = Admission(ServerLimits(connections=10**9, opening_rate=1))
        for number in range(count):
            admission.admit(str(number), 0.0)

    few, many = lines_of(lambda: flood(500)), lines_of(lambda: flood(5_000))
    assert few > 0
    assert many < 1.5 * 10 * few


# ---- connections -------------------------------------------------------------------------------


def is_refusal(response, says, seconds=5):
    assert response.status == 503
    assert response.headers["Retry-After"] == str(seconds)
    assert response.headers["Connection"] == "close"
    assert says in response.body.decode()
    return True


async def test_over_connections_it_is_503(autojump_clock):
    limits = ServerLimits(connections=BYSTANDERS + 2, retry_after=7)
    async with server_under_test(server_limits=limits) as under_test:
        first = await under_test.open()
        silent = await under_test.connect()  # one that says nothing holds a place as well
        await trio.testing.wait_all_tasks_blocked()
        for data in (b"", request(), b"x"):
            stream = await under_test.connect()
            if data:
                await stream.send_all(data)
            # It is told at once, whatever it asks, or if it asks nothing.
            assert is_refusal(await read_response(stream), "as many connections as it takes", 7)
            await stream.aclose()
        assert trio.current_time() < 0.1
        with pytest.raises(HandshakeRefused, match="503") as caught:
            async with under_test.client():
                raise AssertionError
        assert caught.value.response.headers["Retry-After"] == "7"
        assert under_test.server.statistics().refused == 4
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert under_test.visitors() == 1
        second = await under_test.open()
        await silent.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert under_test.visitors() == 1
        async with under_test.client() as connection:
            await connection.send("hi")
            assert await connection.receive() == "hi"
        await second.aclose()


async def test_over_tcp_too_the_client_can_read_why():
    limits = ServerLimits(connections=BYSTANDERS)
    async with server_under_test(server_limits=limits) as under_test:
        for _ in range(20):
            assert is_refusal(await under_test.ask(request()), "as many connections")
        assert under_test.server.statistics().refused == 20


async def test_over_tls_what_is_refused_is_dropped(server_context, client_context, autojump_clock):
    """To say why would cost a TLS handshake: what a flood wants."""
    async with server_under_test(
        ssl_context=server_context,
        client_context=client_context,
        server_limits=ServerLimits(connections=BYSTANDERS),
    ) as under_test:
        stream = await under_test.connect()
        assert await read_all(stream) == b""
        assert trio.current_time() < 0.1
        assert under_test.server.statistics().refused == 1


async def test_what_is_refused_is_bounded_too(autojump_clock):
    """Clients that do not read the 503: as many as `openings` are waited for, the rest dropped."""
    limits = ServerLimits(connections=BYSTANDERS, openings=4)
    async with server_under_test(
        server_limits=limits, make_pair=trio.testing.lockstep_stream_pair
    ) as under_test:
        streams = [await under_test.connect() for _ in range(50)]
        await trio.testing.wait_all_tasks_blocked()
        assert under_test.server.statistics().refused == 50
        assert task_count() == under_test.tasks + 4
        answers = []
        async with trio.open_nursery() as nursery:

            async def read(stream):
                answers.append(await read_all(stream))
                await stream.aclose()

            for stream in streams:
                nursery.start_soon(read, stream)
        assert sum(answer.startswith(b"HTTP/1.1 503 ") for answer in answers) == 4
        assert sum(answer == b"" for answer in answers) == 46
        await under_test.settled()
        # And there is room again to tell why.
        assert is_refusal(await read_response(await under_test.connect()), "as many")


async def test_refused_clients_that_stay_are_left_after_a_second(autojump_clock):
    limits = ServerLimits(connections=BYSTANDERS, openings=4)
    async with server_under_test(server_limits=limits) as under_test:
        for _ in range(10):
            await under_test.connect()
        await trio.testing.wait_all_tasks_blocked()
        assert task_count() > under_test.tasks
        await trio.sleep(Timeouts().linger + 0.1)
        assert task_count() == under_test.tasks


class StreamThatCannotClose(trio.abc.Stream):
    """Somebody's own, with a bug."""

    async def send_all(self, data):
        raise OSError("on purpose")

    async def wait_send_all_might_not_block(self):
        raise OSError("on purpose")

    async def receive_some(self, max_bytes=None):
        raise OSError("on purpose")

    async def aclose(self):
        raise OSError("on purpose")


async def test_a_refused_stream_that_cannot_be_closed_does_not_end_the_server(autojump_clock):
    limits = ServerLimits(connections=BYSTANDERS, openings=1)
    async with server_under_test(server_limits=limits) as under_test:
        for _ in range(3):
            under_test.listener.offer(StreamThatCannotClose())
        await trio.testing.wait_all_tasks_blocked()
        assert under_test.server.statistics().refused == 3
        said = [record.getMessage() for record in under_test.log.records]
        assert said.count("a refused stream could not be closed") == 3
        assert is_refusal(await under_test.ask(request()), "as many")


# ---- openings ----------------------------------------------------------------------------------


async def test_over_openings_the_oldest_is_dropped(autojump_clock):
    limits = ServerLimits(openings=3, retry_after=9)
    async with server_under_test(server_limits=limits) as under_test:
        streams = []
        for number in range(8):
            stream = await under_test.connect()
            streams.append(stream)
            await stream.send_all(b"GET /%d" % number)
            await trio.testing.wait_all_tasks_blocked()
            assert under_test.server.statistics().opening == min(number + 1, 3)
            if number >= 3:
                assert is_refusal(await read_response(streams[number - 3]), "", 9)
                await streams[number - 3].aclose()
        assert under_test.server.statistics().refused == 5
        # The newest go on as if nothing had been.
        for number in (5, 6, 7):
            rest = request(f"/{number}").removeprefix(b"GET /%d" % number)
            assert await open_raw(streams[number], rest) == b""
        assert trio.current_time() < 0.1


async def test_a_flood_of_silent_ones_drops_itself(autojump_clock):
    """At once, and none of them reads its 503: there are never more openings than allowed."""
    limits = ServerLimits(openings=5)
    async with server_under_test(
        server_limits=limits, make_pair=trio.testing.lockstep_stream_pair
    ) as under_test:
        streams = [await under_test.connect() for _ in range(200)]
        await trio.testing.wait_all_tasks_blocked()
        statistics = under_test.server.statistics()
        assert statistics.opening == 5
        assert statistics.refused == 195
        # Of those that were dropped only as many are waited for as there may be openings.
        assert task_count() <= under_test.tasks + 10
        # An honest client that comes now is served.
        async with under_test.client() as connection:
            await connection.send("hi")
            assert await connection.receive() == "hi"
        assert trio.current_time() < 0.1
        for stream in streams:
            await stream.aclose()
        await under_test.settled()


async def test_an_opening_may_be_dropped_in_any_state(autojump_clock):
    limits = ServerLimits(openings=1)
    async with server_under_test(server_limits=limits) as under_test:
        first = await under_test.connect()
        await trio.testing.wait_all_tasks_blocked()
        second = await under_test.connect()
        await second.send_all(b"GET")
        assert is_refusal(await read_response(first), "")
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
        # One that is being told 400 already, and stays: it is told nothing else.
        third = await under_test.connect()
        await third.send_all(b"\r\r")
        assert is_refusal(await read_response(second), "")
        await second.aclose()
        await trio.testing.wait_all_tasks_blocked()
        await under_test.connect()
        answer = await read_all(third)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1") == 1
        assert trio.current_time() < 0.1


async def test_a_complete_request_is_not_dropped_for_silent_ones(autojump_clock):
    """It waits for the app, or for its answer to leave: not for its client."""
    decided = trio.Event()

    async def process_request(opening):
        request = opening.request
        if not request.path.startswith("/bystander"):
            await decided.wait()

    limits = ServerLimits(openings=3)
    async with server_under_test(
        server_limits=limits, process_request=process_request
    ) as under_test:
        streams = []
        for number in range(2):
            streams.append(await under_test.connect())
            await streams[-1].send_all(request(f"/{number}"))
            await trio.testing.wait_all_tasks_blocked()
        silent = [await under_test.connect() for _ in range(50)]
        await trio.testing.wait_all_tasks_blocked()
        assert under_test.server.statistics().opening == 3
        assert under_test.server.statistics().refused == 49
        decided.set()
        for stream in streams:
            assert (await read_head(stream))[0].startswith(b"HTTP/1.1 101 ")
        for stream in silent:
            await stream.aclose()
        assert trio.current_time() < 0.1


async def test_when_every_request_is_complete_the_newest_is_refused(autojump_clock):
    async def process_request(opening):
        request = opening.request
        if not request.path.startswith("/bystander"):
            await trio.sleep(2)

    limits = ServerLimits(openings=2)
    async with server_under_test(
        server_limits=limits, process_request=process_request
    ) as under_test:
        streams = []
        for number in range(2):
            streams.append(await under_test.connect())
            await streams[-1].send_all(request(f"/{number}"))
        await trio.testing.wait_all_tasks_blocked()
        assert is_refusal(await under_test.ask(request("/late")), "")
        assert trio.current_time() < 0.1
        for stream in streams:
            assert (await read_head(stream))[0].startswith(b"HTTP/1.1 101 ")


async def test_who_was_refused_and_stays_keeps_nobody_out(autojump_clock):
    """A request that was complete, and answered with no, may be dropped like a silent one."""

    async def process_request(opening):
        request = opening.request
        return None if request.path.startswith(("/bystander", "/good")) else Response(401)

    limits = ServerLimits(openings=2)
    async with server_under_test(
        server_limits=limits, process_request=process_request
    ) as under_test:
        for _ in range(20):
            refused = await under_test.connect()
            await refused.send_all(request("/no"))
            await trio.testing.wait_all_tasks_blocked()
        assert await open_raw(await under_test.connect(), request("/good")) == b""
        assert trio.current_time() < 0.1


async def test_a_dropped_opening_in_its_tls_handshake(
    server_context, client_context, autojump_clock
):
    async with server_under_test(
        ssl_context=server_context,
        client_context=client_context,
        server_limits=ServerLimits(openings=1),
    ) as under_test:
        first = await under_test.connect()
        await trio.testing.wait_all_tasks_blocked()
        await under_test.connect()
        assert await read_all(first) == b""
        assert trio.current_time() < 0.1


# ---- addresses ---------------------------------------------------------------------------------


async def test_connections_of_one_address():
    """Over TCP, from two of this machine's addresses."""
    limits = ServerLimits(connections_per_address=BYSTANDERS + 1)
    async with server_under_test(server_limits=limits) as under_test:
        port = under_test.server.port
        first = await under_test.open()
        assert is_refusal(await under_test.ask(request()), "from your address")
        try:
            other = await trio.open_tcp_stream("127.0.0.1", port, local_address="127.0.0.2")
        except OSError:
            pytest.skip("this system has no second loopback address")
        async with other:
            assert await open_raw(other) == b""
        await first.aclose()
        await under_test.settled()
        assert await open_raw(await under_test.connect()) == b""


@pytest.mark.parametrize("is_dual_first", [False, True])
async def test_one_client_over_sockets_of_both_families(is_dual_first):
    """Through a dual-stack socket it comes as ::ffff:127.0.0.1, and is the same client."""
    try:
        both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):
        pytest.skip("this system has no dual-stack sockets")
    dual = trio.SocketListener(trio.socket.from_stdlib_socket(both))
    [four] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    limits = ServerLimits(connections_per_address=1)
    async with serve_endpoint(hold, listeners=[dual, four], server_limits=limits):
        ports = [listener.socket.getsockname()[1] for listener in (dual, four)]
        first, second = ports if is_dual_first else reversed(ports)
        async with await trio.open_tcp_stream("127.0.0.1", first) as one:
            assert await open_raw(one) == b""
            async with await trio.open_tcp_stream("127.0.0.1", second) as other:
                await other.send_all(request())
                assert is_refusal(await read_response(other), "from your address")


async def test_openings_of_one_address_in_a_second(autojump_clock, monkeypatch):
    """Only sockets have addresses, and they have no virtual time: here it is told."""
    address = ["1.2.3.4"]
    monkeypatch.setattr(peer_module, "socket_names", lambda stream: ((address[0], 80), None))
    limits = ServerLimits(opening_rate=BYSTANDERS)
    async with server_under_test(server_limits=limits) as under_test:
        began = trio.current_time()
        for _ in range(3):
            response = await under_test.ask(request())
            assert is_refusal(response, "too many connections a second from your address")
        assert trio.current_time() - began < 0.5
        address[0] = "::1"
        await under_test.open()
        address[0] = "1.2.3.4"
        await trio.sleep(1)
        for _ in range(BYSTANDERS):
            await under_test.open()
        assert is_refusal(await under_test.ask(request()), "a second")
        assert under_test.server.statistics().refused == 4


@pytest.mark.parametrize(
    "field",
    [
        "connections",
        "openings",
        "connections_per_address",
        "opening_rate",
        "ipv6_prefix",
        "retry_after",
    ],
)
def test_limits_check_themselves(field):
    for low in (0, -1):
        with pytest.raises(ValueError, match=f"ServerLimits.{field} must be at least 1"):
            ServerLimits(**{field: low})
    for wrong in (1.5, "1", True):
        with pytest.raises(TypeError, match=f"ServerLimits.{field} must be an int"):
            ServerLimits(**{field: wrong})  # type: ignore[arg-type]
    if field == "ipv6_prefix":
        with pytest.raises(ValueError, match=r"ServerLimits.ipv6_prefix must be at most 128"):
            ServerLimits(ipv6_prefix=129)
    with pytest.raises(TypeError, match="server_limits must be ServerLimits"):
        serve_endpoint(echo, 0, server_limits=Limits())  # type: ignore[arg-type]


# ---- accept() that fails -----------------------------------------------------------------------


def shortage(number=errno.EMFILE):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_a_shortage_backs_off_and_is_logged_once_a_second(number, autojump_clock):
    async with server_under_test() as under_test:
        under_test.listener.errors = [shortage(number) for _ in range(100)]
        before = under_test.listener.accepts
        began = trio.current_time()
        await under_test.connect()  # wakes accept()
        await under_test.check_bystanders()
        await trio.sleep(4.95)
        # Ten times a second, and each time what waits is to be dropped, which fails as well.
        assert under_test.listener.accepts - before == pytest.approx(100, abs=4)
        stream = await under_test.connect()
        assert await open_raw(stream, request()) == b""
        assert trio.current_time() - began == pytest.approx(5, abs=0.2)
        loud = under_test.log.take_loud()
        assert 5 <= len(loud) <= 6
        for record in loud:
            assert record.getMessage().startswith("cannot accept connections: ")
            assert record.exc_info is None
            assert record.levelno == logging.ERROR


async def test_what_waits_is_dropped_in_a_shortage(autojump_clock):
    async with server_under_test() as under_test:
        under_test.listener.errors = [shortage()]
        await under_test.connect()
        dropped, served = await under_test.connect(), await under_test.connect()
        assert await read_all(dropped) == b""
        assert await open_raw(served) == b""
        assert len(under_test.log.take_loud()) == 1


async def take_all(listener, taken):
    await accept_streams(listener, taken.append, LOGGER)


async def test_accept_streams_until_the_listener_is_closed(autojump_clock):
    taken: list[trio.abc.Stream] = []
    listener = MemoryListener()
    listener.connect()
    listener.disappear()
    await take_all(listener, taken)
    assert len(taken) == 1


async def test_a_listener_that_is_closed_in_a_shortage(autojump_clock):
    taken: list[trio.abc.Stream] = []
    listener = MemoryListener()
    listener.errors = [shortage()]
    listener.disappear()
    with LogRecorder() as log:
        await take_all(listener, taken)
    assert len(log.loud()) == 1
    assert taken == []


async def test_an_error_that_is_no_shortage_comes_out(autojump_clock):
    listener, error = MemoryListener(), OSError(errno.EINVAL, "on purpose")
    listener.errors = [error]
    with pytest.raises(OSError, match="on purpose") as caught:
        await take_all(listener, [])
    assert caught.value is error


async def test_a_shortage_so_bad_that_there_is_nothing_to_spare(autojump_clock, monkeypatch):
    """No descriptor for later; when there is one again, it is kept."""
    opened: list[str] = []
    closed: list[int] = []
    has_some = False

    def fake_open(path, flags):
        if not has_some:
            raise shortage()
        opened.append(path)
        return 1_000_000

    monkeypatch.setattr(os, "open", fake_open)
    monkeypatch.setattr(os, "close", closed.append)
    taken: list[trio.abc.Stream] = []
    listener = MemoryListener()
    listener.errors = [shortage() for _ in range(6)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_all, listener, taken)
        await trio.sleep(0.15)
        assert (opened, closed) == ([], [])
        has_some = True
        await trio.sleep(0.2)
        listener.connect()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(taken) == 1
    assert opened == [os.devnull]
    assert closed == [1_000_000]


def test_one_descriptor_is_spared_and_no_more():
    spare = _SpareDescriptor()
    before = len(os.listdir("/dev/fd"))
    spare.keep()
    assert len(os.listdir("/dev/fd")) == before
    for _ in range(2):
        spare.give_up()
        assert len(os.listdir("/dev/fd")) == before - 1


def server_with_few_descriptors():
    """What the subprocess runs: see `test_a_server_without_descriptors`."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)

    async def main():
        async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
            print(server.port, flush=True)
            await trio.to_thread.run_sync(sys.stdin.readline)
            statistics = server.statistics()
            print(statistics.connections, statistics.opening, flush=True)

    trio.run(main)


async def test_a_server_without_descriptors():
    """A real shortage: 40 descriptors, ten bystanders, and 100 silent connections."""
    code = "from tests.hostile.test_server_limits import server_with_few_descriptors as run; run()"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    idle = []
    try:
        with trio.fail_after(60):
            port = int(await trio.to_thread.run_sync(process.stdout.readline))
            url = f"ws://127.0.0.1:{port}/"
            async with contextlib.AsyncExitStack() as stack:
                bystanders = [
                    await stack.enter_async_context(connect_endpoint(url, heartbeat=None))
                    for _ in range(BYSTANDERS)
                ]
                idle += [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(100)]
                lines = []
                for _ in range(3):
                    lines.append(await trio.to_thread.run_sync(process.stdout.readline))
                    for bystander in bystanders:
                        await bystander.send("still there?")
                        assert await bystander.receive() == "still there?"
                assert all("cannot accept connections: " in line for line in lines)
                assert "Too many open files" in lines[0]
                # Those that cannot be served are dropped, not kept waiting.
                assert sum(has_ended(stream) for stream in idle) >= 5
                for stream in idle:
                    await trio.aclose_forcefully(stream)
                # And when there are descriptors again it serves.
                await _poll_for_service(url)
                await trio.to_thread.run_sync(_say, process.stdin)
                *rest, last = (await trio.to_thread.run_sync(process.stdout.read)).splitlines()
        assert all("cannot accept" in line for line in rest)
        connections, opening = last.split()
        assert int(connections) >= BYSTANDERS
        assert int(opening) == 0
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def has_ended(stream):
    """Tell whether the peer of a socket that was sent nothing has ended it."""
    try:
        return os.read(stream.socket.fileno(), 1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def _say(stdin):
    stdin.write("stop\n")
    stdin.flush()


async def _poll_for_service(url):
    while True:
        with contextlib.suppress(Exception):
            async with connect_endpoint(url) as connection:
                await connection.send("hi")
                assert await connection.receive() == "hi"
                return
        await trio.sleep(0.05)


# ---- listening ---------------------------------------------------------------------------------


async def test_port_0_is_the_same_on_every_address():
    listeners = await open_tcp_listeners(0, None, None, LOGGER)
    try:
        assert len({port for _, port in addresses(listeners)}) == 1
    finally:
        for listener in listeners:
            await listener.aclose()


async def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on port {port} of 127.0.0.1: ") as caught:
            await open_tcp_listeners(port, "127.0.0.1", None, LOGGER)
    assert caught.value.errno == errno.EADDRINUSE


async def test_no_port_to_be_had_at_all(monkeypatch):
    tries = []

    async def none_free(port, *, host, backlog):
        tries.append(port)
        raise OSError(errno.EADDRINUSE, "taken")

    monkeypatch.setattr(trio, "open_tcp_listeners", none_free)
    with pytest.raises(OSError, match=r"cannot listen on port 0 of every address \(.*\): taken"):
        await open_tcp_listeners(0, None, None, LOGGER)
    assert len(tries) == 10


async def test_the_addresses_of_all_kinds_of_listeners(server_context, tmp_path):
    plain = await trio.open_tcp_listeners(0, host="127.0.0.1")
    path = socket.socket(socket.AF_UNIX)
    path.bind(str(tmp_path / "socket"))
    path.listen()
    unix = trio.SocketListener(trio.socket.from_stdlib_socket(path))
    try:
        found = addresses([MemoryListener(), unix, trio.SSLListener(plain[0], server_context)])
        assert found == [plain[0].socket.getsockname()]
    finally:
        await plain[0].aclose()
        await unix.aclose()


async def test_the_server_speaks_to_all_that_it_took(autojump_clock):
    """`statistics` of a server that has refused, dropped, opened and failed."""

    async def fails(connection):
        await connection.receive()
        raise RuntimeError("on purpose")

    limits = ServerLimits(connections=BYSTANDERS + 3, openings=2)
    async with server_under_test(fails, server_limits=limits) as under_test:
        stream = await under_test.open()
        await stream.send_all(TextFrame("x", mask=MASK).to_bytes())
        await receive_exactly(stream, 4)
        await stream.aclose()
        await under_test.settled()
        assert len(under_test.log.take_loud()) == 1
        dropped, second, third, fourth = [await under_test.connect() for _ in range(4)]
        for refused, says in ((dropped, ""), (fourth, "as many connections")):
            assert is_refusal(await read_response(refused), says)
        for stream in (second, third):
            assert await open_raw(stream) == b""
        statistics = under_test.server.statistics()
        assert statistics.connections == BYSTANDERS + 2
        assert statistics.opening == 0
        assert statistics.accepted == BYSTANDERS + 5
        assert statistics.opened == BYSTANDERS + 3
        assert (statistics.failed, statistics.refused) == (1, 2)


async def test_limits_hold_for_a_server_with_a_handler_that_waits(autojump_clock):
    async with server_under_test(
        hold, server_limits=ServerLimits(connections=BYSTANDERS + 3)
    ) as under_test:
        for _ in range(3):
            await under_test.open()
        assert is_refusal(await under_test.ask(request()), "as many")

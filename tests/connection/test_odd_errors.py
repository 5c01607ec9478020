"""Whatever a stream, option or callback raises in an opening or a close of TLS: no open stream.

What is raised is a `ValueError`, which no stream has any business to raise.  Each operation of one
side's stream raises it in turn, from the first of the opening to the last of the closing.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection import test_tls
from trio_wsendpoint import (
    ClientEndpoint,
    HandshakeError,
    Instrument,
    Opening,
    Response,
    ServerEndpoint,
    accept_endpoint,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.server.wrappers import TLSListener
from trio_wsendpoint.testing import MemoryNetwork
from trio_wsendpoint.testing.streams import MemoryStream
from trio_wsendpoint.transport.any_tls import over_tls
from trio_wsendpoint.transport.tls import TLSTransport

QUIET = logging.getLogger("trio_wsendpoint.quiet")
QUIET.setLevel(logging.CRITICAL + 1)
contexts = functools.cache(test_tls.contexts)  # each takes 50 ms to make
URL = {False: "ws://example.test/", True: "wss://example.test/"}
FORMS = pytest.mark.parametrize(
    ("nonblocking", "secure"),
    [(True, False), (False, False), (True, True), (False, True)],
    ids=["socket-like", "plain", "our TLS", "Trio's TLS"],
)


class Odd(ValueError):
    """What is raised on purpose."""


def fails_at(side: str, number: int) -> tuple[Callable[[MemoryStream], None], list[bool]]:
    """Return an `on_operation` that raises at one operation of `side`, and whether it did."""
    did: list[bool] = []

    def on_operation(stream: MemoryStream) -> None:
        if stream.side == side and stream.operations == number:
            did.append(True)
            raise Odd("on purpose")

    return on_operation, did


async def be_client(stream: trio.abc.Stream, secure: bool, **options: Any) -> None:
    context = contexts()[0] if secure else None
    async with connect_endpoint(URL[secure], stream=stream, ssl_context=context, **options):
        pass


async def be_server(stream: trio.abc.Stream, secure: bool, **options: Any) -> None:
    if secure:
        stream = over_tls(stream, contexts()[1], server_side=True)
    async with accept_endpoint(stream, **{"logger": QUIET, **options}) as connection:
        await connection.wait_closed()


async def run_both(
    network: MemoryNetwork, secure: bool, client: dict[str, Any], server: dict[str, Any]
) -> None:
    """Connect and close; whatever comes of it, both streams are closed by those who had them."""
    pair = network.pair()

    async def run(role: Callable[..., Any], stream: MemoryStream, options: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):
            await role(stream, secure, **options)
        assert stream.is_closed

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, be_client, pair.client, client)
        nursery.start_soon(run, be_server, pair.server, server)
    assert network.open_streams == ()


@FORMS
@pytest.mark.parametrize("side", ["client", "server"])
async def test_each_operation_of_a_stream(
    side: str, nonblocking: bool, secure: bool, autojump_clock: object
) -> None:
    for number in range(1, 100):
        on_operation, did = fails_at(side, number)
        network = MemoryNetwork(nonblocking=nonblocking, on_operation=on_operation)
        await run_both(network, secure, {}, {})
        if not did:
            break
    assert 4 < number < 99


@FORMS
@pytest.mark.parametrize("status", [401, 400])
async def test_each_operation_of_a_refusal(
    status: int, nonblocking: bool, secure: bool, autojump_clock: object
) -> None:
    async def refuse(opening: Opening) -> Response | None:
        return Response(401)

    data = "GET / HTTP/1.1\r\nHost: x\r\n\r\n" if status == 401 else "\r\r"
    for number in range(1, 100):
        on_operation, did = fails_at("server", number)
        network = MemoryNetwork(nonblocking=nonblocking, on_operation=on_operation)
        pair = network.pair()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def ask(stream: trio.abc.Stream = pair.client) -> None:
                if secure:
                    stream = over_tls(stream, contexts()[0], server_hostname="example.test")
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    if isinstance(stream, (TLSTransport, trio.SSLStream)):
                        await stream.do_handshake()
                    await stream.send_all(data.encode())
                    while await stream.receive_some(65536):
                        pass
                await trio.aclose_forcefully(stream)

            with pytest.raises((HandshakeError, Odd)):
                await be_server(pair.server, secure, process_request=refuse)
        assert network.open_streams == ()
        if not did:
            break
    assert 3 < number < 99


@FORMS
@pytest.mark.parametrize("side", ["client", "server"])
async def test_random_bytes(
    side: str, nonblocking: bool, secure: bool, autojump_clock: object
) -> None:
    """For the key, for the id in the log, for a mask: each of them in turn."""
    for number in range(1, 20):
        calls: list[int] = []

        def random_bytes(size: int, number: int = number, calls: list[int] = calls) -> bytes:
            calls.append(size)
            if len(calls) == number:
                raise Odd("no entropy")
            return bytes(size)

        network = MemoryNetwork(nonblocking=nonblocking)
        options: dict[str, dict[str, Any]] = {"client": {}, "server": {}}
        options[side] = {"random_bytes": random_bytes}
        await run_both(network, secure, **options)
        if len(calls) < number:
            break
    assert number >= 2


def raises(*args: object, **kwargs: object) -> Any:
    raise Odd("on purpose")


async def raises_async(*args: object) -> Any:
    raise Odd("on purpose")


class OddLogger(logging.Logger):
    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the base's name
        raise Odd("on purpose")


class OddInstrument(Instrument):
    handshake_refused = connection_opened = connection_closed = raises
    frame_sent = frame_received = message_sent = message_received = round_trip = raises


def odd_endpoint(base: type[Any], name: str) -> type[Any]:
    return type("OddEndpoint", (base,), {name: raises})


ODD_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "process_request": ("server", {"process_request": raises_async}),
    "an instrument, server": ("server", {"instruments": [OddInstrument()]}),
    "an instrument, client": ("client", {"instruments": [OddInstrument()]}),
    "a logger, server": ("server", {"logger": OddLogger("odd")}),
    "a logger, client": ("client", {"logger": OddLogger("odd")}),
    "before_send_frame, server": ("server", {"before_send_frame": raises}),
    "before_send_frame, client": ("client", {"before_send_frame": raises}),
    **{
        f"{name} of an endpoint, {side}": (side, {"endpoint_class": odd_endpoint(base, name)})
        for side, base in (("server", ServerEndpoint), ("client", ClientEndpoint))
        for name in ("__init__", "receive_data")
    },
    **{
        f"listening to an endpoint, {side}": (
            side,
            {"endpoint_class": odd_endpoint(base, "listen"), "instruments": [Instrument()]},
        )
        for side, base in (("server", ServerEndpoint), ("client", ClientEndpoint))
    },
}


@FORMS
@pytest.mark.parametrize("name", ODD_OPTIONS)
async def test_each_option_that_is_called(
    name: str, nonblocking: bool, secure: bool, autojump_clock: object
) -> None:
    side, odd = ODD_OPTIONS[name]
    options: dict[str, dict[str, Any]] = {"client": {}, "server": {}}
    options[side] = odd
    await run_both(MemoryNetwork(nonblocking=nonblocking), secure, **options)


# ---- a server, and its listeners -----------------------------------------------------------------


async def nothing(connection: object) -> None:
    pass


@FORMS
async def test_each_operation_in_a_server_that_goes_on(
    nonblocking: bool, secure: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    failing: list[int] = [0]
    seen: list[MemoryStream] = []

    def on_operation(stream: MemoryStream) -> None:
        if stream.side == "server" and stream.operations == failing[0]:
            seen.append(stream)
            raise Odd("on purpose")

    network = MemoryNetwork(nonblocking=nonblocking, on_operation=on_operation)
    context = contexts()[1] if secure else None
    async with serve_endpoint(nothing, listeners=[network.listen()], ssl_context=context):
        for number in range(1, 100):
            failing[0] = number
            with contextlib.suppress(Exception):
                await be_client(await network.connect(), secure)
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(30)  # every deadline there is
            assert network.open_streams == ()
            if len(seen) < number:
                break
        failing[0] = 0
        await be_client(await network.connect(), secure)  # it lives
    assert 4 < number < 99
    assert network.open_listeners == ()


async def test_a_failed_opening_of_a_server_is_told_as_that(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    on_operation, _ = fails_at("server", 1)
    network = MemoryNetwork(on_operation=on_operation)
    async with serve_endpoint(nothing, listeners=[network.listen()]) as server:
        stream = await network.connect()
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.receive_some(1)
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().failed == 0
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage().endswith("the opening failed")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Odd)


async def test_a_listener_that_makes_no_tls_of_a_stream_closes_it() -> None:
    class RefusingContext(ssl.SSLContext):
        wrap_bio = raises

    network = MemoryNetwork()
    listener = TLSListener(network.listen(), RefusingContext(ssl.PROTOCOL_TLS_SERVER))
    client = await network.connect()
    with pytest.raises(Odd):
        await listener.accept()
    await client.aclose()
    await listener.aclose()
    assert network.open_streams == ()


# ---- closing TLS ---------------------------------------------------------------------------------


@pytest.mark.parametrize("nonblocking", [False, True], ids=["Trio's TLS", "ours"])
@pytest.mark.parametrize("is_forced", [False, True])
async def test_a_close_of_tls_closes_what_is_below(
    nonblocking: bool, is_forced: bool, autojump_clock: object
) -> None:
    for number in range(1, 20):
        network = MemoryNetwork(nonblocking=nonblocking)
        pair = network.pair()
        for_client, for_server = contexts()
        client = over_tls(pair.client, for_client, server_hostname="example.test")
        server = over_tls(pair.server, for_server, server_side=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
        on_operation, did = fails_at("server", pair.server.operations + number)
        pair.server._on_operation = on_operation
        with contextlib.suppress(Odd):
            await (trio.aclose_forcefully(server) if is_forced else server.aclose())
        assert pair.server.is_closed
        await trio.aclose_forcefully(client)
        if not did:
            break
    assert number < 19


async def test_a_close_of_tls_whatever_openssl_says(monkeypatch: pytest.MonkeyPatch) -> None:
    network = MemoryNetwork()
    pair = network.pair()
    server: Any = over_tls(pair.server, contexts()[1], server_side=True)

    class Broken:
        unwrap = raises

    monkeypatch.setattr(server, "_tls", Broken())
    await server.aclose()
    assert pair.server.is_closed
    await pair.client.aclose()

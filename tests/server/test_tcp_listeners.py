"""Opening TCP ports where people run it: names with several addresses, missing addresses."""

from __future__ import annotations

import errno
import logging
import socket

import pytest
import trio

from trio_wsendpoint.server.listening import addresses
from trio_wsendpoint.server.tcp_listeners import open_tcp_listeners

from .helpers import Resolver

LOGGER = logging.getLogger("trio_wsendpoint")
#: An address that this machine does not have (RFC 3849, RFC 5737).
NOT_OURS = "2001:db8::1"
NOT_OURS_4 = "192.0.2.1"


def resolve_to(*found: str) -> None:
    """Resolve every name to these, for this run of Trio."""
    trio.socket.set_custom_hostname_resolver(Resolver(*found))


async def close_all(listeners: list[trio.SocketListener]) -> None:
    for listener in listeners:
        await listener.aclose()


async def hosts_of(host: str | None, port: int = 0) -> list[str]:
    listeners = await open_tcp_listeners(port, host, None, LOGGER)
    try:
        found = addresses(listeners)
        assert len({number for _, number in found}) == 1
        return [address for address, _ in found]
    finally:
        await close_all(listeners)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
        return number


@pytest.mark.parametrize("is_chosen", [False, True])
@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "::ffff:127.0.0.1"],
        ["::ffff:127.0.0.1", "127.0.0.1", "127.0.0.1"],
    ],
)
async def test_an_address_that_a_name_has_twice_is_bound_once(
    found: list[str], is_chosen: bool
) -> None:
    resolve_to(*found)
    assert await hosts_of("localhost", free_port() if is_chosen else 0) == ["127.0.0.1"]


@pytest.mark.parametrize("is_chosen", [False, True])
@pytest.mark.parametrize("found", [[NOT_OURS, "127.0.0.1"], ["127.0.0.1", NOT_OURS_4, NOT_OURS]])
@pytest.mark.parametrize(
    ("host", "level"), [("localhost", "INFO"), ("www.example.test", "WARNING")]
)
async def test_an_address_that_the_machine_lacks_is_passed_over(
    host: str,
    level: str,
    found: list[str],
    is_chosen: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    resolve_to(*found)
    assert await hosts_of(host, free_port() if is_chosen else 0) == ["127.0.0.1"]
    missing = [address for address in found if address != "127.0.0.1"]
    assert len(caplog.records) == len(missing)
    for record, address in zip(caplog.records, missing, strict=True):
        assert record.levelname == level
        assert f"({address}): " in record.getMessage()


@pytest.mark.parametrize(("host", "found"), [("localhost", "127.0.0.1"), (None, "0.0.0.0")])
async def test_a_family_that_the_system_lacks_is_passed_over(
    host: str | None, found: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    real = trio.socket.socket

    def no_ipv6(family: int, *args: int) -> trio.socket.SocketType:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *args)

    monkeypatch.setattr(trio.socket, "socket", no_ipv6)
    resolve_to("::1", "127.0.0.1")
    assert await hosts_of(host) == [found]
    assert [record.levelname for record in caplog.records] == ["INFO"]


async def test_when_no_address_is_ours_the_error_names_one() -> None:
    resolve_to(NOT_OURS, NOT_OURS_4)
    with pytest.raises(OSError, match="cannot listen on port 8765 of localhost") as caught:
        await open_tcp_listeners(8765, "localhost", None, LOGGER)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert f"localhost ({NOT_OURS}): " in str(caught.value)


async def test_an_address_that_is_taken_is_an_error_that_names_it() -> None:
    """Half of a name is not enough where another program has the other half."""
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        resolve_to("127.0.0.1", "127.0.0.2")
        with pytest.raises(OSError, match=r"of localhost \(127\.0\.0\.2\): ") as caught:
            await open_tcp_listeners(port, "localhost", None, LOGGER)
        assert caught.value.errno == errno.EADDRINUSE
        # What had been opened by then is closed again.
        socket.create_server(("127.0.0.1", port)).close()


async def test_a_free_port_that_is_taken_on_another_address_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to("127.0.0.1", "127.0.0.2")
    real, asked = trio.open_tcp_listeners, []

    async def opening(port: int, *, host: str, backlog: int | None) -> list[trio.SocketListener]:
        asked.append((port, host))
        if len(asked) == 2:
            raise OSError(errno.EADDRINUSE, "taken meanwhile")
        return await real(port, host=host, backlog=backlog)

    monkeypatch.setattr(trio, "open_tcp_listeners", opening)
    assert await hosts_of("localhost") == ["127.0.0.1", "127.0.0.2"]
    assert [host for _, host in asked] == ["127.0.0.1", "127.0.0.2"] * 2
    assert asked[0][0] == asked[2][0] == 0


async def test_a_name_that_does_not_exist_is_still_told_as_that() -> None:
    with pytest.raises(socket.gaierror, match=r"port 80 of no-such-host\.invalid: "):
        await open_tcp_listeners(80, "no-such-host.invalid", None, LOGGER)


async def test_cancelled_between_two_addresses_nothing_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to("127.0.0.1", "127.0.0.2")
    real = trio.open_tcp_listeners

    async def opening(port: int, *, host: str, backlog: int | None) -> list[trio.SocketListener]:
        if host == "127.0.0.2":
            scope.cancel()
            await trio.sleep_forever()
        return await real(port, host=host, backlog=backlog)

    monkeypatch.setattr(trio, "open_tcp_listeners", opening)
    with trio.CancelScope() as scope:  # a socket left open is a warning, which is an error
        await open_tcp_listeners(0, "localhost", None, LOGGER)
    assert scope.cancelled_caught

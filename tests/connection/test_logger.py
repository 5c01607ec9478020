"""The logger of a connection: who is named, when that is found out, and what it costs."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import served
from trio_wsendpoint import connect_endpoint
from trio_wsendpoint.addressing.ends import Ends
from trio_wsendpoint.connection.peer import ConnectionLogger, make_logger
from trio_wsendpoint.testing import connection_pair, seeded_bytes
from trio_wsendpoint.transport import AcceptedSocket

QUIET = logging.getLogger("trio_wsendpoint.test_logger")


@pytest.mark.parametrize(
    ("name", "shown", "address"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80", "192.0.2.1"),
        (("2001:db8::1", 80, 0, 0), "[2001:db8::1]:80", "2001:db8::1"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1\\x25eth0]:80", "fe80::1%eth0"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1:80", "192.0.2.1"),
        (("no address: at all", 80), "[no address: at all]:80", "no address: at all"),
        ((None, None), "unknown", None),
        (None, "stream:", None),
        ("/run/a socket", "unix:/run/a socket", "/run/a socket"),
        ("/\x1b[31m\r\n%s", "unix:/\\x1b[31m\\r\\n\\x25s", "/\x1b[31m\r\n%s"),
        (b"\0abstract\n", "unix:@abstract\\n", "@abstract\n"),
        ("", "unix:", ""),
    ],
)
def test_names(
    name: object,
    shown: str,
    address: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = ConnectionLogger(QUIET, Ends(name, None), "7")
    assert logger.ends.peer.address == address
    logger.warning("hello %s", "there")
    assert caplog.records[0].getMessage() == f"[{shown} #7] hello there"


def test_nothing_is_made_into_text_unless_it_is_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Untouchable(tuple[Any, ...]):
        def __getitem__(self, _: object) -> Any:
            raise AssertionError("formatted")

    class Argument:
        def __str__(self) -> str:
            raise AssertionError("formatted")

    caplog.set_level(logging.WARNING, logger=QUIET.name)
    logger = ConnectionLogger(QUIET, Ends(Untouchable(("192.0.2.1", 80)), None), "7")
    logger.debug("hello %s", Argument())
    logger.info("hello %s", Argument())
    assert not logger.isEnabledFor(logging.INFO)
    assert caplog.records == []


async def test_the_peer_is_known_when_its_socket_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with listener, trio.open_nursery() as nursery:
        accepted: list[trio.SocketStream] = []

        async def accept() -> None:
            accepted.append(await listener.accept())

        nursery.start_soon(accept)
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        logger = make_logger(stream, QUIET, seeded_bytes(1))
        await stream.aclose()
        logger.warning("gone")
    await accepted[0].aclose()
    assert caplog.records[0].getMessage() == f"[127.0.0.1:{port} #{logger.id}] gone"


async def test_ids() -> None:
    async with connection_pair(
        client={"random_bytes": seeded_bytes(1)}, server={"random_bytes": seeded_bytes(2)}
    ) as (client, server):
        assert client.id == seeded_bytes(1)(4).hex()
        assert server.id == seeded_bytes(2)(4).hex()
    async with served() as (one, _), served() as (other, _):
        assert one.id != other.id
        assert len(one.id) == 8


async def test_the_address_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from trio_wsendpoint import serve_endpoint

    calls: list[object] = []

    async def handler(connection: Any) -> None:
        connection.logger.warning("one")
        connection.logger.warning("two")
        ids.append(connection.id)

    ids: list[str] = []

    def names(stream: AcceptedSocket) -> tuple[object, object]:
        calls.append(stream)
        return ("192.0.2.1", 5), None

    monkeypatch.setattr(AcceptedSocket, "names", names)
    async with serve_endpoint(handler, 0, host="127.0.0.1") as server:
        for _ in range(2):
            async with connect_endpoint(server.urls[0]) as client:
                assert [message async for message in client] == []
    assert len(calls) == 2
    assert ids == ["1", "2"]


def test_it_is_small() -> None:
    logger = ConnectionLogger(QUIET, Ends(("192.0.2.1", 80), None), "7")
    assert sys.getsizeof(logger) + sys.getsizeof(vars(logger)) < 400
    assert not hasattr(logger, "extra") or logger.extra is None

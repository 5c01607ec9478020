"""The TLS context of a client that is given none: made once, in a thread, when it is needed."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator

import pytest
import trio

from tests.server.helpers import echo
from trio_wsendpoint import TLSFailed, connect_endpoint, serve_endpoint
from trio_wsendpoint.client import default_context
from trio_wsendpoint.client.default_context import default_client_context
from trio_wsendpoint.testing import memory_stream_pair


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The threads in which contexts are made, from a state in which there is none."""
    real, threads = ssl.create_default_context, []

    def make() -> ssl.SSLContext:
        threads.append(threading.current_thread())
        return real()

    monkeypatch.setattr(ssl, "create_default_context", make)
    default_context._lazy.cache_clear()
    yield threads
    default_context._lazy.cache_clear()


async def test_it_verifies() -> None:
    context = await default_client_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_one_for_all_who_come_together_and_later(made: list[threading.Thread]) -> None:
    got: list[ssl.SSLContext] = []

    async def ask() -> None:
        got.append(await default_client_context())

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    await ask()
    assert len(got) == 21
    assert len(set(map(id, got))) == 1
    assert len(made) == 1
    assert made[0] is not threading.main_thread()  # whose loop goes on meanwhile


def test_one_for_all_runs_of_trio(made: list[threading.Thread]) -> None:
    assert trio.run(default_client_context) is trio.run(default_client_context)
    assert len(made) == 1


async def test_what_cannot_be_made_is_tried_again(
    made: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> ssl.SSLContext:
        raise OSError("no certificates")

    with monkeypatch.context() as patch:
        patch.setattr(ssl, "create_default_context", fail)
        # Before anything is connected: nothing listens there.
        with pytest.raises(OSError, match="no certificates"):
            async with connect_endpoint("wss://127.0.0.1:9/"):
                raise AssertionError
    assert isinstance(await default_client_context(), ssl.SSLContext)


async def test_connections_share_it(
    made: list[threading.Thread], server_context: ssl.SSLContext
) -> None:
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=server_context) as server:
        for _ in range(3):
            with pytest.raises(TLSFailed, match="certificate verify failed"):
                async with connect_endpoint(server.urls[0]):
                    raise AssertionError
    assert len(made) == 1


async def test_none_is_made_where_none_is_needed(
    made: list[threading.Thread],
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
) -> None:
    async with (
        serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=server_context) as server,
        connect_endpoint(server.urls[0], ssl_context=client_context),
    ):
        pass
    async with (
        serve_endpoint(echo, 0, host="127.0.0.1") as server,
        connect_endpoint(server.urls[0]),
    ):
        pass
    pair = memory_stream_pair()
    with trio.move_on_after(0), pytest.raises(Exception):  # noqa: B017, PT011 - cancelled at once
        async with connect_endpoint("wss://example.test/", stream=pair.client):
            raise AssertionError
    await pair.server.aclose()
    await pair.client.aclose()
    assert made == []

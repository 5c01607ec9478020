"""`ssl.SSLContext`: of the right end, with a certificate; and the default of clients."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trustme

from tests.server.helpers import echo
from trio_wsendpoint import TLSFailed, connect_endpoint, serve_endpoint
from trio_wsendpoint.testing import memory_stream_pair
from trio_wsendpoint.transport import contexts
from trio_wsendpoint.transport.contexts import (
    check_ssl_context,
    default_client_context,
    has_certificate,
)

CA = trustme.CA()


def for_server(*, key_type: trustme.KeyType | None = trustme.KeyType.ECDSA) -> ssl.SSLContext:
    """Return a server's context, with a certificate unless `key_type` is None."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if key_type is not None:
        CA.issue_cert("example.test", key_type=key_type).configure_cert(context)
    return context


@pytest.mark.parametrize("server_side", [True, False])
@pytest.mark.parametrize(
    ("value", "found"),
    [
        (True, "True"),
        (False, "False"),
        (None, "a NoneType"),
        ("cert.pem", "a str"),
        (Path("cert.pem"), "a PosixPath"),
        (("cert.pem", "key.pem"), "a tuple"),
        (CA, "a CA"),
        (ssl.SSLContext, "a type"),
        (ssl.create_default_context, "a function"),
        ("-----BEGIN PRIVATE KEY-----", "a str"),
    ],
)
def test_what_is_no_context(value: object, found: str, server_side: bool) -> None:
    says = f"^ssl_context must be an ssl.SSLContext, not {found}: write ssl.create_default_context"
    with pytest.raises(TypeError, match=says) as caught:
        check_ssl_context(value, server_side=server_side)
    assert ("load_cert_chain" in str(caught.value)) is server_side
    assert "PRIVATE" not in str(caught.value)


def test_a_context_of_the_other_end() -> None:
    with pytest.raises(ValueError, match=r"a client's, and this is a server: .*load_cert_chain"):
        check_ssl_context(ssl.create_default_context(), server_side=True)
    with pytest.raises(ValueError, match=r"a server's, and this is a client: .*or leave it out"):
        check_ssl_context(for_server(), server_side=False)


def test_a_context_of_this_end() -> None:
    check_ssl_context(ssl.create_default_context(), server_side=False)
    check_ssl_context(for_server(), server_side=True)


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")
def test_a_context_of_both_ends() -> None:
    both = ssl.SSLContext(ssl.PROTOCOL_TLS)
    check_ssl_context(both, server_side=False)
    check_ssl_context(both, server_side=True)
    assert not has_certificate(both)


def only_1_2(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def only_1_3(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3


def asks_for_a_certificate(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_REQUIRED


def speaks_a_protocol(context: ssl.SSLContext) -> None:
    context.set_alpn_protocols(["http/1.1"])


CHANGES = [lambda context: None, only_1_2, only_1_3, asks_for_a_certificate, speaks_a_protocol]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("key_type", [trustme.KeyType.ECDSA, trustme.KeyType.RSA, None])
def test_a_certificate(
    key_type: trustme.KeyType | None, change: Callable[[ssl.SSLContext], None]
) -> None:
    context = for_server(key_type=key_type)
    change(context)
    assert has_certificate(context) is (key_type is not None)


def test_a_callback_may_bring_the_certificate() -> None:
    asked: list[object] = []
    context = for_server(key_type=None)
    context.sni_callback = lambda *facts: asked.append(facts)
    assert has_certificate(context)
    assert asked == [], "it is the user's, and no client is here"


@pytest.mark.parametrize("ciphers", ["PSK", "aNULL:@SECLEVEL=0"])
def test_ciphers_that_need_no_certificate(ciphers: str) -> None:
    context = for_server(key_type=None)
    only_1_2(context)
    context.set_ciphers(ciphers)
    assert has_certificate(context)


def test_a_context_that_no_client_can_use_for_another_reason() -> None:
    context = for_server()
    only_1_2(context)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # and its key is of another kind
    assert not has_certificate(context)


# ---- the default of clients ------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The threads in which contexts are made, from a state in which there is none."""
    real, threads = ssl.create_default_context, []

    def make() -> ssl.SSLContext:
        threads.append(threading.current_thread())
        return real()

    monkeypatch.setattr(ssl, "create_default_context", make)
    contexts._lazy.cache_clear()
    yield threads
    contexts._lazy.cache_clear()


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

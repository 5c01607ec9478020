"""Whether a server's TLS context has a certificate to show."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
import trustme

from trio_wsendpoint.server.certificates import has_certificate

CA = trustme.CA()


def for_server(*, key_type: trustme.KeyType | None = trustme.KeyType.ECDSA) -> ssl.SSLContext:
    """Return a server's context, with a certificate unless `key_type` is None."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if key_type is not None:
        CA.issue_cert("example.test", key_type=key_type).configure_cert(context)
    return context


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")
def test_a_context_of_both_ends_without_one() -> None:
    assert not has_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS))


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

"""Which `ssl.SSLContext` is taken for a server's or a client's, and what is said of the others."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from trio_wsendpoint.entries.arguments import check_ssl_context

CA = trustme.CA()


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
        check_ssl_context(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), server_side=False)


def test_a_context_of_this_end() -> None:
    check_ssl_context(ssl.create_default_context(), server_side=False)
    check_ssl_context(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), server_side=True)


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated")
def test_a_context_of_both_ends() -> None:
    both = ssl.SSLContext(ssl.PROTOCOL_TLS)
    check_ssl_context(both, server_side=False)
    check_ssl_context(both, server_side=True)

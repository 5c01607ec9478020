"""Tells an ASGI application of TLS: the extension `tls` (tls.rst 0.2)."""

from __future__ import annotations

import ssl
from typing import Any

from trio_wsendpoint.addressing.peer import PeerTLS

__all__ = ["tls_extension"]

#: The versions as they are on the wire (RFC 8446 section 4.1.2).
_VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
#: The suites of TLS 1.3 and the usual ones of 1.2, by OpenSSL's names (IANA's registry).
_SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "TLS_AES_128_CCM_SHA256": 0x1304,
    "ECDHE-ECDSA-AES128-GCM-SHA256": 0xC02B,
    "ECDHE-ECDSA-AES256-GCM-SHA384": 0xC02C,
    "ECDHE-RSA-AES128-GCM-SHA256": 0xC02F,
    "ECDHE-RSA-AES256-GCM-SHA384": 0xC030,
    "ECDHE-RSA-CHACHA20-POLY1305": 0xCCA8,
    "ECDHE-ECDSA-CHACHA20-POLY1305": 0xCCA9,
}


def tls_extension(tls: PeerTLS) -> dict[str, Any]:
    """Return what `extensions["tls"]` holds; None for what is not known.

    Python tells a server neither its own certificate nor the chain of the client's: the chain has
    the client's own certificate alone.
    """
    certificate = tls.certificate
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(certificate)] if certificate else [],
        "client_cert_name": None if tls.common_name is None else f"CN={_escaped(tls.common_name)}",
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(tls.version or ""),
        "cipher_suite": _SUITES.get(tls.cipher or ""),
    }


def _escaped(value: str) -> str:
    """Escape the value of a name's attribute (RFC 4514 section 2.4)."""
    shown = "".join(
        f"\\{character}" if character in '"+,;<>\\' else character for character in value
    )
    shown = shown.replace("\0", "\\00")
    if shown.startswith(("#", " ")):
        shown = f"\\{shown}"
    return f"{shown[:-1]}\\ " if shown.endswith(" ") and len(value) > 1 else shown

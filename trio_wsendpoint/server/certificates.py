"""Whether a server has a certificate to show: without one, its first client would find it out."""

from __future__ import annotations

import ssl

__all__ = ["has_certificate"]

#: What OpenSSL says to a client that can do everything, when the server has no certificate.
_NO_CERTIFICATE = frozenset({"NO_SHARED_CIPHER", "NO_SUITABLE_SIGNATURE_ALGORITHM"})
#: Ciphers that authenticate the server without a certificate.
_OTHER_PROOFS = frozenset({"auth-psk", "auth-null", "auth-srp"})


def has_certificate(context: ssl.SSLContext) -> bool:
    """Tell whether a server's `context` has a certificate to show, as far as can be known.

    A context does not tell, so the beginning of a handshake in memory does: a client's hello, and
    the server's answer.  Assumes one where the context has a callback that may provide it, or
    ciphers that need none.
    """
    if context.sni_callback is not None:
        return True
    if any(cipher.get("auth") in _OTHER_PROOFS for cipher in context.get_ciphers()):
        return True
    hello, answer = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client = _anything_goes().wrap_bio(ssl.MemoryBIO(), hello)
        _step(client)
        _step(context.wrap_bio(hello, answer, server_side=True))
    except ssl.SSLError as error:
        # OpenSSL says so of TLS 1.3, which needs a certificate, when it is the least allowed.
        is_unusable = (
            error.reason == "UNSUPPORTED_PROTOCOL"
            and context.minimum_version is ssl.TLSVersion.TLSv1_3
        )
        return not is_unusable and error.reason not in _NO_CERTIFICATE
    return True


def _anything_goes() -> ssl.SSLContext:
    """Return the context of a client that can do whatever a server can, and verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it talks to the server's context in the same memory
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _step(end: ssl.SSLObject) -> None:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return

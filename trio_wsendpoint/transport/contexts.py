"""`ssl.SSLContext`s: whether one fits the end of TLS that it is for, and the default of clients.

OpenSSL tells of a wrong one when a connection is made: too late for a server, whose first peer
would find it out.  To load the system's certificates takes 20 to 50 ms and some hundred KiB, so the
default is made once in a process, in a thread, and only when a first connection needs it.
"""

from __future__ import annotations

import functools
import ssl
import threading

import trio

__all__ = ["check_ssl_context", "default_client_context", "has_certificate"]

_FOR_SERVERS = (
    "write ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), and load_cert_chain(...) of that"
)
_FOR_CLIENTS = (
    "write ssl.create_default_context(), or leave it out to verify the server against the "
    "system's certificates"
)
#: What OpenSSL says to a client that can do everything, when the server has no certificate.
_NO_CERTIFICATE = frozenset({"NO_SHARED_CIPHER", "NO_SUITABLE_SIGNATURE_ALGORITHM"})
#: Ciphers that authenticate the server without a certificate.
_OTHER_PROOFS = frozenset({"auth-psk", "auth-null", "auth-srp"})


def check_ssl_context(context: object, *, server_side: bool) -> None:
    """Raise unless `context` can be that of a server, or of a client.

    Raises `TypeError` for what is no `ssl.SSLContext`, `ValueError` for one of the other end.
    """
    instead = _FOR_SERVERS if server_side else _FOR_CLIENTS
    if not isinstance(context, ssl.SSLContext):
        # Not the value: a user may have passed a key where a context belongs.
        found = str(context) if isinstance(context, bool) else f"a {type(context).__name__}"
        raise TypeError(f"ssl_context must be an ssl.SSLContext, not {found}: {instead}")
    wrong = ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER
    if context.protocol == wrong:
        ends = ("client", "server") if server_side else ("server", "client")
        raise ValueError(f"ssl_context is a {ends[0]}'s, and this is a {ends[1]}: {instead}")


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


class _Lazy:
    """A context that is made when it is first asked for; threads may ask at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.context: ssl.SSLContext | None = None  # once it is made

    def make(self) -> ssl.SSLContext:
        with self._lock:
            if self.context is None:
                self.context = ssl.create_default_context()
            return self.context


# Remembered by the function, not in a variable of the module: nobody can put another one in its
# place, and a test can forget it.  It cannot remember the context itself, because `cache` calls
# the function twice for two threads that come together.
@functools.cache
def _lazy() -> _Lazy:
    return _Lazy()


async def default_client_context(*, in_thread: bool = True) -> ssl.SSLContext:
    """Return the context that verifies servers against the certificates of the system.

    It is the same one for the whole process, as the system's certificates were when it was made.
    `in_thread`: make it there, so that no other task waits; a test's clock does not wait for a
    thread.  Raises what `ssl.create_default_context` raises; then the next call tries again.  If
    cancelled while it is made, it is made nevertheless.
    """
    lazy = _lazy()
    if lazy.context is not None or not in_thread:
        return lazy.make()
    return await trio.to_thread.run_sync(lazy.make)

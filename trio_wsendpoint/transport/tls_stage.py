"""How far one end of TLS is, and which errors of OpenSSL tell of its end."""

from __future__ import annotations

import ssl
from enum import Enum

__all__ = ["Stage", "is_end"]


class Stage(Enum):
    """How far one end of TLS is; only `RENEGOTIATING` leads back, to `OPEN`.

    `HANDSHAKE`: the first one is not done.  `OPEN`: bytes go both ways.  `RENEGOTIATING`: TLS
    takes nothing of ours before the peer goes on with a further one.  `ENDED`: the peer's bytes
    have ended.  `FAILED`: nothing goes through any more.  `CLOSED`: we have closed it.
    """

    __hash__ = object.__hash__

    HANDSHAKE = "in its handshake"
    OPEN = "open"
    RENEGOTIATING = "in a further handshake"
    ENDED = "ended by the peer"
    FAILED = "failed"
    CLOSED = "closed"


def is_end(error: ssl.SSLError) -> bool:
    """Tell whether the bytes have ended, with or without a word."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return True
    return "UNEXPECTED_EOF_WHILE_READING" in str(error)  # older Pythons over OpenSSL 3

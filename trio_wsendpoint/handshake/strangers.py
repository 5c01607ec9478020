"""What else than HTTP/1.1 comes to a port, called what it is.

A signature is what the first bytes of another protocol are; none of them starts a good request,
or a good answer.  `recognize` says whether bytes are one of them, or may become one.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TO_CLIENTS", "TO_SERVERS", "Stranger", "is_tls", "may_become", "recognize"]


class Stranger(NamedTuple):
    """Another protocol: how it starts, what a server answers to it, and what it is called.

    `is_proxy`: it is the PROXY protocol, whose sender or whose reader is set up wrongly.
    """

    signature: bytes
    status: int
    name: str
    is_proxy: bool = False


# Records of TLS (RFC 8446 section 5.1): an alert, a handshake.  No text starts with either byte.
_TLS = (b"\x15", b"\x16")
_NOT_READ = ": it is not read here (proxy_protocol=True reads it)"

#: What a server may be sent.
TO_SERVERS = (
    *(Stranger(record, 400, "a TLS hello: this port speaks no TLS") for record in _TLS),
    # https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2
    Stranger(b"PROXY ", 400, f"a PROXY protocol header (version 1){_NOT_READ}", is_proxy=True),
    Stranger(
        b"\r\n\r\n\0\r\nQUIT\n",
        400,
        f"a PROXY protocol header (version 2){_NOT_READ}",
        is_proxy=True,
    ),
    Stranger(b"SSH-", 400, "an SSH banner"),  # RFC 4253 section 4.2
    # RFC 9113 section 3.4
    Stranger(b"PRI * HTTP/2", 505, "an HTTP/2 preface: only HTTP/1.1 is served"),
)

#: What a client may be sent.  A server of HTTP/2 starts with a SETTINGS frame of a few settings,
#: of 6 bytes each, on the stream 0 (RFC 9113 sections 3.4 and 6.5).
TO_CLIENTS = (
    *(Stranger(record, 400, "the server speaks TLS") for record in _TLS),
    Stranger(b"SSH-", 400, "an SSH banner"),
    *(
        Stranger(bytes([0, 0, 6 * count, 4, 0, 0, 0, 0, 0]), 400, "the server speaks HTTP/2")
        for count in range(10)
    ),
)


def is_tls(start: bytes) -> bool:
    """Tell whether `start` is that of a record of TLS."""
    return start[:1] in _TLS


def recognize(start: bytes, strangers: tuple[Stranger, ...]) -> Stranger | None:
    """Return the one of `strangers` whose signature `start` has, if there is one."""
    return next((one for one in strangers if start.startswith(one.signature)), None)


def may_become(start: bytes, strangers: tuple[Stranger, ...]) -> bool:
    """Tell whether more bytes behind `start` may make it one of `strangers`."""
    return any(one.signature.startswith(start) for one in strangers)

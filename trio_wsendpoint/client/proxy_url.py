"""Reads the URL of a proxy: `http://user:password@host:port`, and the like.

`Proxy.parse` returns the parts, or raises `ValueError` that says what is wrong and what was
expected, and shows neither user nor password.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import unquote_to_bytes

from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.hosts import ascii_host
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["Proxy", "Scheme"]

#: What a proxy speaks; with the `h` of `socks5h` and the `a` of `socks4a` it looks names up.
Scheme = Literal["http", "https", "socks4", "socks4a", "socks5", "socks5h"]

#: The schemes and their default ports.
_PORTS: dict[str, int] = {
    "http": 80,
    "https": 443,
    **dict.fromkeys(("socks4", "socks4a", "socks5", "socks5h"), 1080),
}
_EXPECTED = "expected http://, https://, socks4://, socks4a://, socks5:// or socks5h://"
#: What RFC 1929 section 2 has room for.
_MOST_SOCKS5 = 255


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: what it speaks (`scheme`), where it is, and our credentials.

    `host` is a name in ASCII or an address, no brackets.  `user` and `password` are the bytes
    that the URL stands for, None where it has none.  Neither `str` nor `repr` shows them.
    """

    scheme: Scheme
    host: str
    port: int
    user: bytes | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Return the parts of `url`; raises `ValueError`, or `TypeError` for what is no text."""
        if not isinstance(url, str):
            raise TypeError(f"the URL of a proxy must be a str, not {type(url).__name__}")
        scheme, found, rest = url.partition("://")
        scheme = scheme.lower()
        if not found or scheme not in _PORTS:
            # Without "://" it may be anything, a password too.
            told = f"{quoted(scheme)} is not what a proxy speaks" if found else "it has no scheme"
            raise ValueError(f"the URL of a proxy: {told}: {_EXPECTED}")
        end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
        if rest[end:] not in {"", "/"}:
            raise ValueError(
                "the URL of a proxy ends with its port: percent-encode a /, ? or # of the user or "
                "the password"
            )
        userinfo, at_sign, address = rest[:end].rpartition("@")
        try:
            host, port = _parse_address(address)
        except ValueError as error:
            raise ValueError(f"the URL of a proxy: {error}") from None
        user: bytes | None = None
        password: bytes | None = None
        if at_sign:
            name, colon, secret = userinfo.partition(":")
            user = unquote_to_bytes(name)
            password = unquote_to_bytes(secret) if colon else None
        made = cls(cast("Scheme", scheme), host, port or _PORTS[scheme], user, password)
        made._check_credentials()
        return made

    def _check_credentials(self) -> None:
        user, password = self.user, self.password
        if user is None:
            return
        bad = any(byte < 32 or byte == 127 for byte in user + (password or b""))
        if bad or b":" in user:
            raise ValueError(
                "the URL of a proxy: the user has a colon, or user or password a control "
                "character, in it"
            )
        if self.is_http:
            return
        if not (user.isascii() and (password or b"").isascii()):
            raise ValueError("the URL of a proxy: user and password of SOCKS are ASCII here")
        if self.scheme in {"socks4", "socks4a"}:
            if password is not None:
                raise ValueError("the URL of a proxy: SOCKS4 has a user and no password")
        elif not (0 < len(user) <= _MOST_SOCKS5 and 0 < len(password or b"") <= _MOST_SOCKS5):
            raise ValueError(
                "the URL of a proxy: SOCKS5 takes a user and a password of 1 to 255 bytes each"
            )

    @property
    def is_http(self) -> bool:
        """Whether it takes CONNECT, rather than SOCKS."""
        return self.scheme in {"http", "https"}

    @property
    def looks_up_names(self) -> bool:
        """Whether the proxy, not this machine, looks up the name of the server."""
        return self.scheme not in {"socks4", "socks5"}

    def __str__(self) -> str:
        """Return the URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _parse_address(address: str) -> tuple[str, int | None]:
    """Return host and port; raises `ValueError`."""
    if not address.startswith("["):
        if address.count(":") > 1:
            raise ValueError(f"the host {quoted(address)}: an IPv6 address stands in brackets")
        name, colon, port_text = address.partition(":")
        address = ascii_host(name) + colon + port_text
    host, port = parse_authority(address)
    if port == 0:
        raise ValueError("the port must be 1 to 65535, not 0")
    return host, port

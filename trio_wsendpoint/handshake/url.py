"""A WebSocket URL, taken apart for whoever connects (RFC 6455 section 3, RFC 3986).

`WebSocketURL.parse` returns one or raises `InvalidURL`, which says what is wrong and what is
expected.  Nothing is repaired on the way: a URL that needs guessing is one that two programs
guess differently.  For `client.py` and whoever opens the socket.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from string import ascii_letters, digits
from urllib.parse import unquote_to_bytes

from trio_wsendpoint.errors import InvalidURL
from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["WebSocketURL"]

_SCHEMES = {"ws": False, "wss": True}
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))
# What a resolver takes; `_` is in use, whatever RFC 952 says.
_NAME = frozenset(ascii_letters + digits + "-._")
# userinfo of RFC 3986 section 3.2.1: unreserved, sub-delims, ":", and the "%" of pct-encoded.
_USERINFO = frozenset(ascii_letters + digits + "-._~" + "!$&'()*+,;=" + ":%")


@dataclass(frozen=True, slots=True)
class WebSocketURL:
    """Where to connect and what to ask for; made by `parse`.

    `secure`: whether to speak TLS.  `host`: a name or an address, no brackets.  `target`: the
    path and the query, for the request line.  `authorization`: the value of an Authorization
    header for the URL's userinfo, None without one; it is not shown by `repr`.
    """

    secure: bool
    host: str
    port: int
    target: str
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> WebSocketURL:
        """Return the parts of `url`; raise `InvalidURL` for anything but a ws: or wss: URL."""
        if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a URL must be a str, not {type(url).__name__}")
        scheme, found, rest = url.partition("://")
        secure = _SCHEMES.get(scheme.lower())
        if not found or secure is None:
            raise InvalidURL(_wrong_scheme(scheme if found else None))
        end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
        authority, target = rest[:end], rest[end:]
        userinfo, at_sign, address = authority.rpartition("@")
        host, port = _parse_address(address)
        return cls(
            secure=secure,
            host=host,
            port=(443 if secure else 80) if port is None else port,
            target=_checked_target(target),
            authorization=_basic(userinfo) if at_sign else None,
        )

    @property
    def host_header(self) -> str:
        """The Host header: an IPv6 address in brackets, the port unless it is the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def _wrong_scheme(scheme: str | None) -> str:
    if scheme is None:
        return "a URL starts with ws:// or wss://"
    hints = {"http": "ws", "https": "wss"}
    hint = hints.get(scheme.lower(), "ws:// or wss")
    return f"the scheme {quoted(scheme)} is not a WebSocket's: use {hint}://"


def _parse_address(address: str) -> tuple[str, int | None]:
    if not address.startswith("["):
        if address.count(":") > 1:
            raise InvalidURL(f"the host {quoted(address)}: an IPv6 address stands in brackets")
        name, colon, port_text = address.partition(":")
        address = _ascii_name(name) + colon + port_text
    try:
        host, port = parse_authority(address)
    except ValueError as error:
        raise InvalidURL(f"the host: {error}") from None
    if port == 0:
        raise InvalidURL("the port must be 1 to 65535, not 0")
    return host, port


def _ascii_name(name: str) -> str:
    """Return the name as DNS takes it; internationalised names through IDNA (RFC 3490)."""
    if not name:
        raise InvalidURL("there is no host")
    ascii_name = name
    if not name.isascii():
        try:
            ascii_name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise InvalidURL(f"the host {quoted(name)} is not a domain name") from None
    if not _NAME.issuperset(ascii_name):
        raise InvalidURL(f"the host {quoted(name)} is not a domain name")
    # RFC 1035 section 2.3.4.  Checked here because `getaddrinfo` has only UnicodeError to say so.
    labels = ascii_name.removesuffix(".").split(".")
    if len(ascii_name) > 254 or not all(0 < len(label) < 64 for label in labels):
        raise InvalidURL(f"the host {quoted(name)} has an empty or overlong part")
    return ascii_name


def _checked_target(target: str) -> str:
    if "#" in target:
        # "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be
        # used on these URIs"; a "#" that is meant as data is written %23.
        raise InvalidURL("a WebSocket URL has no fragment: percent-encode the # as %23")
    if not _VISIBLE.issuperset(target):
        bad = next(character for character in target if character not in _VISIBLE)
        raise InvalidURL(f"the path or query has {quoted(bad)} in it: percent-encode it")
    return target if target.startswith("/") else f"/{target}"


def _basic(userinfo: str) -> str:
    """Return the credentials as RFC 7617 has them.  No message here ever shows them."""
    if not _USERINFO.issuperset(userinfo):
        raise InvalidURL("the user or password has a character in it that must be percent-encoded")
    user, _, password = (unquote_to_bytes(part) for part in userinfo.partition(":"))
    if b":" in user or any(byte < 32 or byte == 127 for byte in user + password):
        raise InvalidURL("the user has a colon, or user or password a control character, in it")
    return "Basic " + b64encode(user + b":" + password).decode("ascii")

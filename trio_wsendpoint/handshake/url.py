"""A WebSocket URL, taken apart (RFC 6455 section 3, RFC 3986).

`WebSocketURL.parse` returns one or raises `InvalidURL`, which says what is wrong and what is
expected, and shows neither user information nor the query.  Nothing is repaired on the way: a URL
that needs guessing is one that two programs guess differently.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from string import ascii_letters, digits
from urllib.parse import unquote_to_bytes

from trio_wsendpoint.errors import InvalidURL
from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.hosts import ascii_host
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.secrecy import hide_in_url, name_character

__all__ = ["WebSocketURL"]

_SCHEMES = {"ws": False, "wss": True}
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))
# userinfo of RFC 3986 section 3.2.1: unreserved, sub-delims, ":", and the "%" of pct-encoded.
_USERINFO = frozenset(ascii_letters + digits + "-._~" + "!$&'()*+,;=" + ":%")
# RFC 3986 section 3.1, of a length that schemes have.
_SCHEME = frozenset(ascii_letters + digits + "+-.")
_MAX_SCHEME = 20


@dataclass(frozen=True, slots=True)
class WebSocketURL:
    """Where to connect and what to ask for; made by `parse`.

    `secure`: whether to speak TLS.  `host`: where to connect, a name in ASCII (IDNA 2008 with
    UTS 46) or an address, no brackets; an IPv6 address may have a zone, as `fe80::1%eth0`, which
    a URL spells `[fe80::1%25eth0]` (RFC 6874).  `target`: the path and the query, for the request
    line.  `authorization`: the value of an Authorization header for the URL's userinfo, None
    without one.  `repr` shows neither this nor the values of the query.
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
        parsed, problem = _try_address(address)
        if parsed is None:
            # Then `address` may end in the middle of a password.
            is_shown = "@" not in target
            raise InvalidURL(problem if is_shown else f"the host or its port is none{_ENCODE}")
        host, port = parsed
        return cls(
            secure=secure,
            host=host,
            port=(443 if secure else 80) if port is None else port,
            target=_checked_target(target),
            authorization=_basic(userinfo) if at_sign else None,
        )

    @property
    def host_header(self) -> str:
        """The Host header: an IPv6 address in brackets, the port unless it is the default.

        A zone is left out: it means something on this machine only (RFC 6874 section 1).
        """
        host = self.host.partition("%")[0]
        host = f"[{host}]" if ":" in host else host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def server_name(self) -> str:
        """The host as a certificate has it: without a zone, and without a dot at its end."""
        return self.host.partition("%")[0].removesuffix(".")

    def __repr__(self) -> str:
        return (
            f"WebSocketURL(secure={self.secure}, host={self.host!a}, port={self.port}, "
            f"target={hide_in_url(self.target)!a})"
        )


_ENCODE = ": percent-encode a /, ? or # of the user or the password"


def _wrong_scheme(scheme: str | None) -> str:
    # What stands before "://" may be anything, if that is in the query.
    if not scheme or len(scheme) > _MAX_SCHEME or not _SCHEME.issuperset(scheme):
        return "there is no scheme: a URL starts with ws:// or wss://"
    hints = {"http": "ws", "https": "wss"}
    hint = hints.get(scheme.lower(), "ws:// or wss")
    return f"the scheme {quoted(scheme)} is not a WebSocket's: use {hint}://"


def _try_address(address: str) -> tuple[tuple[str, int | None] | None, str]:
    """Return host and port, and else what is wrong; what it raised may not be shown."""
    try:
        return _parse_address(address), ""
    except ValueError as error:
        return None, str(error)


def _parse_address(address: str) -> tuple[str, int | None]:
    zone = ""
    if address.startswith("["):
        literal, bracket, rest = address.partition("]")
        literal, percent, encoded = literal.partition("%")
        if percent:
            zone = f"%{_parse_zone(encoded)}"
        address = literal + bracket + rest
    else:
        if address.count(":") > 1:
            raise ValueError(f"the host {quoted(address)}: an IPv6 address stands in brackets")
        name, colon, port_text = address.partition(":")
        address = ascii_host(name) + colon + port_text
    try:
        host, port = parse_authority(address)
    except ValueError as error:
        raise ValueError(f"the host: {error}") from None
    if port == 0:
        raise ValueError("the port must be 1 to 65535, not 0")
    return host + zone, port


def _parse_zone(encoded: str) -> str:
    """Return the zone that follows `%` in an address of a URL (RFC 6874 section 2)."""
    zone = unquote_to_bytes(encoded.removeprefix("25")).decode("iso-8859-1")
    if not encoded.startswith("25") or not zone or not _VISIBLE.issuperset(zone) or "%" in zone:
        raise ValueError(
            f"the host: the zone {quoted(zone)} of an IPv6 address is written [fe80::1%25eth0]"
        )
    return zone


def _checked_target(target: str) -> str:
    if "#" in target:
        # "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be
        # used on these URIs"; a "#" that is meant as data is written %23.
        raise InvalidURL("a WebSocket URL has no fragment: percent-encode the # as %23")
    if not _VISIBLE.issuperset(target):
        bad = next(character for character in target if character not in _VISIBLE)
        raise InvalidURL(f"the path or query has {name_character(bad)} in it: percent-encode it")
    return target if target.startswith("/") else f"/{target}"


def _basic(userinfo: str) -> str:
    """Return the credentials as RFC 7617 has them.  No message here ever shows them."""
    if not _USERINFO.issuperset(userinfo):
        raise InvalidURL("the user or password has a character in it that must be percent-encoded")
    user, _, password = (unquote_to_bytes(part) for part in userinfo.partition(":"))
    if b":" in user or any(byte < 32 or byte == 127 for byte in user + password):
        raise InvalidURL("the user has a colon, or user or password a control character, in it")
    return "Basic " + b64encode(user + b":" + password).decode("ascii")

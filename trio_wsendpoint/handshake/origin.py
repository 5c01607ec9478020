"""Which web pages may connect: the Origin header against a policy (RFC 6455 section 10.2).

A browser sends a user's cookies with a WebSocket that any page opens; Origin alone tells which
page it was (CWE-1385).  `OriginPolicy` checks its list when it is made, and each request with
`check`; both say no with `ValueError`.  Origins are compared as (scheme, host, port), never as
prefixes of each other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from string import ascii_letters, digits
from typing import Literal, TypeAlias, TypeGuard

from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.hosts import ascii_authority
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.secrecy import hide_in_url

__all__ = ["OriginPolicy", "Origins", "check_origin"]

#: What a parameter `origins` takes; see `OriginPolicy`.
Origins: TypeAlias = Literal["same", "any"] | Collection[str | re.Pattern[str] | None]

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SECURE_SCHEMES = frozenset({"https", "wss"})
_SCHEME = frozenset(ascii_letters + digits + "+-.")
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))

_Origin: TypeAlias = tuple[str, str, int | None]


class OriginPolicy:
    """Decides by the Origin header.

    `origins`: "same" lets requests in that have no Origin (they are from no browser), or one whose
    host and port are those of the Host header, and whose scheme is https if the request came over
    TLS of ours; "any" lets in everything; a collection lets in what it lists:

    * origins as `https://example.com:8443`, of any spelling of the same;
    * `"null"`, which sandboxed pages and files share, and origins without a host as `"file://"`,
      as devices and apps send them: these must come exactly so;
    * compiled patterns, which must match the whole of the header as it came, unless that is an
      `https://` or the like without being an origin;
    * None, for requests without an Origin.

    Raises `ValueError` for an entry that could never match, `TypeError` for one of a wrong type.
    """

    __slots__ = ("_allowed", "_literals", "_mode", "_patterns")

    def __init__(self, origins: Origins = "same") -> None:
        self._mode = origins if isinstance(origins, str) else "list"
        self._allowed: set[_Origin | None] = set()
        self._literals: set[str] = set()
        self._patterns: list[re.Pattern[str]] = []
        if isinstance(origins, str):
            if origins == "*":
                raise ValueError('origins: "*" is spelled "any" here')
            if origins not in {"same", "any"}:
                raise ValueError(f'origins: "same", "any" or a list, not {origins!a}; put it in []')
            return
        if not isinstance(origins, Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f'origins: "same", "any" or a list, not {origins!r}')
        for entry in origins:
            if isinstance(entry, re.Pattern):
                self._patterns.append(_checked_pattern(entry))
            elif _is_literal(entry):
                self._literals.add(entry)
            else:
                self._allowed.add(_checked_entry(entry))

    def check(
        self, origin_values: Sequence[str], host: str | None, *, is_secure: bool = False
    ) -> None:
        """Raise `ValueError` unless a request may come in.

        `origin_values`: the value of each Origin header; `host`: what the request asked for,
        as `host` or `host:port`; `is_secure`: whether it came over TLS that ends here.
        """
        if self._mode == "any":
            return
        if not origin_values:
            if self._mode == "list" and None not in self._allowed:
                raise ValueError("a request without an Origin")
            return
        if len(origin_values) > 1:
            raise ValueError(f"{len(origin_values)} Origin headers")
        text = origin_values[0]
        shown = quoted(hide_in_url(text))
        if self._mode == "list":
            if not self._is_listed(text):
                raise ValueError(f"the origin {shown} is not allowed")
        elif not _is_same(text, host, is_secure=is_secure):
            compared = "a request without a Host" if host is None else f"the host {quoted(host)}"
            over = " over TLS" if is_secure else ""
            raise ValueError(f"the origin {shown} is not that of {compared}{over}")

    def _is_listed(self, text: str) -> bool:
        if text in self._literals:
            return True
        try:
            if _parse_origin(text) in self._allowed:
                return True
        except ValueError:
            # No browser sends `https://evil/.example.com`: no pattern needs to know that.
            if text.partition("://")[0].lower() in _DEFAULT_PORTS:
                return False
        return any(pattern.fullmatch(text) for pattern in self._patterns)


def check_origin(
    origin_values: Sequence[str], host: str | None, origins: Origins, *, is_secure: bool = False
) -> None:
    """Raise `ValueError` unless a policy of `origins` lets the request in; see `OriginPolicy`."""
    OriginPolicy(origins).check(origin_values, host, is_secure=is_secure)


def _is_same(text: str, host: str | None, *, is_secure: bool) -> bool:
    if host is None:
        return False
    try:
        scheme, name, port = _parse_origin(text)
        host_name, host_port = parse_authority(host)
    except ValueError:
        return False
    # An extension or an app may call its origin what it likes: `app://example.com` is no page of
    # example.com.  Only what came over HTTP has that name from DNS; and over TLS of ours, only
    # what came over TLS is of the same origin.  Without it, TLS may end at a proxy in front of us.
    if scheme not in (_SECURE_SCHEMES if is_secure else _DEFAULT_PORTS):
        return False
    return (host_name, host_port or _DEFAULT_PORTS[scheme]) == (name, port)


def _parse_origin(text: str) -> _Origin:
    """Return (scheme, host, port), lower case, with the scheme's default port if it has none."""
    scheme, found, rest = text.partition("://")
    if not found or not scheme or not _SCHEME.issuperset(scheme):
        raise ValueError(f"{quoted(text)} is not an origin like https://example.com")
    host, port = parse_authority(rest)
    scheme = scheme.lower()
    return scheme, host, port or _DEFAULT_PORTS.get(scheme)


def _checked_pattern(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if not isinstance(pattern.pattern, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"origins: a pattern must be of str, not {pattern.pattern!r}")
    return pattern


def _is_literal(entry: object) -> TypeGuard[str]:
    """Tell whether an entry is an origin that has no host, and so but one spelling."""
    if not isinstance(entry, str) or not _VISIBLE.issuperset(entry) or "*" in entry:
        return False
    scheme, found, rest = entry.partition("://")
    if not found or not _SCHEME.issuperset(scheme) or scheme.lower() in _DEFAULT_PORTS:
        return entry == "null"
    return bool(scheme) and rest[:1] in {"", "/"}


def _checked_entry(entry: str | None) -> _Origin | None:
    if entry is None:
        return None
    if not isinstance(entry, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"origins: a str, a compiled pattern or None, not {type(entry).__name__}")
    if entry == "*":
        raise ValueError('origins: for every origin write "any", instead of a list with "*"')
    try:
        scheme, found, authority = entry.partition("://")
        spelled = entry if entry.isascii() else scheme + found + ascii_authority(authority)
        origin = _parse_origin(spelled)
    except ValueError as error:
        raise ValueError(f"origins: {error}; for any other header, use re.compile(...)") from None
    if "*" in origin[1]:
        # Legal in a name by RFC 3986, and so it would stand there and never match.
        raise ValueError(f"origins: {quoted(entry)} has a wildcard: use re.compile(...)")
    return origin

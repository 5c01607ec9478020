"""Which web pages may connect: the Origin header against a policy (RFC 6455 section 10.2).

A browser sends a user's cookies with a WebSocket that any page opens; Origin alone tells which
page it was (CWE-1385).  `OriginPolicy` checks its list when it is made, and each request with
`check`; both say no with `ValueError`.  Origins are compared as (scheme, host, port), never as
prefixes of each other.  For `server.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from string import ascii_letters, digits
from typing import Literal, TypeAlias

from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["OriginPolicy", "Origins", "check_origin"]

#: What a parameter `origins` takes; see `OriginPolicy`.
Origins: TypeAlias = "Literal['same', 'any'] | Collection[str | re.Pattern[str] | None]"

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SCHEME = frozenset(ascii_letters + digits + "+-.")

_Origin: TypeAlias = tuple[str, str, int | None]


class OriginPolicy:
    """Decides by the Origin header.

    `origins`: "same" lets requests in that have no Origin (they are from no browser), or one whose
    host and port are those of the Host header; "any" lets in everything; a collection lets in what
    it lists: origins as `https://example.com:8443`, compiled patterns that must match the whole
    of the origin so spelled (lower case, no default port), and None for requests without one.

    Raises `ValueError` for an entry that could never match, `TypeError` for one of a wrong type.
    """

    __slots__ = ("_allowed", "_mode", "_patterns")

    def __init__(self, origins: Origins = "same") -> None:
        self._mode = origins if isinstance(origins, str) else "list"
        self._allowed: set[_Origin | None] = set()
        self._patterns: list[re.Pattern[str]] = []
        if isinstance(origins, str):
            if origins not in {"same", "any"}:
                raise ValueError(f'origins: "same", "any" or a list, not {origins!a}; put it in []')
            return
        if not isinstance(origins, Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f'origins: "same", "any" or a list, not {origins!r}')
        for entry in origins:
            if isinstance(entry, re.Pattern):
                self._patterns.append(_checked_pattern(entry))
            else:
                self._allowed.add(_checked_entry(entry))

    def check(self, origin_values: Sequence[str], host: str | None) -> None:
        """Raise `ValueError` unless a request may come in.

        `origin_values`: the value of each Origin header; `host`: what the request asked for,
        as `host` or `host:port`.
        """
        if self._mode == "any":
            return
        if not origin_values:
            if self._mode == "list" and None not in self._allowed:
                raise ValueError("a request without an Origin")
            return
        if len(origin_values) > 1:
            raise ValueError(f"{len(origin_values)} Origin headers")
        origin = _parse_origin(origin_values[0])
        allowed = self._is_listed(origin) if self._mode == "list" else _is_same(origin, host)
        if not allowed:
            raise ValueError(f"the origin {quoted(origin_values[0])} is not allowed")

    def _is_listed(self, origin: _Origin) -> bool:
        spelled = _spell(origin)
        return origin in self._allowed or any(
            pattern.fullmatch(spelled) for pattern in self._patterns
        )


def check_origin(origin_values: Sequence[str], host: str | None, origins: Origins) -> None:
    """Raise `ValueError` unless a policy of `origins` lets the request in; see `OriginPolicy`."""
    OriginPolicy(origins).check(origin_values, host)


def _is_same(origin: _Origin, host: str | None) -> bool:
    scheme, name, port = origin
    # An extension or an app may call its origin what it likes: `app://example.com` is no page of
    # example.com.  Only what came over HTTP has that name from DNS.
    if host is None or scheme not in _DEFAULT_PORTS:
        return False
    # The scheme of the request is not known here: TLS may end at a proxy in front of us.
    host_name, host_port = parse_authority(host)
    return (host_name, host_port or _DEFAULT_PORTS[scheme]) == (name, port)


def _parse_origin(text: str) -> _Origin:
    """Return (scheme, host, port), lower case, with the scheme's default port if it has none."""
    scheme, found, rest = text.partition("://")
    if not found or not scheme or not _SCHEME.issuperset(scheme):
        # Also `null`: the origin of every sandboxed frame of everyone (RFC 6454 section 7.3).
        raise ValueError(f"{quoted(text)} is not an origin like https://example.com")
    host, port = parse_authority(rest)
    scheme = scheme.lower()
    return scheme, host, port or _DEFAULT_PORTS.get(scheme)


def _spell(origin: _Origin) -> str:
    scheme, host, port = origin
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" + ("" if port == _DEFAULT_PORTS.get(scheme) else f":{port}")


def _checked_pattern(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if not isinstance(pattern.pattern, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"origins: a pattern must be of str, not {pattern.pattern!r}")
    return pattern


def _checked_entry(entry: str | None) -> _Origin | None:
    if entry is None:
        return None
    if not isinstance(entry, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"origins: a str, a compiled pattern or None, not {entry!r}")
    try:
        origin = _parse_origin(entry)
    except ValueError as error:
        raise ValueError(f"origins: {error}") from None
    if "*" in origin[1]:
        # Legal in a name by RFC 3986, and so it would stand there and never match.
        raise ValueError(f"origins: {quoted(entry)} has a wildcard: use re.compile(...)")
    return origin

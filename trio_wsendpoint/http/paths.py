"""Reads the path of a request, segment by segment.

A path is cut at its slashes first, then each segment is percent-decoded (RFC 3986 section 2.1),
so that `%2F` is a slash within a segment and never cuts one.  What is decoded must be UTF-8.
Nothing is normalised: `//` has an empty segment between its slashes, and `.` is a segment.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["raw_path", "segments_of"]

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


def raw_path(target: str) -> str:
    """Return the path of a request's `target` as it came, without the query.

    Of a target in absolute form, the path in it, `/` if it has none.
    """
    if not target.startswith("/"):
        scheme, found, rest = target.partition("://")
        if found and scheme.isalpha():
            at = min((at for at in map(rest.find, "/?") if at >= 0), default=len(rest))
            target = rest[at:]
    return target.partition("?")[0] or "/"


def segments_of(path: str) -> tuple[str, ...]:
    """Return the decoded segments of a raw path that begins with a slash; `/` has one, empty.

    Raises `ValueError` for a `%` without two hexadecimal digits, and for what is not UTF-8.
    """
    if "%" not in path:
        return tuple(path[1:].split("/"))
    if _BROKEN.search(path):
        raise ValueError(f"{quoted(path)} has a '%' without two hexadecimal digits")
    try:
        return tuple(unquote_to_bytes(segment).decode() for segment in path[1:].split("/"))
    except UnicodeDecodeError:
        raise ValueError(f"{quoted(path)} is not UTF-8") from None

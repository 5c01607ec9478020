"""What our texts hide: credentials in headers and URLs, wherever they turn up.

No exception, log record or `repr` of ours shows the user information of a URL, the values of its
query, its fragment, or the value of a header in `SECRET_HEADERS`.  The functions here return a
text in which `...` stands for each of these.  They take any text, and never raise.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from urllib.parse import unquote

from trio_wsendpoint.handshake.quoting import quoted

__all__ = [
    "SECRET_HEADERS",
    "hide_in_line",
    "hide_in_url",
    "hide_in_value",
    "hide_secrets",
    "name_character",
    "secrets_of",
]

#: Headers whose values are credentials (RFC 9110 section 11, RFC 6265), in lower case.
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})

_URL_HEADERS = frozenset({"content-location", "location", "referer"})
_HIDDEN = "..."
# Shorter words are too common to be taken out of a text, and no credentials.
_LEAST_SECRET = 4


def hide_in_url(url: str) -> str:
    """Return `url`, or the target of a request, without credentials; names in the query stay."""
    rest, hash_sign, _ = url.partition("#")
    rest, mark, query = rest.partition("?")
    scheme, found, place = rest.rpartition("://")
    authority, slash, path = place.partition("/")
    _, at_sign, host = authority.rpartition("@")
    if at_sign:
        rest = f"{scheme}{found}{_HIDDEN}@{host}{slash}{path}"
    pairs = [_hide_pair(pair) for pair in query.split("&")]
    return rest + mark + "&".join(pairs) + (hash_sign and f"#{_HIDDEN}")


def _hide_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    # `?token` alone may be the token itself.
    return f"{name}={_HIDDEN}" if equals else pair and _HIDDEN


def hide_in_value(name: str, value: str) -> str:
    """Return the value of the header `name` as it may be shown."""
    if name.lower() in SECRET_HEADERS:
        return _HIDDEN
    return hide_in_url(value) if name.lower() in _URL_HEADERS else value


def hide_in_line(data: bytes) -> str:
    """Return the first line of what a peer sent, quoted, as it may be shown.

    It may be anything: a request line that is echoed, a header, no HTTP at all.
    """
    line = data.lstrip(b"\r\n").replace(b"\n", b"\r").partition(b"\r")[0].decode("iso-8859-1")
    name, colon, value = line.partition(":")
    if colon and name.lower() in SECRET_HEADERS:
        line = f"{name}: {hide_in_value(name, value)}"
    else:
        line = " ".join(hide_in_url(word) for word in line.split(" "))
    return quoted(line)


def name_character(character: str) -> str:
    """Say which character is wrong in a text that may be secret: itself only if it is control."""
    if character <= " " or character == "\x7f":
        return quoted(character)
    return "a character that is not ASCII" if not character.isascii() else quoted(character)


def secrets_of(target: str, headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the secret words of a request, which a server may repeat in its answer."""
    words: set[str] = set()
    for pair in target.partition("?")[2].split("&"):
        name, equals, value = pair.partition("=")
        words |= {value, unquote(value)} if equals else {name}
    for name, value in headers:
        if name.lower() in SECRET_HEADERS:
            scheme, _, credentials = value.partition(" ")
            words |= {value, credentials}
            words |= {pair.partition("=")[2].strip() for pair in value.split(";")}
            if scheme.lower() == "basic":
                words |= _decoded(credentials)
    return frozenset(word for word in words if len(word) >= _LEAST_SECRET)


def _decoded(credentials: str) -> set[str]:
    try:
        decoded = b64decode(credentials, validate=True).decode("iso-8859-1")
    except ValueError:
        return set()
    return {decoded, decoded.partition(":")[2]}


def hide_secrets(text: str, secrets: frozenset[str]) -> str:
    """Return `text` with every word of `secrets` hidden."""
    for word in sorted(secrets, key=len, reverse=True):  # before a word that is a part of it
        text = text.replace(word, _HIDDEN)
    return text

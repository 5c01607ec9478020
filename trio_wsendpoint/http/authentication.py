"""Reads the credentials of a request: Basic (RFC 7617) and Bearer (RFC 6750).

Whatever a client sends, the outcome is the credentials, or `Unauthorized`, whose answer is a 401
with the challenge; nothing of a password or a token is in a message.  Ask for every request:
nothing is remembered with the connection, which a proxy may share among many users.
"""

from __future__ import annotations

import binascii
import hmac
import inspect
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from string import ascii_letters, digits
from typing import TypeAlias

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.refusal import refuse

__all__ = [
    "BasicCheck",
    "Unauthorized",
    "are_equal",
    "basic_auth",
    "basic_credentials",
    "bearer_token",
]

#: Passwords by user; or what tells whether user and password are right, perhaps asynchronously.
BasicCheck: TypeAlias = "Mapping[str, str] | Callable[[str, str], bool | Awaitable[bool]]"

# RFC 9110 section 11.2: token68 is these, and then "=".
_TOKEN68 = frozenset(ascii_letters + digits + "-._~+/")
_VISIBLE = frozenset(map(chr, range(0x20, 0x7F)))
# RFC 7617 section 2: they MUST NOT contain control characters.
_CONTROLS = frozenset(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))


class Unauthorized(BadRequest):
    """A request without credentials that count; `response` is the 401 with its challenge.

    `challenge`: the value of WWW-Authenticate.
    """

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(
            message, Response(401, {"WWW-Authenticate": challenge}, "authentication required\n")
        )
        self.challenge = challenge


def are_equal(one: str | bytes, other: str | bytes) -> bool:
    """Tell whether two secrets are equal, in a time that does not tell how far they are.

    Text is compared as UTF-8.  The length of a secret is not hidden.
    """
    return hmac.compare_digest(_bytes(one), _bytes(other))


def basic_auth(
    check: BasicCheck, *, realm: str = "restricted"
) -> Callable[[Request], Awaitable[str]]:
    """Return a function that returns the user of a request, or raises `Unauthorized`.

    `check`: the passwords by user, or a function of user and password, `async` or not, that tells
    whether they are right.  `realm`: what the browser shows to the user.  With passwords by user,
    an unknown user costs the same as a wrong password.  A function is not asked about malformed
    credentials; an empty user or password is for it to judge.

    The function raises `Unauthorized` as `basic_credentials`, and what `check` raises.  It is
    cancelled where `check` is.  Raises `ValueError` for a realm that may not go on the wire.
    """
    challenge = _challenge("Basic", realm, 'charset="UTF-8"')
    is_right = check if callable(check) else partial(_is_listed, check)

    async def authenticate(request: Request) -> str:
        user, password = basic_credentials(request, realm=realm)
        answer = is_right(user, password)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is not True:
            raise Unauthorized("wrong user or password", challenge)
        return user

    return authenticate


def basic_credentials(request: Request, *, realm: str = "restricted") -> tuple[str, str]:
    """Return user and password of a request (RFC 7617 section 2).

    The user ends at the first colon.  Both are UTF-8 without control characters, and are not
    normalised: a browser may send an accented letter as one character or as two.

    Raises `Unauthorized` if there are none, or if they are malformed; `BadRequest` (400) for more
    than one Authorization header; `ValueError` for a realm that may not go on the wire.
    """
    challenge = _challenge("Basic", realm, 'charset="UTF-8"')
    text = _credentials(request, "basic")
    if text is None:
        raise Unauthorized("no Basic credentials", challenge)
    user, colon, password = (_decode(text) or "").partition(":")
    if not colon or not _CONTROLS.isdisjoint(user + password):
        raise Unauthorized("malformed Basic credentials", challenge)
    return user, password


def bearer_token(request: Request, *, realm: str = "restricted") -> str:
    """Return the token of a request (RFC 6750 section 2.1).

    A token in the query is not looked at: it ends in logs.  Raises `Unauthorized` if there is
    none, with `error="invalid_request"` for one that is malformed; `BadRequest` (400) for more
    than one Authorization header; `ValueError` for a realm that may not go on the wire.
    """
    token = _credentials(request, "bearer")
    if token is None:
        # RFC 6750 section 3.1: no error code for a request that has no credentials.
        raise Unauthorized("no bearer token", _challenge("Bearer", realm))
    body = token.rstrip("=")
    if not body or not _TOKEN68.issuperset(body):
        challenge = _challenge("Bearer", realm, 'error="invalid_request"')
        raise Unauthorized("a malformed bearer token", challenge)
    return token


def _credentials(request: Request, scheme: str) -> str | None:
    """Return what follows `scheme` in the Authorization header; None for another scheme."""
    values = request.headers.get_all("Authorization")
    if len(values) > 1:
        raise refuse(400, "bad request: more than one Authorization header")
    # RFC 9110 section 11.4: auth-scheme 1*SP token68
    name, _, rest = "".join(values).partition(" ")
    return rest.lstrip(" ") if name.lower() == scheme else None


def _decode(text: str) -> str | None:
    """Return what base64 and UTF-8 say, strictly; None for what is not both."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
        # The bits that a last letter has to spare are zero in one spelling alone.
        return data.decode() if b64encode(data).decode("ascii") == text else None
    except ValueError:  # binascii.Error and UnicodeDecodeError are; so is a letter beyond ASCII
        return None


def _is_listed(passwords: Mapping[str, str], user: str, password: str) -> bool:
    """Tell whether `user` has `password`; every user is compared with, found or not."""
    is_right = False
    for name, secret in passwords.items():
        is_right |= are_equal(name, user) & are_equal(secret, password)
    return is_right


def _challenge(scheme: str, realm: str, *parameters: str) -> str:
    if not _VISIBLE.issuperset(realm):
        raise ValueError(f"realm {quoted(realm)} is not printable ASCII")
    escaped = realm.replace("\\", "\\\\").replace('"', '\\"')
    return ", ".join([f'{scheme} realm="{escaped}"', *parameters])


def _bytes(secret: str | bytes) -> bytes:
    # `compare_digest` raises TypeError for text beyond ASCII.
    return secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret

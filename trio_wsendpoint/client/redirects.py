"""Decides which redirects of a server are followed (RFC 9110 section 15.4), and where to.

`Trail.follow` returns the next URL, None for an answer that is no redirect, or raises
`RedirectRefused`.  Nothing is sent here.  What holds:

1. At most as many as the app allows, and no URL twice.
2. From `wss://` never to `ws://`.
3. To another origin (scheme, host or port) go no credentials: neither those of the URL, nor
   `Authorization`, `Cookie` and the like of `headers`; and they stay away for good.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urljoin

from trio_wsendpoint.errors import InvalidURL
from trio_wsendpoint.handshake import HeaderItems, Headers, Response, WebSocketURL
from trio_wsendpoint.handshake.errors import HandshakeRefused
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.secrecy import SECRET_HEADERS, hide_in_url

__all__ = ["RedirectRefused", "Trail"]

#: The statuses of a redirect; the method is GET before and after each of them.
_STATUSES = frozenset({301, 302, 303, 307, 308})
#: What servers write for the schemes of WebSockets.
_SCHEMES = {"http": "ws", "https": "wss"}


class RedirectRefused(HandshakeRefused):
    """The server redirects, and that is not followed; `response` is its answer.

    `trail` has the URLs that led here, without credentials.
    """

    def __init__(self, message: str, response: Response, trail: tuple[str, ...] = ()) -> None:
        super().__init__(message, response)
        self.trail = trail


class Trail:
    """The URLs of one opening: `target` is the one to open now."""

    def __init__(self, target: WebSocketURL, most: int) -> None:
        self.target = target
        self._most = most
        self._trail = [_spell(target)]
        self._origins = {_origin(target)}

    @property
    def is_elsewhere(self) -> bool:
        """Whether a redirect has led to another origin than the app's."""
        return len(self._origins) > 1

    def headers(self, headers: HeaderItems) -> Headers:
        """Return those of the app's headers that may go to `target`."""
        allowed = Headers(headers)
        if not self.is_elsewhere:
            return allowed
        return Headers([i for i in allowed.items() if i[0].lower() not in SECRET_HEADERS])

    def follow(self, response: Response) -> WebSocketURL | None:
        """Go on to where `response` redirects to; return that, None for no redirect to follow.

        Raises `RedirectRefused` for one that must not be followed.
        """
        location = response.headers.get("Location")
        if not self._most or response.status not in _STATUSES or location is None:
            return None
        target, found = self.target, self._parse(location, response)
        if target.secure and not found.secure:
            raise self._refuse(f"from wss:// to {_shown(_spell(found))}", response)
        self._origins.add(_origin(found))
        if _origin(found) == _origin(target):
            found = replace(found, host=target.host, authorization=target.authorization)
        spelled = _spell(found)
        if spelled in self._trail:
            raise self._refuse(f"in a circle, to {_shown(spelled)} again", response)
        if len(self._trail) > self._most:
            raise self._refuse(f"more than {self._most} times, to {_shown(spelled)}", response)
        self._trail.append(spelled)
        self.target = found
        return found

    def _parse(self, location: str, response: Response) -> WebSocketURL:
        """Return the URL of a Location, which may be relative to the one that was asked for."""
        try:
            # A fragment is the client's to use, and a WebSocket has no use for one.
            joined = urljoin(self._trail[-1], location.partition("#")[0])
            scheme, found, rest = joined.partition("://")
            target = WebSocketURL.parse(_SCHEMES.get(scheme.lower(), scheme) + found + rest)
        except (InvalidURL, ValueError) as error:
            raise self._refuse(f"to {_shown(location)}: {error}", response) from None
        if target.authorization is not None:
            raise self._refuse(
                f"to {_shown(location)}: a server gives no user and password", response
            )
        return target

    def _refuse(self, why: str, response: Response) -> RedirectRefused:
        shown = tuple(map(hide_in_url, self._trail))
        way = " -> ".join(map(_shown, shown))
        text = f"the server answered {response.status}: it redirects {why}; the way here: {way}"
        return RedirectRefused(text, response, shown)


def _origin(target: WebSocketURL) -> tuple[bool, str]:
    return target.secure, target.host_header  # which has the port, unless it is the scheme's


def _spell(target: WebSocketURL) -> str:
    """Return the URL without user and password."""
    return f"{'wss' if target.secure else 'ws'}://{target.host_header}{target.target}"


def _shown(url: str) -> str:
    return quoted(hide_in_url(url))[1:-1]

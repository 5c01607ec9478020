"""The client's side of the opening handshake, headers out, headers in (RFC 6455 section 4.1).

`ClientHandshake.request` returns the request to write; `check` returns for the 101 that answers
it, raises `HandshakeRefused` for any other status, and `BadUpgrade` for a 101 that is wrong.
It does no HTTP parsing: `http1.py` does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.handshake.abnf import (
    format_extensions,
    parse_extensions,
    parse_protocols,
    parse_tokens,
)
from trio_wsendpoint.handshake.errors import BadUpgrade, HandshakeRefused
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.key import accept_key, make_key
from trio_wsendpoint.handshake.offers import checked_headers, checked_host, checked_subprotocols
from trio_wsendpoint.handshake.quoting import quoted, tell_header
from trio_wsendpoint.handshake.secrecy import hide_in_url, hide_secrets, secrets_of
from trio_wsendpoint.handshake.url import WebSocketURL
from trio_wsendpoint.options import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_wsendpoint.handshake.headers import HeaderItems
    from trio_wsendpoint.protocol.extension import ExtensionNegotiator, MessageExtension

__all__ = ["ClientHandshake"]

_RESERVED = {"connection": "", "host": "host_header=", "upgrade": ""}
_LIST_ITEMS = Limits().list_items

_T = TypeVar("_T")


class ClientHandshake:
    """Asks one server for one WebSocket.

    `url`: a str is parsed, which may raise `InvalidURL`.  `subprotocols`: those we speak, the
    preferred one first; `subprotocol_required`: a 101 with none of them is wrong.  `origin`: for
    clients that act for a web page.  `host_header`: the Host to ask for, as `name` or `name:port`,
    instead of the URL's.  `headers`: further ones for the request.  `extensions`: those we offer,
    the preferred one first.  `random_bytes`: where the 16 bytes of the key come from.

    After `check`, `subprotocol` and `extension` tell what was agreed; both may be None.
    Raises `ValueError` (`TypeError`) for options that cannot make a correct request.
    """

    def __init__(
        self,
        url: str | WebSocketURL,
        *,
        subprotocols: Sequence[str] = (),
        subprotocol_required: bool = False,
        origin: str | None = None,
        host_header: str | None = None,
        headers: HeaderItems = (),
        extensions: Sequence[ExtensionNegotiator] = (),
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.url = url if isinstance(url, WebSocketURL) else WebSocketURL.parse(url)
        self.subprotocol: str | None = None
        self.extension: MessageExtension | None = None
        self._subprotocols = checked_subprotocols(subprotocols, is_required=subprotocol_required)
        self._is_subprotocol_required = subprotocol_required
        self._extensions = {negotiator.name: negotiator for negotiator in extensions}
        # What an argument or the URL says may not be said again: the two could differ.
        reserved = dict(_RESERVED)
        if origin is not None:
            reserved["origin"] = "origin= alone"
        if self.url.authorization is not None:
            reserved["authorization"] = "either this header or the user and password of the URL"
        extra = checked_headers(headers, reserved)
        host = self.url.host_header if host_header is None else checked_host(host_header)
        self._key = make_key(random_bytes)
        fields = [("Host", host), *self._fields(origin), *extra.items()]
        self._request = Request(self.url.target, fields)

    def request(self) -> Request:
        """Return the opening request; each call returns the same."""
        return self._request

    def check(self, response: Response) -> None:
        """Check the server's answer (RFC 6455 section 4.1, "the client MUST validate").

        Raises `HandshakeRefused` for a status other than 101, and `BadUpgrade` for a 101 that
        does not answer this request: nothing is made of its extensions before all else is right.
        """
        self.subprotocol = self.extension = None
        if response.status != 101:
            raise HandshakeRefused(self._explain(response), response)
        try:
            self._check_upgrade(response)
        except BadResponse as error:
            raise BadUpgrade(str(error), response) from error.__cause__

    def _check_upgrade(self, response: Response) -> None:
        protocols = _parse(parse_protocols, response, "Upgrade")
        if [protocol.lower() for protocol in protocols] != ["websocket"]:
            raise _wrong(response, "Upgrade", "websocket")
        if "upgrade" not in map(str.lower, _parse(parse_tokens, response, "Connection")):
            raise _wrong(response, "Connection", "Upgrade")
        accept = accept_key(self._key)
        if response.headers.get_all("Sec-WebSocket-Accept") != (accept,):
            raise _wrong(response, "Sec-WebSocket-Accept", accept)
        subprotocol = self._check_subprotocol(response)
        self.extension = self._check_extensions(response)
        self.subprotocol = subprotocol

    def _explain(self, refusal: Response) -> str:
        text = f"the server answered {refusal.status:03} {refusal.reason_phrase}"
        location = refusal.headers.get("Location")
        if 300 <= refusal.status < 400 and location is not None:
            text += f", Location: {quoted(hide_in_url(location))[1:-1]}"
        if not refusal.body:
            return text
        # A server may say what it did not like: a token, or the whole of the target.
        secrets = secrets_of(self.url.target, self._request.headers.items())
        body = hide_secrets(refusal.body.decode("utf-8", "replace"), secrets)
        return f"{text}: {quoted(body, 120)}"

    def _fields(self, origin: str | None) -> list[tuple[str, str]]:
        fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._key),
            ("Sec-WebSocket-Version", "13"),
        ]
        if self._subprotocols:
            fields.append(("Sec-WebSocket-Protocol", ", ".join(self._subprotocols)))
        offers = [
            (name, parameters)
            for name, negotiator in self._extensions.items()
            for parameters in negotiator.offers()
        ]
        if offers:
            fields.append(("Sec-WebSocket-Extensions", format_extensions(offers)))
        if origin is not None:
            fields.append(("Origin", origin))
        if self.url.authorization is not None:
            fields.append(("Authorization", self.url.authorization))
        return fields

    def _check_subprotocol(self, response: Response) -> str | None:
        # RFC 6455 section 11.3.4: the answer is one name, on one line, and one of those offered.
        match response.headers.get_all("Sec-WebSocket-Protocol"):
            case () if not self._is_subprotocol_required:
                return None
            case (name,) if name in self._subprotocols:
                return name
            case _:
                offered = ", ".join(self._subprotocols) or "none"
                raise _wrong(
                    response, "Sec-WebSocket-Protocol", f"one that was offered ({offered})"
                )

    def _check_extensions(self, response: Response) -> MessageExtension | None:
        answers = _parse(parse_extensions, response, "Sec-WebSocket-Extensions")
        for name, _ in answers:
            if name not in self._extensions:
                raise BadResponse(f"the server uses an extension not offered: {quoted(name)}")
        if not answers:
            return None
        if len(answers) > 1:
            # The same twice, or two that would both transform messages: we run through one.
            names = quoted(", ".join(name for name, _ in answers))
            raise BadResponse(f"the server uses more than one extension: {names}")
        name, parameters = answers[0]
        return self._extensions[name].accept_answer(parameters)


def _parse(parser: Callable[..., list[_T]], response: Response, name: str) -> list[_T]:
    try:
        return parser(response.headers.get_all(name), limit=_LIST_ITEMS)
    except ValueError as error:
        raise BadResponse(f"the server's {name} header: {error}") from None


def _wrong(response: Response, name: str, expected: str) -> BadResponse:
    told = tell_header(name, response.headers.get_all(name), expected)
    return BadResponse(f"the server's {told}")

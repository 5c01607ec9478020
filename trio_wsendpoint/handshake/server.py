"""The server's side of the opening handshake, headers in, headers out (RFC 6455 section 4.2).

`ServerHandshake.answer` returns the 101 or raises `BadRequest` with the answer to write instead;
no other error comes of what a client sends.  It does no HTTP parsing, so that it serves an app
with an HTTP server of its own as well as `http1.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from trio_wsendpoint.handshake.abnf import (
    TooManyItems,
    format_extensions,
    parse_extensions,
    parse_protocols,
    parse_tokens,
)
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.key import accept_key, check_key
from trio_wsendpoint.handshake.offers import checked_headers, checked_subprotocols
from trio_wsendpoint.handshake.origin import OriginPolicy, Origins
from trio_wsendpoint.handshake.quoting import tell_header
from trio_wsendpoint.handshake.refusal import (
    check_method,
    check_version,
    refuse,
    upgrade_required,
)
from trio_wsendpoint.options import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_wsendpoint.handshake.errors import BadRequest
    from trio_wsendpoint.handshake.headers import HeaderItems
    from trio_wsendpoint.protocol.extension import ExtensionNegotiator, MessageExtension

__all__ = ["Agreement", "ServerHandshake", "checked_for_101"]

_DEFAULT_LIMITS = Limits()
_RESERVED = {"connection": "", "upgrade": ""}
_FIRST_LINES = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
#: How many fields these are, before which no other stands.
_FIRST = 3

_T = TypeVar("_T")

#: The 101, the subprotocol and the extension.
Agreement: TypeAlias = "tuple[Response, str | None, MessageExtension | None]"


def checked_for_101(headers: HeaderItems) -> Headers:
    """Return the further headers of a 101; raises `ValueError` for what it writes itself."""
    return checked_headers(headers, _RESERVED)


class ServerHandshake:
    """Answers one opening request.

    `subprotocols`: those we speak; the first one of the *client's* list that is among them is
    chosen, and none is no error, unless `subprotocol_required`.  `origins`: see `OriginPolicy`,
    one of which may be given too, to check the list but once for a whole server.  `headers`:
    further ones for the 101.  `extensions`: those we are willing to use.  `limits`: `list_items`
    holds here.

    After `answer`, `subprotocol` and `extension` tell what was agreed; both may be None.
    Raises `ValueError` (`TypeError`) for options that can never make a correct answer.
    """

    def __init__(
        self,
        *,
        subprotocols: Sequence[str] = (),
        subprotocol_required: bool = False,
        origins: Origins | OriginPolicy = "same",
        headers: HeaderItems = (),
        extensions: Sequence[ExtensionNegotiator] = (),
        limits: Limits = _DEFAULT_LIMITS,
    ) -> None:
        self.subprotocol: str | None = None
        self.extension: MessageExtension | None = None
        self._subprotocols = checked_subprotocols(subprotocols, is_required=subprotocol_required)
        self._is_subprotocol_required = subprotocol_required
        self._origins = origins if isinstance(origins, OriginPolicy) else OriginPolicy(origins)
        further = checked_for_101(headers).lines()
        self._last_lines = b"\r\n" + further if further else b""
        self._extensions = tuple(extensions)
        self._limit = limits.list_items

    def answer(
        self, request: Request, *, is_secure: bool = False, host: str | None = None
    ) -> Response:
        """Return the 101 that opens the WebSocket (RFC 6455 section 4.2.2).

        `is_secure`: whether the request came over TLS that ends here; see `OriginPolicy`.
        `host`: what the client asked for, if a trusted proxy says so; else the request does.
        Raises `BadRequest` with a response of 400 (malformed, or no subprotocol in common), 403
        (origin), 405 (not GET), 426 (no upgrade to version 13 asked for), 431 (a list over its
        limit) or 505 (not HTTP/1.1), whose body names the header that is wrong, and its value.
        """
        self.subprotocol = self.extension = None
        check_version(request.http_version)
        check_method(request.method)
        fields = request.headers.values_by_name()
        agreed = self.agree(request, fields, is_secure=is_secure, host=host)
        response, self.subprotocol, self.extension = agreed
        return response

    def agree(
        self,
        request: Request,
        fields: dict[str, list[str]],
        *,
        is_secure: bool = False,
        host: str | None = None,
    ) -> Agreement:
        """Return the 101, the subprotocol and the extension; change nothing of this object.

        So a server can ask one `ServerHandshake` for all its connections.  `fields` are those of
        the `request`, a GET in HTTP/1.1, as `Headers.values_by_name` returns them.  `is_secure`,
        `host` and the errors: see `answer`.
        """
        self._check_upgrade(fields)
        key = _only_key(fields.get("sec-websocket-key", []))
        origin = fields.get("origin", [])
        try:
            self._origins.check(
                origin, (host or _host_of(request, fields)) if origin else None, is_secure=is_secure
            )
        except ValueError as error:
            raise refuse(403, f"forbidden: {error}") from None
        offered = self._parse(parse_tokens, fields, "Sec-WebSocket-Protocol")
        subprotocol = next((name for name in offered if name in self._subprotocols), None)
        if subprotocol is None and self._is_subprotocol_required:
            raise self._no_subprotocol(fields.get("sec-websocket-protocol", []))
        offers = self._parse(parse_extensions, fields, "Sec-WebSocket-Extensions")
        # Everything that can be refused has been: only now is anything made.
        lines = _FIRST_LINES + accept_key(key)
        extension = None
        if subprotocol is not None:
            lines += f"\r\nSec-WebSocket-Protocol: {subprotocol}"
        if offers:
            extensions, extension = self._negotiate(offers)
            if extensions is not None:
                lines += f"\r\nSec-WebSocket-Extensions: {extensions}"
        # Tokens all of them, and headers that were checked when this object was made.
        headers = Headers.of_lines(lines.encode("ascii") + self._last_lines)
        return Response.of_checked(101, headers), subprotocol, extension

    def amend(self, agreement: Agreement, subprotocol: str | None, headers: Headers) -> Agreement:
        """Return `agreement` with `subprotocol` instead of its own, and further `headers`.

        The client has offered the subprotocol, and `checked_for_101` has checked the headers.
        """
        response, _, extension = agreement
        name = "Sec-WebSocket-Protocol"
        items = [item for item in response.headers.items() if item[0] != name]
        if subprotocol is not None:
            items.insert(_FIRST, (name, subprotocol))
        items += headers.items()
        return Response.of_checked(101, Headers.of_checked(items)), subprotocol, extension

    def _check_upgrade(self, fields: dict[str, list[str]]) -> None:
        # Most clients write it just so, and need no parsing.
        if fields.get("upgrade") != ["websocket"] or fields.get("connection") != ["Upgrade"]:
            protocols = self._parse(parse_protocols, fields, "Upgrade")
            options = self._parse(parse_tokens, fields, "Connection")
            if "websocket" not in map(str.lower, protocols):
                raise _upgrade_required(fields, "Upgrade", "websocket")
            # RFC 9110 section 7.8: an Upgrade that Connection does not list is not meant for us.
            # A proxy in front may have taken it out.
            if "upgrade" not in map(str.lower, options):
                raise _upgrade_required(fields, "Connection", "Upgrade")
        # "13, 8" on one line is two versions, and so are two lines: by RFC 6455 section 4.1, item
        # 9, there is exactly one, and by 4.4 a server tells which it knows.
        if fields.get("sec-websocket-version") != ["13"]:
            raise _upgrade_required(fields, "Sec-WebSocket-Version", "13")

    def _no_subprotocol(self, offered: list[str]) -> BadRequest:
        expected = f"one of {', '.join(self._subprotocols)}"
        told = tell_header("Sec-WebSocket-Protocol", offered, expected)
        return refuse(400, f"no subprotocol in common: the {told}")

    def _parse(
        self, parser: Callable[..., list[_T]], fields: dict[str, list[str]], name: str
    ) -> list[_T]:
        values = fields.get(name.lower())
        if values is None:
            return []
        try:
            return parser(values, limit=self._limit)
        except TooManyItems as error:
            raise refuse(431, f"{name}: {error}") from None
        except ValueError as error:
            raise refuse(400, f"bad request: {name}: {error}") from None

    def _negotiate(
        self, offers: list[tuple[str, list[tuple[str, str | None]]]]
    ) -> tuple[str | None, MessageExtension | None]:
        # RFC 6455 section 9.1: the offers stand in the client's order of preference.  The first
        # that one of ours accepts is the one; one extension is all that a message goes through.
        for name, parameters in offers:
            for ours in self._extensions:
                if ours.name == name and (accepted := ours.accept_offer(parameters)) is not None:
                    answer, extension = accepted
                    return format_extensions([(name, answer)]), extension
        return None, None


def _host_of(request: Request, fields: dict[str, list[str]]) -> str | None:
    """Return `Request.host`, from `fields` where that is the same: its headers stay unread."""
    if not request.target.startswith("/"):
        return request.host
    hosts = fields.get("host", [])
    return ", ".join(hosts) if hosts else None


def _upgrade_required(fields: dict[str, list[str]], name: str, expected: str) -> BadRequest:
    told = tell_header(name, fields.get(name.lower(), []), expected)
    return upgrade_required(f"this is a WebSocket: the {told}")


def _only_key(keys: list[str]) -> str:
    if len(keys) != 1:
        told = tell_header("Sec-WebSocket-Key", keys, "one, of 16 bytes in base64")
        raise refuse(400, f"bad request: the {told}")
    try:
        check_key(keys[0])
    except ValueError as error:
        raise refuse(400, f"bad request: Sec-WebSocket-Key: {error}") from None
    return keys[0]

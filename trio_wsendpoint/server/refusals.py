"""What an operator sees of the clients that a server turned away: one record for each.

A browser tells its user nothing about a refusal, so the server's log must.  What the server decided
(a policy, a limit, TLS that cannot work with its certificate) is told at INFO; the noise that every
open port hears (scanners, nonsense, silence) at DEBUG, as is what is too much for a log.
"""

from __future__ import annotations

import contextlib
import logging
import ssl

import trio

from trio_wsendpoint.addressing import BadForwarding, BadProxyHeader
from trio_wsendpoint.errors import HandshakeError, TLSFailed
from trio_wsendpoint.handshake import Request
from trio_wsendpoint.handshake.errors import BadRequest, RequestAnswered, UnexpectedProxyHeader
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.opening.settings import Logger
from trio_wsendpoint.session.rates import RateLimit

__all__ = ["RefusalLog"]

#: Records at INFO in one second; above that they are written at DEBUG, and counted.
RATE = 10

#: Answers that are a policy's or a limit's.
_POLICY = frozenset({401, 403, 414, 429, 431, 503})
#: What OpenSSL calls it when our certificate, or our demand for the client's, is the reason.
_OUR_TLS = frozenset(
    {
        "CALLBACK_FAILED",
        "CERTIFICATE_VERIFY_FAILED",
        "NO_CERTIFICATE_SET",
        "NO_SHARED_CIPHER",
        "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    }
)
#: Headers of a client that wants a WebSocket, of which a proxy in between may pass only some.
_SIGNS = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol")


class RefusalLog:
    """Writes the records; if it is not to show any, all of them at DEBUG."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._rate = RateLimit(RATE)
        self._hidden = 0  # since the last one that was shown

    def write(
        self,
        error: HandshakeError,
        logger: Logger,
        request: Request | None = None,
        *,
        is_ours: bool | None = None,
    ) -> None:
        """Write the record of an opening that ended with `error`; raises no `Exception`.

        `request` is what was asked, if that is known.  `is_ours`: whether the server is the one
        that decided so; by default that is judged by `error`.
        """
        with contextlib.suppress(Exception):  # a logger that raises is the user's
            if is_ours is None:
                is_ours = _is_ours(error, request)
            level, behind = self._level(is_ours)
            if logger.isEnabledFor(level):
                logger.log(level, "no connection%s: %s%s", _about(error, request), error, behind)

    def _level(self, is_ours: bool) -> tuple[int, str]:
        """Return the level of the next record, and what to say behind it."""
        if not (is_ours and self._is_shown):
            return logging.DEBUG, ""
        if not self._rate.allow(trio.current_time()):
            self._hidden += 1
            return logging.DEBUG, ""
        hidden, self._hidden = self._hidden, 0
        return logging.INFO, f" ({hidden} more since were told at DEBUG)" if hidden else ""


def _about(error: HandshakeError, request: Request | None) -> str:
    """Return what was asked, and how it was answered.  Never the query: it may hold secrets."""
    about = f" for {quoted(request.raw_path)}" if request is not None else ""
    if isinstance(error, (BadRequest, RequestAnswered)):
        about = f"{about} ({error.response.status})"
    return about


def _is_ours(error: HandshakeError, request: Request | None) -> bool:
    """Tell whether the server's own policy, limit or TLS is the reason."""
    if isinstance(error, TLSFailed):
        cause = error.__cause__
        reason = cause.reason if isinstance(cause, ssl.SSLError) else None
        return reason in _OUR_TLS or _is_about_certificate(reason or "")
    if isinstance(error, RequestAnswered):
        # What asks for no WebSocket is a page, and for the app to count.
        return request is not None and request.is_upgrade and error.response.status >= 400
    if isinstance(error, (UnexpectedProxyHeader, BadProxyHeader, BadForwarding)):
        return True  # this server or the proxy in front is set up wrongly
    if isinstance(error, BadRequest):
        status = error.response.status
        return status in _POLICY or (status == 426 and _wants_websocket(request))
    return False


def _is_about_certificate(reason: str) -> bool:
    """Tell whether the client's alert says that it does not trust our certificate."""
    return "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)


def _wants_websocket(request: Request | None) -> bool:
    if request is None:
        return False
    return request.is_upgrade or any(name in request.headers for name in _SIGNS)

"""What is worth a retry: one table, of which each decision names its row.

`ROWS` says what is done about each kind of end or refusal, `STATUSES` and `CLOSE_CODES` which row
an HTTP status and a close code belong to.  `judge` finds the row of an error, and does nothing
else: the delays are `backoff`'s, the deeds are `keeper`'s.  docs/reconnecting.md shows the table.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import trio

from trio_wsendpoint.client.codes import Codes, Verdict
from trio_wsendpoint.client.opening import HandshakeTimeout
from trio_wsendpoint.client.proxy_errors import ProxyError, ProxyRefused
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.errors import BadResponse, InvalidURL, TLSFailed
from trio_wsendpoint.handshake.errors import BadUpgrade, HandshakeRefused
from trio_wsendpoint.protocol.closing import CloseCause

__all__ = ["CLOSE_CODES", "ROWS", "STATUSES", "Phase", "Row", "Trouble", "judge"]

#: Where it went wrong: in `credentials`, in the opening, in `on_connect`, or when it was open.
Phase = Literal["credentials", "opening", "on_connect", "open"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: `name`, what is done (`verdict`), and `what` it is about."""

    name: str
    verdict: Verdict
    what: str


_TABLE = (
    Row("name-unknown", "stop", "no such name in DNS, before the first connection"),
    Row("name-unknown-later", "later", "no such name in DNS, after a connection has been there"),
    Row("name-unanswered", "later", "DNS does not answer, or fails for now"),
    Row("unreachable", "later", "refused, reset, unreachable: no TCP connection"),
    Row("opening-timeout", "later", "no answer to the opening in time"),
    Row("opening-lost", "later", "the bytes ended in the opening, or are no HTTP"),
    Row("tls", "stop", "TLS: does not verify, wrong name, expired, no common version"),
    Row("bad-url", "stop", "`credentials` gave a URL that is none"),
    Row("wrong-answer", "stop", "a 101 with a wrong key, subprotocol or extension"),
    Row("http-later", "later", "408, 425, 500, 502, 504, 520 to 527, 530"),
    Row("http-busy", "busy", "429, 503"),
    Row("http-401-renewed", "later", "401 for the first time since health, with `credentials`"),
    Row("http-proxy", "stop", "407"),
    Row("proxy-failed", "later", "the proxy cannot be reached, or cannot reach the server for now"),
    Row("proxy-refused", "stop", "the proxy refuses us, or the server: credentials, its rules"),
    Row("http-refused", "stop", "any other status: 3xx, 400, 401, 403, 404, 410, 501, 505, ..."),
    Row("close-normal", "spread", "the peer closed with 1000, or without a code (1005)"),
    Row("close-restart", "spread", "the peer closed with 1001 or 1012: it ends, for everyone"),
    Row("close-lost", "spread", "1006: lost, reset, or silent to our pings"),
    Row("close-failed", "later", "1011, 1014"),
    Row("close-busy", "busy", "1013"),
    Row("close-rule", "stop", "1002, 1003, 1007, 1008, 1009, 1010, from either side"),
    Row("close-other", "stop", "1015, 3000 to 4999, and what is not registered"),
    Row(
        "close-local", "spread", "`on_connect`, or a task of the app, closed the connection itself"
    ),
    Row("hook-timeout", "later", "`credentials` or `on_connect` took longer than `hook_timeout`"),
    Row("credentials", "later", "`credentials` raised `OSError` or `trio.TooSlowError`"),
    Row("max-age", "later", "the next connection for `max_age` failed; the old one is still used"),
    Row("codes", "stop", "what `Codes` say of a close code; the name has the codes"),
    Row("give-up", "stop", "what `give_up` has returned"),
    Row("retry-after", "stop", "a Retry-After above `retry_after_cap`"),
    Row("max-failures", "stop", "`max_failures` in a row"),
    Row("max-elapsed", "stop", "the next try would begin after `max_elapsed`"),
)

#: The table, by the rows' names.
ROWS: Mapping[str, Row] = MappingProxyType({row.name: row for row in _TABLE})

#: The row of each HTTP status that has one of its own; the others are "http-refused".
STATUSES: Mapping[int, str] = MappingProxyType(
    {
        **dict.fromkeys((408, 425, 500, 502, 504, *range(520, 528), 530), "http-later"),
        **dict.fromkeys((429, 503), "http-busy"),
        407: "http-proxy",
    }
)

#: The row of each close code that has one of its own; the others are "close-other".
CLOSE_CODES: Mapping[int, str] = MappingProxyType(
    {
        **dict.fromkeys((1000, 1005), "close-normal"),
        **dict.fromkeys((1001, 1012), "close-restart"),
        1006: "close-lost",
        **dict.fromkeys((1011, 1014), "close-failed"),
        1013: "close-busy",
        **dict.fromkeys((1002, 1003, 1007, 1008, 1009, 1010), "close-rule"),
    }
)

#: What a resolver says of a name that is not there; systems lack some of these.
_NAME_UNKNOWN = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)


#: The causes with which we close a connection for what went wrong in it.
_OURS = frozenset({CloseCause.PROTOCOL_ERROR, CloseCause.LIMIT, CloseCause.INTERNAL_ERROR})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong: `error`, in which `phase`, and, of a connection, why it ended (`cause`)."""

    error: Exception
    phase: Phase
    cause: CloseCause | None = None
    is_timeout: bool = False

    @property
    def close_code(self) -> int | None:
        """The close code that decides, None unless a connection ended.

        The one that was sent first decides: ours for a rule that the peer broke, though it may
        have answered with another or with none.  What is silent counts as lost.
        """
        if not isinstance(self.error, ConnectionClosed):
            return None
        if self.cause in {CloseCause.TIMEOUT, CloseCause.LOST}:
            return 1006
        sent = self.error.sent
        if self.cause in _OURS and sent is not None and sent.code is not None:
            return sent.code
        return int(self.error.code)


def judge(trouble: Trouble, *, codes: Codes | None, has_connected: bool, may_renew: bool) -> Row:
    """Return the row that says what is done about `trouble`.

    `codes` go before the table.  `has_connected`: there was a connection before.  `may_renew`:
    a 401 may mean that what `credentials` gave before has expired.
    """
    error = trouble.error
    if trouble.is_timeout:
        return ROWS["hook-timeout"]
    if trouble.phase == "credentials":
        return ROWS["bad-url" if isinstance(error, InvalidURL) else "credentials"]
    if isinstance(error, ConnectionClosed):
        return _judge_close(trouble, codes)
    if isinstance(error, HandshakeRefused):
        status = error.response.status
        if status == 401 and may_renew:
            return ROWS["http-401-renewed"]
        return ROWS[STATUSES.get(status, "http-refused")]
    return ROWS[_judge_opening(error, has_connected)]


def _judge_close(trouble: Trouble, codes: Codes | None) -> Row:
    code = trouble.close_code or 0
    found = codes.find(code) if codes is not None else None
    if found is not None:
        text, verdict = found
        return Row(f"codes {text}", verdict, ROWS["codes"].what)
    if trouble.cause is CloseCause.LOCAL:
        return ROWS["close-local"]
    return ROWS[CLOSE_CODES.get(code, "close-other")]


def _judge_opening(error: Exception, has_connected: bool) -> str:
    if isinstance(error, socket.gaierror):
        if error.errno not in _NAME_UNKNOWN:
            return "name-unanswered"
        return "name-unknown-later" if has_connected else "name-unknown"
    if isinstance(error, (HandshakeTimeout, trio.TooSlowError)):
        return "opening-timeout"
    if isinstance(error, ProxyError):
        return _judge_proxy(error, has_connected)
    if isinstance(error, TLSFailed):
        return _judge_tls(error)
    if isinstance(error, InvalidURL):
        return "bad-url"
    if isinstance(error, BadUpgrade):
        return "wrong-answer"
    if isinstance(error, BadResponse):
        return "opening-lost"
    return "unreachable"


def _judge_proxy(error: ProxyError, has_connected: bool) -> str:
    if isinstance(error, ProxyRefused):
        status = None if error.response is None else error.response.status
        if status is not None and status in STATUSES:
            return STATUSES[status]
        return "proxy-refused" if error.is_final else "proxy-failed"
    # The proxy's own name and its TLS count as the server's do.
    cause = error.__cause__
    if isinstance(cause, (socket.gaierror, TLSFailed)):
        return _judge_opening(cause, has_connected)
    return "proxy-failed"


def _judge_tls(error: TLSFailed) -> str:
    """Tell TLS that says no from a connection that was lost while TLS was spoken."""
    cause = error.__cause__
    lost = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, lost):
        return "tls"
    return "opening-lost"

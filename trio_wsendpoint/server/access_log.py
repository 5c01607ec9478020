"""The access log: one line for each connection that has ended, and for each request.

A line is made from an `AccessRecord`; nothing here waits or does I/O of its own.  What a peer has
chosen is escaped and cut.  `Authorization`, `Cookie` and the query are left out unless asked for.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.handshake import Request
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.protocol.closing import CloseCause
from trio_wsendpoint.session.session import Logger

__all__ = ["AccessLog", "AccessRecord", "user_of"]

#: Characters of a peer's that one field shows.
_MOST = 500
_WE = frozenset(CloseCause) - {CloseCause.PEER, CloseCause.LOST}


def user_of(state: object) -> str | None:
    """Return the user that `state` names, by its key or attribute `user`; None if it names none."""
    if isinstance(state, Mapping):
        user: object = cast("Mapping[object, object]", state).get("user")
    else:
        user = getattr(state, "user", None)
    # Any other object might show a secret.
    return str(user) if isinstance(user, (str, int)) and not isinstance(user, bool) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRecord:
    """What an access log tells of one connection, or of one request and its answer.

    `request`: None if none came whole.  `peer`: the client.  `state`: `Connection.state`, or what
    a request has.  `status`: of the answer; a connection has 101.  `ended`: seconds since the
    epoch.  `duration`: seconds since the request.  `bytes_*`: what went over the stream;
    of a request, its body and that of the answer.  `subprotocol`, `messages_*`, `close_code` and
    `close_cause` are a connection's.
    """

    request: Request | None
    peer: Peer
    state: object = field(default=None, repr=False)
    status: int
    ended: float
    duration: float
    bytes_received: int = 0
    bytes_sent: int = 0
    messages_received: int | None = None
    messages_sent: int | None = None
    subprotocol: str | None = None
    close_code: int | None = None
    close_cause: CloseCause | None = None

    @property
    def closed_by(self) -> Literal["peer", "us"] | None:
        """Who closed the connection first; None if it was lost, or is none."""
        if self.close_cause is CloseCause.PEER:
            return "peer"
        return "us" if self.close_cause in _WE else None


class AccessLog:
    """Writes records: pass one as `access_log=` to `serve_endpoint`.

    `format`: "common" is the Common Log Format of web servers, with `name=value` behind it; "json"
    is one object a line.
    `logger`: where to write; by default the logger `trio_wsendpoint.access`.
    `level`: the level of each line.
    `query`: show the query too, which may hold tokens.
    `headers`: names of headers of the request to show too.
    `user`: returns the user that a `state` names, or None; by default `user_of`.
    """

    def __init__(
        self,
        format: Literal["common", "json"] = "common",
        *,
        logger: Logger | None = None,
        level: int = logging.INFO,
        query: bool = False,
        headers: Sequence[str] = (),
        user: Callable[[Any], str | None] = user_of,
    ) -> None:
        if format not in {"common", "json"}:
            raise ValueError(f'the format of an access log is "common" or "json", not {format!r}')
        if isinstance(headers, str):
            raise TypeError(f"headers must be a list of names, not {headers!r}")
        self._format = format
        self._logger = logging.getLogger("trio_wsendpoint.access") if logger is None else logger
        self._level = level
        self._query = query
        self._headers = tuple(headers)
        self._user = user

    def write(self, record: AccessRecord) -> None:
        """Write the line of `record`; raises no `Exception`."""
        with contextlib.suppress(Exception):  # the logger and `user` are the user's
            if self._logger.isEnabledFor(self._level):
                self._logger.log(self._level, "%s", self.line_of(record))

    def line_of(self, record: AccessRecord) -> str:
        """Return the line of `record`: printable ASCII."""
        fields = self._fields_of(record)
        return json.dumps(fields) if self._format == "json" else _common(fields)

    def _fields_of(self, record: AccessRecord) -> dict[str, Any]:
        request, peer = record.request, record.peer
        user = self._user(record.state)
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.ended, UTC).isoformat(timespec="milliseconds"),
            "address": peer.address if peer.transport == "tcp" else f"{peer.transport}:",
            "user": None if user is None else _shown(user),
            "method": None if request is None else _shown(request.method),
            "path": None if request is None else self._target_of(request),
            "version": None if request is None else request.http_version,
            "status": record.status,
            "seconds": round(record.duration, 6),
            "bytes_received": record.bytes_received,
            "bytes_sent": record.bytes_sent,
            "messages_received": record.messages_received,
            "messages_sent": record.messages_sent,
            "subprotocol": None if record.subprotocol is None else _shown(record.subprotocol),
            "close_code": record.close_code,
            "close_cause": None if record.close_cause is None else str(record.close_cause),
            "closed_by": record.closed_by,
        }
        for name in self._headers:
            value = None if request is None else request.headers.get(name)
            fields[name.lower()] = None if value is None else _shown(value)
        return fields

    def _target_of(self, request: Request) -> str:
        return _shown(request.target if self._query else request.raw_path)


def _shown(text: str) -> str:
    """Return `text` escaped and cut, without quotes around it."""
    return quoted(text, _MOST)[1:-1] if len(text) <= _MOST else quoted(text, _MOST)


def _common(fields: dict[str, Any]) -> str:
    """Return the Common Log Format, and what it has no place for as `name=value`."""
    when = datetime.fromisoformat(fields.pop("time"))
    user, method, path = fields.pop("user"), fields.pop("method"), fields.pop("path")
    version, status = fields.pop("version"), fields.pop("status")
    asked = "-" if method is None else f"{method} {path} HTTP/{version}".replace('"', "\\x22")
    who = "-" if user is None else user.replace(" ", "\\x20")
    line = (
        f"{fields.pop('address') or '-'} - {who} [{when:%d/%b/%Y:%H:%M:%S %z}] "
        f'"{asked}" {status} {fields["bytes_sent"]}'
    )
    rest = (f"{name}={_value(value)}" for name, value in fields.items() if value is not None)
    return f"{line} {' '.join(rest)}"


def _value(value: object) -> str:
    """Return a value as one word, or within quotes."""
    text = str(value).replace('"', "\\x22")
    return f'"{text}"' if " " in text or not text else text

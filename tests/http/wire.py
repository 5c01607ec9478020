"""A connection to talk to, without a driver."""

from __future__ import annotations

from collections.abc import Callable

from trio_wsendpoint.handshake import Response
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import HttpConnection, HttpDate, HttpLimits, Phase, RequestHead
from trio_wsendpoint.options import Limits, Timeouts

#: As the answers have it.
DATE = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
WEBSOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"


def phase(http):
    """Return the phase; a type checker would take it to stay what it was."""
    return http.phase


def connection(
    *, limits: Limits | None = None, http: HttpLimits | None = None, now: float = 0.0
) -> HttpConnection:
    """Return a connection whose answers were written in 1970."""
    return HttpConnection(
        limits=limits or Limits(),
        http=http or HttpLimits(),
        timeouts=Timeouts(open=10),
        now=now,
        date=HttpDate(lambda: 0.0),
    )


def request(
    *lines: str, first: str = "GET / HTTP/1.1", body: bytes = b"", host: str | None = "a"
) -> bytes:
    """Return a request with these header lines."""
    hosts = [] if host is None else [f"Host: {host}"]
    return "\r\n".join([first, *hosts, *lines, "", ""]).encode("iso-8859-1") + body


def served(data: bytes, *, pieces: int | None = None, **options: HttpLimits | Limits) -> Served:
    """Give `data` to a connection whose app echoes each body; in pieces of so many bytes."""
    result = Served(connection(**options))  # type: ignore[arg-type]
    size = pieces or max(len(data), 1)
    for at in range(0, len(data), size):
        result.receive(data[at : at + size])
    return result


class Served:
    """What an app that reads each body, and echoes it, has done."""

    def __init__(self, http: HttpConnection, now: float = 0.0) -> None:
        self.http = http
        self.now = now
        self.heads: list[RequestHead] = []
        self.bodies: list[bytes] = []
        self.written = b""
        self._body = b""

    def receive(self, data: bytes) -> None:
        """Give bytes to the connection, and do what can be done."""
        self._step(lambda: self.http.receive_data(data, self.now))
        self._step(self._work)

    def end(self) -> None:
        """Give the end of the bytes."""
        self._step(self.http.receive_eof)
        self._step(self._work)

    def _step(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BadRequest as error:
            self.written += self.http.refuse(error.response, self.now)

    def _work(self) -> None:
        http = self.http
        while True:
            head = http.next_request(self.now)
            if head is not None:
                self.heads.append(head)
                self._body = b""
            if http.phase is not Phase.BODY and http.phase is not Phase.ANSWERING:
                return
            self.written += http.ask_for_body(self.now)
            while data := http.read_body(self.now):
                self._body += data
            if data is None:
                return
            self.bodies.append(self._body)
            self.written += http.respond(Response(200, body=self._body), self.now)

    @property
    def statuses(self) -> list[int]:
        """The status of each answer, of those with a body of this app alone."""
        return [int(line[:3]) for line in self.written.split(b"HTTP/1.1 ")[1:]]

    @property
    def closes(self) -> bool:
        """Whether the last answer said so, and the connection lingers or is closed."""
        head = self.written.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")[0]
        says = b"connection: close" in head.lower() or b", close" in head.lower()
        is_over = self.http.phase in {Phase.LINGERING, Phase.CLOSED}
        assert says == is_over
        return is_over

"""One connection that speaks plain HTTP/1.x, as its server: bytes in, requests and bytes out.

No I/O, no clock: a driver reads, writes and waits.  It

* reads while `wants_data`, until `deadline`: `receive_data`, `receive_eof`; at the deadline,
  `expire`;
* takes the request that `next_request` returns, if it returns one, and its body with
  `ask_for_body` and `read_body`;
* answers with `respond`, or with `start`, `write` and `finish`; with `switch` an opening; and
  writes at once what these methods return;
* when a `BadRequest` is raised by any of them, writes what `refuse` returns;
* in the phase `LINGERING`, ends its side of the stream, calls `linger` and goes on; in `CLOSED`,
  closes.

What it promises:

1. The outcome depends on the bytes, never on how they were cut; what is behind a request belongs
   to the next one.  Every request is checked alike, the first and the thousandth.
2. It holds at most a head, `wants_data`'s bound of what is behind it, and one read more.
3. A 100 is sent only to a client that waits for it, when the app asks for the body.
4. After an error, and whenever the client may still send what the app will not read, the answer
   says `close` and the connection lingers.
"""

from __future__ import annotations

from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.handshake.writing import serialize_response
from trio_wsendpoint.http.answers import NO_TRAILERS, Answer, Buffer, HttpDate
from trio_wsendpoint.http.deadlines import Deadlines
from trio_wsendpoint.http.errors import BodyMismatch, WrongOrder
from trio_wsendpoint.http.heads import RequestHead
from trio_wsendpoint.http.intake import Intake
from trio_wsendpoint.http.phases import Course, Event, Phase
from trio_wsendpoint.http.settings import HttpLimits
from trio_wsendpoint.options import Limits, Timeouts

__all__ = ["HttpConnection"]

#: Bytes of a body that are held before reading stops.
BODY_BUFFER = 65536

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LIMITS, _HTTP, _TIMEOUTS = Limits(), HttpLimits(), Timeouts()


class HttpConnection:
    """The exchanges of one connection, one after the other.

    `limits`: `head_size`, `header_count`, `list_items` and `pipelined` hold here.  `timeouts`:
    `open` does, for each head.  `now`: when the connection came, in seconds of the clock by which
    the methods are told the time.  `date`: of the answers; shared by a server's connections.
    """

    def __init__(
        self,
        *,
        limits: Limits = _LIMITS,
        http: HttpLimits = _HTTP,
        timeouts: Timeouts = _TIMEOUTS,
        now: float = 0.0,
        date: HttpDate | None = None,
    ) -> None:
        self._limits = limits
        self._http = http
        self._date = HttpDate() if date is None else date
        self._course = Course()
        self._deadlines = Deadlines(timeouts, http, now)
        self._intake = Intake(limits, http)
        self._answer: Answer | None = None  # from its start to its end
        self.head_at = now  # when the head of the last request had come
        #: True once `stop` was called: each answer is the last.
        self.is_stopping = False

    # ---- what the driver asks ------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """How far the exchange has come."""
        return self._course.phase

    @property
    def head(self) -> RequestHead | None:
        """The request in work; None before its head has come, and once all is done with it."""
        return self._intake.head

    @property
    def requests(self) -> int:
        """How many requests have come."""
        return self._intake.requests

    @property
    def trailing(self) -> bytes:
        """What has come behind the request, and has not been looked at."""
        return self._intake.trailing

    @property
    def is_eof(self) -> bool:
        """Whether the peer has ended its bytes."""
        return self._intake.is_eof

    @property
    def deadline(self) -> float:
        """When to call `expire`; infinite if nothing is waited for."""
        return self._deadlines.at

    @property
    def is_answer_due(self) -> bool:
        """Whether an answer can still be started, or the request refused."""
        return self._course.is_answer_due

    @property
    def wants_data(self) -> bool:
        """Whether to read on.

        False after the end, and when enough is held: of a body 64 KiB, and `Limits.pipelined`
        bytes behind a request in work.  Pipelining is legal (RFC 9112 section 9.3.2): the rest
        waits in the socket.
        """
        phase = self._course.phase
        if self._intake.is_eof or phase is Phase.UPGRADED or phase is Phase.CLOSED:
            return False
        if phase is Phase.BODY or phase is Phase.EARLY:
            return self._intake.size < BODY_BUFFER
        if phase is Phase.ANSWERING or phase is Phase.STREAMING:
            return self._intake.size < self._limits.pipelined
        return True

    # ---- what comes in -------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take the next bytes.

        Raises `BadRequest` (400) for more than `Limits.pipelined` bytes behind an opening: they
        would be frames, for which a client waits until it has its 101.
        """
        phase = self._course.phase
        if phase is Phase.LINGERING:
            self._deadlines.linger_on(now)
            return
        self._intake.receive_data(data)
        if phase is Phase.ANSWERING:
            self._intake.check_behind()

    def receive_eof(self) -> None:
        """Take the end of the bytes: what has come whole is still answered."""
        self._intake.receive_eof()
        if self.phase is Phase.LINGERING:
            self._move(Event.BYTES_END)

    def next_request(self, now: float) -> RequestHead | None:
        """Return the next request once its head is complete; None until then.

        None while one is in work, and once the connection is to be closed.  Raises `BadRequest`:
        400, 405, 413, 414, 417, 431, 501 or 505 for the head, 400 for what is behind an opening.
        """
        if self._course.phase is Phase.DRAINING:
            self._drain(now)
        phase = self._course.phase
        if phase is not Phase.IDLE and phase is not Phase.HEAD:
            return None
        head = self._intake.read_head()
        if head is None:
            if phase is Phase.IDLE and self._intake.has_begun:
                self._move(Event.HEAD_BEGINS, now)
            if self._intake.is_eof:
                self._move(Event.BYTES_END)
            return None
        self.head_at = now
        if self._intake.is_complete:
            self._course.move(Event.REQUEST_COMES)
            self._deadlines.begin_answering(now)
            self._intake.check_behind()
        else:
            self._move(Event.HEAD_BEGINS, now)
            self._move(Event.HEAD_ENDS, now)
        return head

    def ask_for_body(self, now: float) -> bytes:
        """Return what to write before the body is waited for: a 100, if one is due.

        Starts the body's clock, which `read_body` stops when something has come.  RFC 9110 section
        10.1.1: no 100 once part of the body, or of the answer, has come.
        """
        if self.phase is Phase.BODY or self.phase is Phase.EARLY:
            self._deadlines.wait_for_body(now)
        is_due = self.phase is Phase.BODY and self._intake.take_continue()
        return _CONTINUE if is_due else b""

    def read_body(self, now: float) -> bytes | None:
        """Return the next bytes of the body; empty at its end, None if none have come.

        Chunks are decoded, trailers dropped.  Raises `BadRequest`: 400 for what is malformed
        (`BodyCutShort` if the bytes have ended before the body), 413 for a body over
        `HttpLimits.body_size` (`BodyTooLarge`), 431 for trailers.
        """
        if not self._course.expects_body:
            return b""
        data = self._intake.read_body()
        if data:
            self._deadlines.body_came(len(data), now)
        if self._intake.is_complete:
            self._move(Event.BODY_ENDS, now)
            self._forget_if_idle()
        return data if data or not self._course.expects_body else None

    def _drain(self, now: float) -> None:
        """Drop what has come of the body behind a complete answer."""
        while self._intake.size and self.read_body(now):
            pass
        if self._intake.is_eof and self.phase is Phase.DRAINING:
            self._move(Event.BYTES_END)

    # ---- what goes out -------------------------------------------------------------------------

    def respond(self, response: Response, now: float) -> bytes:
        """Return a whole answer; raises as `start`, before anything has happened."""
        head = self.start(response.status, response.headers, length=len(response.body))
        return head + self.write(response.body) + self.finish(now)

    def start(self, status: int, headers: HeaderItems = (), *, length: int | None = None) -> bytes:
        """Return the head of an answer.

        `status`: 200 to 599; `headers`: framing and hop-by-hop headers are left out, except that
        a Content-Length must be kept and `Connection: close` is; `length`: bytes of the body, if
        known.  Without either the body leaves in chunks; to HTTP/1.0, until the end of the stream.

        Raises `WrongOrder` if no answer is due; `ValueError` or `TypeError` for what may not go on
        the wire, `BodyMismatch` for a `length` that is not what the headers say: then nothing has
        happened, and another answer can be started.
        """
        head = self.head
        if head is None or not self.is_answer_due:
            raise WrongOrder(f"no answer can start while the exchange is {self.phase.value}")
        answer = Answer(
            status,
            headers,
            length=length,
            method=head.request.method,
            version=head.request.http_version,
            close=self.is_stopping or not self._intake.may_persist,
            date=self._date,
        )
        self._move(Event.WE_START)
        self._answer = answer
        return answer.head

    def write(self, data: Buffer) -> bytes:
        """Return bytes of the body as they go on the wire; none if the answer has no body.

        Raises `BodyMismatch` for more than was declared: then only `close` is right.  `TypeError`
        for what is no bytes, `WrongOrder` without a start.
        """
        return self._started().write(data)

    def finish(self, now: float, trailers: Headers = NO_TRAILERS) -> bytes:
        """Return the end of the answer, `trailers` behind its chunks; the next request is next.

        Raises `WrongOrder` without a start, and `BodyMismatch` if bytes are missing: then the
        connection is closed, and what is missing stays missing, so that the client sees it.
        """
        answer = self._started()
        try:
            end = answer.finish(trailers)
        except BodyMismatch:
            self.close()
            raise
        self._answer = None
        if answer.closes:
            self._finish_last(Event.WE_FINISH_LAST, now)
        else:
            self._move(Event.WE_FINISH, now)
            self._forget_if_idle()
        return end

    def refuse(self, response: Response, now: float) -> bytes:
        """Return `response` as the last answer; nothing, and close, if an answer has begun."""
        if not self.is_answer_due:
            self.close()
            return b""
        answer = Answer(
            response.status,
            response.headers,
            length=len(response.body),
            method=self._intake.method,
            close=True,
            date=self._date,
        )
        self._finish_last(Event.WE_REFUSE, now)
        return answer.head + answer.write(response.body)

    def switch(self, response: Response) -> bytes:
        """Return the 101 to an opening; what has come behind it is in `trailing`.

        Raises `WrongOrder` if the request in work is no opening.
        """
        if self.head is None or not self.head.is_opening:
            raise WrongOrder("only an opening switches protocols")
        self._move(Event.WE_SWITCH)
        return serialize_response(response, self.head.request)

    def _started(self) -> Answer:
        if self._answer is None:
            raise WrongOrder("the answer has not been started")
        return self._answer

    # ---- how an exchange ends ------------------------------------------------------------------

    def stop(self) -> None:
        """Make each answer the last one; the driver closes an idle connection itself."""
        self.is_stopping = True

    def close(self) -> None:
        """End the connection: nothing is read or written any more."""
        self._move(Event.WE_CLOSE)

    def linger(self, now: float) -> None:
        """Linger from `now`: only now the last answer has left as a whole."""
        if self.phase is Phase.LINGERING:
            self._deadlines.enter(self.phase, now)

    def expire(self, now: float) -> None:
        """Act on the `deadline`.

        Raises `OutOfTime`, a `BadRequest`: 408 if a head or a body is late, 503 if the handler is.
        Closes a connection that is idle between two requests, or has only to be read out.
        """
        self._deadlines.check(self.phase, now)
        self.close()

    def _finish_last(self, event: Event, now: float) -> None:
        self._move(event, now)
        self._intake.drop()
        self._intake.forget()
        if self._intake.is_eof:
            self._move(Event.BYTES_END)

    def _forget_if_idle(self) -> None:
        if self._course.phase is Phase.IDLE:
            self._intake.forget()

    def _move(self, event: Event, now: float = 0.0) -> None:
        """Follow the table; without `now` only where the next phase has no deadline."""
        if self._course.move(event):
            self._deadlines.enter(self._course.phase, now)

"""One plain request and its answer, over a link: what handlers and ASGI are built on.

The request's body is read while the answer is written, if the app likes; the client's end can be
waited for in addition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum

import trio

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.headers import HeaderItems, Headers
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.http import Phase, RequestHead, WrongOrder
from trio_wsendpoint.http.answers import (
    NO_TRAILERS,
    Buffer,
    check_answer,
    check_trailers,
    early_hints,
)
from trio_wsendpoint.server.http_link import HttpLink

__all__ = ["AnswerPhase", "Exchange"]


class AnswerPhase(Enum):
    """How far the answer has come."""

    NOTHING = "not started"
    HELD = "started"  # and its head waits for what follows, so a 500 can still take its place
    BEGUN = "begun"  # its head has been written
    COMPLETE = "complete"


class Exchange:
    """The request `head` that `link.next_request()` returned, and its answer.

    One task reads the body and one writes the answer, which may be the same; any number ask for,
    or wait for, the client's end.  `phase` tells how far the answer is.  After it is complete
    the link may go on with the next request, whether or not the body was read: what is left of it
    is dropped.  `status` is the answer's, None before one has begun; `size` is how many bytes of
    its body the app has given, `received` how many of the request's body it has read; `began` is
    when its head had come.
    """

    __slots__ = (
        "_held",
        "_own_errors",
        "_scope",
        "began",
        "head",
        "link",
        "phase",
        "received",
        "size",
        "status",
    )

    def __init__(self, link: HttpLink, head: RequestHead) -> None:
        self.link = link
        self.head = head
        self.began = link.http.head_at
        self.phase = AnswerPhase.NOTHING
        self.status: int | None = None
        self.size = 0
        self.received = 0
        # Of the answer, while it is HELD: status, headers, and the length of its body.
        self._held: tuple[int, Headers, int | None] | None = None
        self._own_errors: list[BadRequest] = []
        self._scope: trio.CancelScope | None = None  # whose deadline ends when the answer begins

    # ---- the request ---------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def read_some(self) -> bytes:
        """Return the next bytes of the body; empty at its end.

        Chunks are decoded, trailers dropped.  A client that waits for a 100 gets it now, unless
        an answer has begun.  If cancelled, nothing was taken.

        Raises `BadRequest`, whose `response` is the answer to give: `BodyTooLarge` (413) over
        `HttpLimits.body_size`, `BodyCutShort` (400) if the client has ended within the body, 400
        for what is malformed, 431 for trailers, `OutOfTime` (408) for a body that is late, and
        503 at `HttpLimits.handler`.  Raises `ClientGone` if the client is lost, and `WrongOrder`
        once the answer is complete: what was left of the body may have been dropped.  What a
        read has raised, the next one raises too.
        """
        while True:
            await self.link.breathe()
            data = self.read_nowait()
            if data is not None:
                return data
            await self.wait_for_body()

    def read_nowait(self) -> bytes | None:
        """Return the next bytes of the body if they are here, else None; empty at its end.

        It is no checkpoint, and sends no 100.  Raises as `read_some`.
        """
        if self.phase is AnswerPhase.COMPLETE:
            raise WrongOrder("the body cannot be read: the answer is complete")
        if self._own_errors:
            raise self._own_errors[0]
        try:
            data = self._take_body()
            return self._take_body() if data is None and self.link.look() else data
        except BadRequest as error:
            self.note(error)
            raise

    @property
    def is_body_read(self) -> bool:
        """Whether the body has been read to its end."""
        return self.link.http.phase in {Phase.ANSWERING, Phase.STREAMING}

    @trio.lowlevel.enable_ki_protection
    async def wait_for_body(self) -> None:
        """Wait until something has come after `read_nowait` returned None; may return early.

        A client that waits for a 100 gets it now, unless an answer has begun.  Raises as
        `read_some`.
        """
        http = self.link.http
        try:
            asks = http.ask_for_body(trio.current_time())
            if asks:
                await self.link.write(lambda: asks)
            await self.link.wait(http.deadline)
            if trio.current_time() >= http.deadline:
                http.expire(trio.current_time())
        except BadRequest as error:
            self.note(error)
            raise

    def _take_body(self) -> bytes | None:
        link = self.link
        phase = link.http.phase
        if phase is Phase.ANSWERING or phase is Phase.STREAMING:
            return b""
        if phase is Phase.CLOSED and link.lost is not None:
            raise link.lost  # there is no body any more: never take a part of it for the whole
        was_full = not link.http.wants_data
        data = link.http.read_body(trio.current_time())
        if data is None and link.lost is not None:
            raise link.lost
        self.received += len(data or b"")
        if was_full:
            link.wake()  # a task that waits for the client's end reads on
        return data

    def note(self, error: BadRequest) -> None:
        """Remember that `error` is about this request, so that its answer is this one's."""
        self._own_errors.append(error)

    def is_own(self, error: BaseException) -> bool:
        """Tell whether `error` was raised for this request, and not by another of the app's."""
        return error is self.link.lost or any(error is one for one in self._own_errors)

    # ---- the answer ----------------------------------------------------------------------------

    def start(self, status: int, headers: HeaderItems = (), *, length: int | None = None) -> None:
        """Start the answer: `status` is 200 to 599.

        `headers`: framing and hop-by-hop headers are left out, except a Content-Length, which the
        body must keep, and `Connection: close`.  `length`: bytes of the body, if they are known;
        without either the body leaves in chunks, or, in HTTP/1.0, until the end of the stream.

        The head leaves with what is written first; write `b""` to send it alone.  Raises
        `ValueError` or `TypeError` for what may not go on the wire, and `WrongOrder` for a second
        start: then nothing has happened.
        """
        if self.phase is not AnswerPhase.NOTHING:
            raise WrongOrder(f"the answer cannot be started: it is {self.phase.value}")
        self._held = status, check_answer(status, headers), length
        self.phase = AnswerPhase.HELD

    async def write(self, data: Buffer) -> None:
        """Write bytes of the body, which are dropped if the answer has none, as to HEAD.

        Waits until the client has taken what was written before.  If cancelled meanwhile, nothing
        was written; what has been written leaves, whatever is cancelled.

        Raises `WrongOrder` before the start and after the end, `ClientGone` if the client is lost,
        or takes nothing within `Timeouts.write`; `BodyMismatch` for more than was declared, after
        which only `abort` is right; `TypeError` for what is no bytes; for the first piece
        `ValueError` or `BodyMismatch` if the length in the headers is none, or not `length`.
        """
        await self.link.breathe()
        await self.link.write(lambda: self._encode(data))

    async def hint(self, links: Iterable[str]) -> None:
        """Write a 103 (RFC 8297) with `links`, as `</style.css>; rel=preload`.

        Does nothing for a client of HTTP/1.0, which knows no such answer.  Raises `WrongOrder`
        once the head has left, `ValueError` for a link that may not go on the wire, and
        `ClientGone`.  If cancelled, nothing was written.
        """
        await self.link.breathe()
        if self.phase is not AnswerPhase.NOTHING and self.phase is not AnswerPhase.HELD:
            raise WrongOrder(f"hints come before the answer: it is {self.phase.value}")
        data = early_hints(links)
        if self.head.request.http_version == "1.1":
            await self.link.write(lambda: data)

    async def finish(self, data: Buffer = b"", trailers: Headers | None = None) -> None:
        """Write `data`, the last bytes of the body, and the end of the answer.

        `trailers` follow a body in chunks, if the client has said `TE: trailers`; they are dropped
        otherwise.  Raises as `write`, `ValueError` for a header that is no trailer, and
        `BodyMismatch` if bytes are missing: then the connection is closed, and what is missing
        stays missing, so that the client sees it.
        """
        await self.link.breathe()
        if trailers is not None:
            check_trailers(trailers)

        def make() -> bytes:
            encoded = self._encode(data)
            self.phase = AnswerPhase.COMPLETE
            kept = trailers if trailers and self.head.takes_trailers else NO_TRAILERS
            end = self.link.http.finish(trio.current_time(), kept)
            return encoded + end

        try:
            await self.link.write(make)
        finally:
            self.link.wake()

    async def respond(self, response: Response) -> None:
        """Write a whole answer; raises as `start` and `finish`."""
        await self.link.breathe()
        if self.phase is not AnswerPhase.NOTHING:
            raise WrongOrder(f"the answer cannot be started: it is {self.phase.value}")

        def make() -> bytes:
            data = self.link.http.respond(response, trio.current_time())
            self._begin(response.status)
            self._end()
            self.size = len(response.body)
            return data

        await self.link.write(make)
        self.link.wake()

    async def refuse(self, error: BadRequest) -> None:
        """Give the answer of `error`, and close; if an answer has begun, cut it off.

        The server is told of it as of any request that is wrong.
        """
        self._end(error.response)
        await self.link.refuse(error)

    async def fail(self, response: Response) -> None:
        """Give `response` and close; if an answer has begun, cut it off; if complete, nothing."""
        if self.phase is not AnswerPhase.COMPLETE:
            self._end(response)
            await self.link.end_with(response)

    def abort(self) -> None:
        """Close the connection, so that the client sees that its answer is cut; if whole, nothing.

        By then another task may take the next request.
        """
        if self.phase is not AnswerPhase.COMPLETE:
            self._end()
            self.link.abort()

    def limit(self, scope: trio.CancelScope) -> None:
        """Take the deadline off `scope`, in which a handler runs, when the answer begins."""
        self._scope = scope

    def _begin(self, status: int) -> None:
        self._held = None
        self.status = status
        self.phase = AnswerPhase.BEGUN
        if self._scope is not None and self._scope.deadline < math.inf:  # to set it costs more
            self._scope.deadline = math.inf

    def _end(self, refusal: Response | None = None) -> None:
        if refusal is not None and self.status is None:
            self.status, self.size = refusal.status, len(refusal.body)
        self._held = None
        self.phase = AnswerPhase.COMPLETE

    def _encode(self, data: Buffer) -> bytes:
        http = self.link.http
        if self.phase is AnswerPhase.BEGUN:
            encoded = http.write(data)
            self.size += memoryview(data).nbytes
            return encoded
        if self._held is None or self.phase is not AnswerPhase.HELD:
            if self.link.lost is not None:
                raise self.link.lost  # it was aborted while it waited for its turn
            raise WrongOrder(f"the answer cannot be written: it is {self.phase.value}")
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"the body of an answer is bytes, not {type(data).__name__}")
        status, headers, length = self._held
        head = http.start(status, headers, length=length)
        self._begin(status)
        return head + self._encode(data)

    # ---- the client's end ----------------------------------------------------------------------

    def is_gone(self) -> bool:
        """Tell whether the client has ended its bytes or is lost, or the answer is complete.

        Looks for it without waiting, and is no checkpoint.  Over a stream that cannot be looked at
        (it has no non-blocking form) it knows what a task has read that reads the body or waits in
        `wait_gone`.  A client that has ended its bytes may still read the answer.
        """
        if self.phase is AnswerPhase.COMPLETE or self.link.is_gone:
            return True
        self.link.look()
        return self.link.is_gone

    @trio.lowlevel.enable_ki_protection
    async def wait_gone(self) -> None:
        """Wait until `is_gone()` is true.

        Once the connection holds as much as it may of what the client sends ahead, its end is not
        seen until some of that has been read.
        """
        await self.link.breathe()
        while not self.is_gone():
            await self.link.wait()

"""Takes requests from the bytes of one connection: heads one after the other, and their bodies.

What is behind a request stays in the buffer, untouched, until the request is done with.  Every
head is read and checked by the same rules, with a reader of its own: nothing is left over from
the one before.
"""

from __future__ import annotations

from trio_wsendpoint.handshake.head import BadHead, HeadReader, whole_request
from trio_wsendpoint.handshake.refusal import refuse_head
from trio_wsendpoint.http.bodies import RequestBody
from trio_wsendpoint.http.framing import NO_BODY, Framing
from trio_wsendpoint.http.heads import (
    RequestHead,
    check_opening,
    malformed,
    parse_head,
)
from trio_wsendpoint.http.settings import HttpLimits
from trio_wsendpoint.options import Limits

__all__ = ["Intake"]

# RFC 9112 section 2.2: one empty line in front of a request line is no request.
_BLANK = frozenset({b"", b"\r", b"\r\n"})


class Intake:
    """The request that is coming in, and the bytes behind it."""

    def __init__(self, limits: Limits, http: HttpLimits) -> None:
        self._limits = limits
        self._http = http
        self._buffer = bytearray()
        self._reader: HeadReader | None = None  # of a head that has not come at once
        self._no_body = self._body = self._body_of(NO_BODY)
        self._is_continue_due = False
        #: Whether the bytes have ended.
        self.is_eof = False
        #: How many requests have come, those that were refused for their head included.
        self.requests = 0
        #: The request in work, once its head has come.
        self.head: RequestHead | None = None
        #: Its method, even if it is refused for its head; GET before.
        self.method = "GET"

    # ---- bytes ---------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many bytes are held that have not been looked at."""
        return len(self._buffer)

    @property
    def trailing(self) -> bytes:
        """These bytes."""
        return bytes(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes."""
        self._buffer += data

    def receive_eof(self) -> None:
        """Take the end of the bytes."""
        self.is_eof = True

    def drop(self) -> None:
        """Forget the bytes that are held."""
        self._buffer.clear()

    # ---- the head ------------------------------------------------------------------------------

    @property
    def has_begun(self) -> bool:
        """Whether something of a head has come, other than a blank line in front of it."""
        return self._reader is not None and self._reader.held not in _BLANK

    def read_head(self) -> RequestHead | None:
        """Return the head of the next request once it is complete.

        Raises `BadRequest`, as `parse_head` and for what `HeadReader` refuses.
        """
        if not self._buffer:
            return None
        whole = self._take_head()
        if whole is None:
            return None
        self.requests += 1
        self.method = whole.partition(b" ")[0].decode("ascii")
        head = parse_head(
            whole, body_limit=self._http.body_size, list_limit=self._limits.list_items
        )
        if head.is_opening:
            check_opening(head)
        if head.framing is not NO_BODY:
            self._body = self._body_of(head.framing)
            self._is_continue_due = head.expects_continue and not head.framing.is_empty
        self.head = head
        return head

    def _take_head(self) -> bytes | None:
        """Return the bytes of a head once they have come whole; raises as `HeadReader` does."""
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._reader is None:
            if size := whole_request(data, self._limits):
                self._buffer += data[size:]
                return data[:size]
            self._reader = HeadReader(self._limits)
        try:
            whole = self._reader.receive_data(data)
        except BadHead as error:
            raise refuse_head(error) from None
        if whole is not None:
            self._buffer += self._reader.trailing
        return whole

    def check_behind(self) -> None:
        """Check what has come behind an opening: RFC 6455 section 4.1 has a client wait.

        Raises `BadRequest` (400) for more than `Limits.pipelined` bytes.
        """
        room = self._limits.pipelined
        if self.head is not None and self.head.is_opening and len(self._buffer) > room:
            raise malformed(f"more than {room} bytes behind an opening")

    # ---- the body ------------------------------------------------------------------------------

    @property
    def is_complete(self) -> bool:
        """Whether the request in work has come as a whole."""
        return self._body.complete

    @property
    def is_client_waiting(self) -> bool:
        """Whether the client holds the body back until it gets a 100."""
        return self._is_continue_due and not self._buffer

    @property
    def is_rest_short(self) -> bool:
        """Whether what is still to come of the request is known, short, and on its way."""
        left = self._body.left
        return left is not None and left <= self._http.drain and not self.is_client_waiting

    @property
    def may_persist(self) -> bool:
        """Whether a request may follow the one in work.

        A client that waits for a 100 and gets its answer instead may or may not send the body.
        """
        head = self.head
        if head is None or not head.keeps_alive or self.requests >= self._http.requests:
            return False
        can_come = bool(self._buffer) or not self.is_eof
        return can_come and self.is_rest_short

    def take_continue(self) -> bool:
        """Tell whether a 100 is due; the next time it is not."""
        is_due = self.is_client_waiting
        if is_due:
            self._is_continue_due = False
        return is_due

    def read_body(self) -> bytes:
        """Return what has come of the body of the request in work.

        Raises `BadRequest`, as `RequestBody.read`, and as `RequestBody.end` if no more can come.
        """
        data = self._body.read(self._buffer)
        if data:
            self._is_continue_due = False
        elif self.is_eof:
            self._body.end()
        return data

    def _body_of(self, framing: Framing) -> RequestBody:
        return RequestBody(
            framing, limit=self._http.body_size, header_count=self._limits.header_count
        )

    # ---- the next one --------------------------------------------------------------------------

    def forget(self) -> None:
        """Make ready for the next request."""
        self._reader = None
        self._body = self._no_body
        self._is_continue_due = False
        self.head = None
        self.method = "GET"

"""Plain HTTP over one Trio stream: what drives an `HttpConnection`.

`HttpLink` reads, writes and waits; what the bytes mean, and until when to wait, `HttpConnection`
says.  Over a `NonBlockingStream` a request that is here is read, and its answer written, without
a task switch.

One task reads at a time; others that want what comes wait until that one has taken something in,
and then one of them reads.  So a body can be read, an answer written, and the client's end waited
for, by as many tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from trio_wsendpoint.connection.heartbeat import HeartbeatTask
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.http import Response
from trio_wsendpoint.http import HttpConnection, HttpDate, HttpLimits, Phase, RequestHead
from trio_wsendpoint.options import Limits, Timeouts
from trio_wsendpoint.server.alarm import Alarm
from trio_wsendpoint.server.errors import ClientGone
from trio_wsendpoint.server.http_output import HttpOutput
from trio_wsendpoint.server.lingering import close_layers, end_bytes
from trio_wsendpoint.server.looks import Looks
from trio_wsendpoint.transport.any_tls import layers_of
from trio_wsendpoint.transport.sockets import non_blocking
from trio_wsendpoint.transport.waiters import Waiters

__all__ = ["HttpLink"]

#: Bytes asked of the stream at a time; of a body, where four times as many double the speed.
CHUNK = 16384
BODY_CHUNK = 65536
#: Calls that found what they needed without waiting, until other tasks run.
TURNS = 64

_IN_BODY = frozenset({Phase.BODY, Phase.EARLY})
_OVER = frozenset({Phase.LINGERING, Phase.CLOSED})

_LIMITS, _HTTP, _TIMEOUTS = Limits(), HttpLimits(), Timeouts()


class HttpLink:
    """The requests of one connection over `stream`, one after the other.

        while (head := await link.next_request()) is not None:
            exchange = Exchange(link, head)
            ...                                  # until the exchange is complete
        # the stream is closed

    `limits`, `http`, `timeouts`, `date`: as `HttpConnection`'s; `Timeouts.write` holds too.
    `since`: when the connection came, by Trio's clock; now, if it is None.
    `nursery`: where a task sends what the client does not take at once; see `HttpOutput`.
    `heartbeat`: keeps the deadlines, if it is given; then the link is to be closed or to `switch`.
    `on_refusal`: called with each `BadRequest` that ends the connection, before it is answered.

    A link whose method was cancelled, or raised, is to be closed with `aclose`, unless that says
    otherwise.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        limits: Limits = _LIMITS,
        http: HttpLimits = _HTTP,
        timeouts: Timeouts = _TIMEOUTS,
        date: HttpDate | None = None,
        since: float | None = None,
        nursery: trio.Nursery | None = None,
        heartbeat: HeartbeatTask | None = None,
        on_refusal: Callable[[BadRequest], object] | None = None,
    ) -> None:
        self.stream = stream
        self.nursery = nursery
        now = trio.current_time() if since is None else since
        #: What the bytes mean.
        self.http = HttpConnection(limits=limits, http=http, timeouts=timeouts, now=now, date=date)
        #: Why nothing more comes or leaves; None until the stream has broken, or was closed.
        self.lost: ClientGone | None = None
        self._on_refusal = on_refusal
        self._layers = layers_of(stream)
        self._source = stream  # what is read from: below TLS once our own bytes have ended
        self._transport = non_blocking(stream)
        self._output = HttpOutput(
            stream, self._transport, nursery, timeouts.write, on_idle=self.wake, on_loss=self._lose
        )
        self._reader: Callable[[], object] | None = None  # wakes the one task that reads
        #: What the heartbeat task knows of it.
        self.alarm = None if heartbeat is None else Alarm(heartbeat, self.wake, self.abort)
        self._news = Waiters()
        self._turns = 0
        self._looks = Looks(self.look)

    # ---- what it tells -------------------------------------------------------------------------

    @property
    def trailing(self) -> bytes:
        """What has come behind the request in work."""
        return self.http.trailing

    @property
    def is_gone(self) -> bool:
        """Whether the client is known to send nothing more: it has ended its bytes, or is lost."""
        return self.http.is_eof or self.lost is not None

    # ---- requests ------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def next_request(self) -> RequestHead | None:
        """Return the head of the next request; None once the connection is over, and closed.

        What is wrong with a request, or late, is answered here.  An idle connection is closed at
        its deadline, and as soon as the link is to `stop`, after a last look at the stream.  The
        last answer arrives: our bytes are ended first, and the client's are read and dropped.

        If cancelled, no byte of a request is lost, and it can be called again.
        """
        while True:
            await self.breathe()
            try:
                now = trio.current_time()
                head = None if self.lost else self.http.next_request(now)
                has_come = False
                if head is None and self.http.phase not in _OVER:
                    has_come = self._looks.try_one(is_last=self.http.is_stopping)
                if has_come and self.lost is None:
                    head = self.http.next_request(now)
                if head is not None:
                    return head
                if self.lost is not None or self.http.phase is Phase.CLOSED:
                    break
                if self.http.phase is Phase.LINGERING:
                    await self._linger()
                    break
                if not has_come:
                    await self._wait_for_request()
            except BadRequest as error:
                await self.refuse(error)
        if self.http.phase is Phase.CLOSED:
            await self._output.wait_idle()
        await self.aclose()
        return None

    async def _wait_for_request(self) -> None:
        """Wait for bytes of a request, or of the body that is dropped, until they are late."""
        http = self.http
        is_idle = http.phase is Phase.IDLE
        if is_idle and http.is_stopping:
            http.close()
            return
        await self.wait(http.deadline)
        now = trio.current_time()
        # A request may have come in the moment when the connection was to be closed.
        if now >= http.deadline and not (is_idle and self.look()):
            http.expire(now)

    async def refuse(self, error: BadRequest) -> None:
        """Tell `on_refusal` of `error`, and answer it as the last word, as `end_with`."""
        if self._on_refusal is not None:
            self._on_refusal(error)
        await self.end_with(error.response)

    async def end_with(self, response: Response) -> None:
        """Answer `response` as the last word; if an answer has begun, cut it off."""
        await self._output.wait_idle()
        if self.lost is None:
            await self._output.send(self.http.refuse(response, trio.current_time()))
        self.wake()

    async def switch(self, response: Response) -> None:
        """Answer an opening with the 101 `response`, and wait until that has left.

        Afterwards the stream speaks another protocol; `trailing` is the beginning of it.  Raises
        `WrongOrder` if no opening is in work, `ClientGone` if the stream broke.  If cancelled,
        close the link.
        """
        if self.alarm is not None:
            self.alarm.stop()
        await self.write(lambda: self.http.switch(response))
        await self._output.wait_idle()
        if self.lost is not None:
            raise self.lost

    def stop(self) -> None:
        """Make each answer the last one, and end the connection if it is idle."""
        self.http.stop()
        self.wake()

    def abort(self) -> None:
        """End the connection at once: an answer that is not complete is cut off.

        Tasks that read or write get `ClientGone`.
        """
        if self.lost is None:
            self.lost = ClientGone("the connection was closed by the server")
        self.http.close()
        self._output.drop()
        if self.alarm is not None:
            self.alarm.stop()
        self.wake()

    async def aclose(self) -> None:
        """Close the stream, and what is below it, at once; closing again is no error."""
        self.abort()
        await close_layers(self._layers)

    # ---- for an exchange -----------------------------------------------------------------------

    async def breathe(self) -> None:
        """Be a cancel point; once in 64 calls, let other tasks run."""
        self._turns += 1
        if self._turns % TURNS:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()

    async def write(self, make: Callable[[], bytes]) -> None:
        """Write what `make` returns, once what was written before has left.

        If cancelled, `make` was not called, or else what it returned leaves all the same.  Raises
        what `make` raises, and `ClientGone` if the stream has broken.
        """
        await self._output.wait_idle()
        if self.lost is not None:
            raise self.lost
        await self._output.send(make())
        if self.lost is not None:
            raise self.lost

    def look(self) -> bool:
        """Take in what has come, without waiting; return whether anything has.

        The end of the bytes, and the loss of the stream, count.  False over a stream that has to
        wait, and when enough is held.  Raises `BadRequest` as `HttpConnection.receive_data`.
        """
        transport = self._transport
        if transport is None or not self._wants_data:
            return False
        try:
            data = transport.receive_nowait(self._chunk)
        except Exception as error:  # noqa: BLE001 - the stream's failure is the connection's
            self._lose(error)
            return True
        if data is not None:
            self._take(data)
            self.wake()
        return data is not None

    @trio.lowlevel.enable_ki_protection
    async def wait(self, deadline: float = math.inf) -> None:
        """Wait until something has come, or until `deadline`; may return early.

        Raises `BadRequest` as `HttpConnection.receive_data`.
        """
        is_free = self._reader is None and self._wants_data
        if is_free and self._transport is not None and self.alarm is not None:
            self.alarm.set(deadline)
            await self._read_as_the_one(self._transport.interrupt)
        else:
            with trio.CancelScope(deadline=deadline) as scope:
                await (self._read_as_the_one(scope.cancel) if is_free else self._news.wait())

    async def _read_as_the_one(self, interrupt: Callable[[], object]) -> None:
        self._reader = interrupt
        try:
            await self._read()
        finally:
            self._reader = None
            self._tell()

    def wake(self) -> None:
        """Make every task that waits return."""
        if self._reader is not None:
            self._reader()
        self._tell()

    def _tell(self) -> None:
        if self._news.count:
            self._news.wake_all()

    # ---- bytes in ------------------------------------------------------------------------------

    @property
    def _wants_data(self) -> bool:
        return self.lost is None and self.http.wants_data

    @property
    def _chunk(self) -> int:
        return BODY_CHUNK if self.http.phase in _IN_BODY else CHUNK

    async def _read(self) -> None:
        try:
            if self._transport is None:
                data: bytes | None = bytes(await self._source.receive_some(self._chunk))
            else:
                await self._transport.wait_readable()
                data = None if self.lost else self._transport.receive_nowait(self._chunk)
        except Exception as error:  # noqa: BLE001 - the stream's failure is the connection's
            self._lose(error)
            return
        if data is not None:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if data:
            self.http.receive_data(data, trio.current_time())
        else:
            self.http.receive_eof()

    def _lose(self, error: Exception) -> None:
        if self.lost is None:
            self.lost = ClientGone(f"the client is gone: {error}")
            self.lost.__cause__ = error
            self._output.drop()
        self.wake()

    # ---- the end -------------------------------------------------------------------------------

    async def _linger(self) -> None:
        """End our bytes; read and drop the client's, until they end or have had their time.

        A client may read nothing before it has sent all: its bytes are dropped from the beginning.
        """
        http = self.http
        while not self._output.is_idle:
            await self.breathe()
            if not self.look():
                await self.wait()
        if self.lost is not None or http.phase is not Phase.LINGERING:
            return
        http.linger(trio.current_time())
        with trio.move_on_at(http.deadline):
            while self._reader is not None:  # a task that waited for the client's end leaves
                await self._news.wait()
            try:
                self._source = await end_bytes(self._layers)
            except Exception as error:  # noqa: BLE001 - the stream's failure is the connection's
                self._lose(error)
        self._transport = non_blocking(self._source)
        while self.lost is None and self.http.phase is Phase.LINGERING:
            await self.breathe()
            if not self.look():
                await self.wait(http.deadline)
            if trio.current_time() >= http.deadline:
                http.expire(trio.current_time())

"""The first bytes of an accepted stream: one head, what comes behind it, and its answer.

What takes no waiting is done without: most requests are here when they are looked for, and there
is room for the answer.
"""

from __future__ import annotations

import trio

from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.handshake.head import BadHead, HeadReader, whole_request
from trio_wsendpoint.handshake.refusal import refuse, refuse_head
from trio_wsendpoint.opening.exchange import CHUNK, lost, send
from trio_wsendpoint.options import Limits
from trio_wsendpoint.transport.sockets import non_blocking

__all__ = ["FirstBytes", "Over"]


class Over(HandshakeError):
    """The stream has ended, and nothing is to be told: a health check, plain requests."""


class FirstBytes:
    """Reads and writes `stream`, until something else does.

    Each method without a wait returns what it could do; the one that waits is to be called for the
    rest.  They raise `HandshakeError` when the client has gone.
    """

    __slots__ = ("_limits", "_reader", "_stream", "trailing", "transport", "what")

    def __init__(self, stream: trio.abc.Stream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._reader: HeadReader | None = None  # of a head that has not come at once
        #: What has come behind the head.
        self.trailing = b""
        #: The non-blocking form of the stream, if it has one.
        self.transport = non_blocking(stream)
        # What the end of the stream comes before; set by `head_nowait`.
        self.what = "before its request was read"

    def head_nowait(self, *, is_probe: bool = False) -> bytes | None:
        """Return the head if it is here; raises `BadRequest` for what is none.

        `is_probe`: a proxy speaks for itself, so that an end before the first byte is that of a
        health check: it raises `Over`.
        """
        head: bytes | None = None
        while head is None:
            data = self._receive_nowait(CHUNK, is_probe)
            if data is None:
                return None
            head = self._feed(data)
        return head

    async def head(self, is_probe: bool) -> bytes:
        """Wait for the head; raises as `head_nowait`."""
        head: bytes | None = None
        while head is None:
            # While we wait, nothing holds what has come but the reader.
            head = self._feed(await self._receive(CHUNK, is_probe))
        return head

    def _feed(self, data: bytes) -> bytes | None:
        """Return the head once `data` completes it; nearly every head comes at once."""
        size = whole_request(data, self._limits) if self._reader is None else 0
        head: bytes | None
        if size:
            head, self.trailing = data[:size], data[size:]
        else:
            reader = self._reader = self._reader or HeadReader(self._limits)
            try:
                head = reader.receive_data(data)
            except BadHead as error:
                raise refuse_head(error) from None
            self.trailing = reader.trailing
        if head is not None:
            self.what = "before its answer"
            self._reader = None
        return head

    def forget(self) -> None:
        """Hold nothing any more: something else reads the stream."""
        self.trailing = b""

    def check_behind(self) -> None:
        """Raise `BadRequest` (400) for more than `Limits.pipelined` bytes behind the head."""
        size = self._limits.pipelined
        if len(self.trailing) > size:
            raise refuse(400, f"more than {size} bytes behind the request (Limits.pipelined)")

    async def read_on(self) -> None:
        """Take in what comes behind the head; more than `Limits.pipelined` stays where it is."""
        room = self._limits.pipelined - len(self.trailing)
        if room <= 0:
            await trio.sleep_forever()
        self.trailing += await self._receive(room)

    def _receive_nowait(self, at_most: int, is_probe: bool) -> bytes | None:
        try:
            data = None if self.transport is None else self.transport.receive_nowait(at_most)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._lost(error, is_probe) from error
        return data if data is None else self._checked(data, is_probe)

    async def _receive(self, at_most: int, is_probe: bool = False) -> bytes:
        transport = self.transport
        try:
            if transport is None:
                data = bytes(await self._stream.receive_some(at_most))
            else:
                while (came := transport.receive_nowait(at_most)) is None:
                    await transport.wait_readable()
                data = came
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._lost(error, is_probe) from error
        return self._checked(data, is_probe)

    def _checked(self, data: bytes, is_probe: bool) -> bytes:
        if data:
            return data
        raise self._over(is_probe) or HandshakeError(
            f"the client closed the connection {self.what}"
        )

    def _lost(self, error: Exception, is_probe: bool) -> HandshakeError:
        return self._over(is_probe) or lost(error)

    def _over(self, is_probe: bool) -> Over | None:
        """Return what tells of a health check, which asks nothing; None if this is none."""
        has_begun = self._reader is not None and self._reader.held
        return Over("a health check") if is_probe and not has_begun else None

    def send_nowait(self, data: bytes) -> int:
        """Send the beginning of `data`, and return its length."""
        if self.transport is None:
            return 0
        try:
            return self.transport.send_nowait(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise lost(error) from error

    async def send(self, data: bytes) -> None:
        """Send `data`, the rest of an answer."""
        await send(self._stream, data)

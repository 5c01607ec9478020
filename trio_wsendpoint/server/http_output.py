"""The bytes that one plain HTTP connection writes: committed without waiting, sent as a whole.

What has been committed leaves, whichever task is cancelled: a task of the server's nursery sends
what the stream does not take at once.  So a write that is cancelled has written nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_wsendpoint.errors import PeerTooSlow
from trio_wsendpoint.transport.streams import NonBlockingStream
from trio_wsendpoint.transport.waiters import Waiters

__all__ = ["HttpOutput"]

#: Bytes given at a time to a stream that does not tell how many of them the peer has taken: even
#: a slow peer takes so many within `Timeouts.write`.
PIECE = 4096


class HttpOutput:
    """Writes to one `stream`, of which `transport` is the non-blocking form, or None.

    `nursery`: where a task sends what the stream does not take at once.  With None the caller of
    `send` sends it: if that is cancelled, the output is torn, and nothing can follow.
    `patience`: seconds in which the peer must take something (`Timeouts.write`).
    `on_idle`: called when nothing waits any more.  `on_loss`: called with why, when the stream
    broke, raised what no stream should, or is torn: send nothing after that.
    """

    __slots__ = (
        "_nursery",
        "_on_idle",
        "_on_loss",
        "_patience",
        "_room",
        "_stream",
        "_transport",
        "_unsent",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        transport: NonBlockingStream | None,
        nursery: trio.Nursery | None,
        patience: float,
        *,
        on_idle: Callable[[], object],
        on_loss: Callable[[Exception], object],
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._nursery = nursery
        self._patience = patience
        self._on_idle = on_idle
        self._on_loss = on_loss
        self._unsent = memoryview(b"")
        self._room = Waiters()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._unsent

    async def wait_idle(self) -> None:
        """Wait until nothing waits to be sent, or all that waited was dropped."""
        while self._unsent:
            await self._room.wait()

    async def send(self, data: bytes) -> None:
        """Send `data`, which leaves as a whole: call it while the output `is_idle`.

        With a nursery it does not wait.  A stream that breaks is told to `on_loss`.
        """
        if not data:
            return
        self._commit(data)
        if self._unsent and self._nursery is not None:
            self._nursery.start_soon(self._send_rest)
        elif self._unsent:
            try:
                await self._send_rest()
            except BaseException:
                self._fail(trio.BrokenResourceError("sending was cancelled within an answer"))
                raise

    def drop(self) -> None:
        """Forget what waits."""
        self._unsent = memoryview(b"")
        self._room.wake_all()

    def _commit(self, data: bytes) -> None:
        """Take `data`, and send as much of it as takes no waiting."""
        sent = 0
        if self._transport is not None:
            try:
                sent = self._transport.send_nowait(data)
            except Exception as error:  # noqa: BLE001 - it is told
                self._fail(error)
                return
        self._unsent = memoryview(data)[sent:]

    @trio.lowlevel.enable_ki_protection
    async def _send_rest(self) -> None:
        """Send what waits, as long as the peer takes something in time."""
        while self._unsent:
            sent = 0
            try:
                with trio.move_on_after(self._patience):
                    sent = await self._send_some(self._unsent)
            except Exception as error:  # noqa: BLE001 - it is told
                self._fail(error)
                return
            if not sent:
                self._fail(PeerTooSlow(f"the client took nothing within {self._patience:g} s"))
                return
            self._unsent = self._unsent[sent:]
            if self._unsent:
                await trio.lowlevel.checkpoint()  # a client that takes all starves no other
        self._room.wake_all()
        self._on_idle()

    async def _send_some(self, data: memoryview) -> int:
        transport = self._transport
        if transport is None:
            piece = data[:PIECE]
            await self._stream.send_all(piece)
            return len(piece)
        while not (sent := transport.send_nowait(data)):
            await transport.wait_writable()
        return sent

    def _fail(self, error: Exception) -> None:
        self.drop()
        self._on_loss(error)

"""TLS without waiting, over a stream that need not wait either.

OpenSSL works in memory here: it never sees a descriptor, so none can be closed
while it uses it, and what of its bytes the system has not taken yet is ours to keep.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from typing import Any, cast

import trio

from trio_wsendpoint.transport.streams import CHUNK, NonBlockingStream, StreamMethods
from trio_wsendpoint.transport.tls_stage import Stage, is_end
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["TLSTransport"]

#: Bytes of plaintext in a TLS record at most.
RECORD = 16384
#: Bytes of TLS's own answers that wait because the peer does not read, before it is given up.
MAX_ANSWERS = 65536


_HANDSHAKE, _OPEN, _RENEGOTIATING = Stage.HANDSHAKE, Stage.OPEN, Stage.RENEGOTIATING
_ENDED, _FAILED, _CLOSED = Stage.ENDED, Stage.FAILED, Stage.CLOSED


class TLSTransport(StreamMethods):
    """TLS over `stream`, one end of it; `transport` is its non-blocking form.

    `transport_stream` is `stream` itself.  `do_handshake()` comes first; if cancelled, it can be
    called again, as can everything else.  A TLS error is a `trio.BrokenResourceError`, whose
    cause says what is wrong, and nothing goes through afterwards.

    The peer's end is `b""` whether or not it said so (close_notify): where a conversation ends
    is told by Close frames, and a message that was cut is no message.  Its KeyUpdates are
    answered.  A renegotiation, which TLS 1.2 has, goes on when we read; sending waits for it.
    """

    __slots__ = (
        "_answers",
        "_backlog",
        "_failure",
        "_held",
        "_incoming",
        "_left",
        "_outgoing",
        "_stage",
        "_tls",
        "_transport",
        "transport_stream",
    )

    def __init__(
        self,
        stream: trio.abc.Stream,
        transport: NonBlockingStream,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__()
        self.transport_stream = stream
        self._transport = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
        )
        self._backlog = b""  # ciphertext that `transport` has not taken
        self._left = 0  # bytes of plaintext of a record that was read in part
        self._held = 0  # bytes of plaintext whose end is in it, which are not counted as taken
        self._answers = Waiter()  # a sender waits here for the peer to go on with a handshake
        # Moved by what meets it first: `do_handshake`, `send_nowait`, `receive_nowait`, `_fail`,
        # `_end`.
        self._stage = Stage.HANDSHAKE
        self._failure: Exception | None = None  # why it is FAILED

    # ---- without waiting ---------------------------------------------------------------------

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        """Return what the peer has sent, decrypted; `b""` at the end, None if none is here."""
        stage = self._stage
        if stage is not _OPEN:
            self._check()
            if stage is _ENDED:
                return b""
        incoming, tls = self._incoming, self._tls
        if not incoming.pending and not self._left and not self._feed():
            return None
        pieces: list[bytes] = []
        self._left = 0
        try:
            while max_bytes > 0:
                asked = min(max_bytes, RECORD)
                piece = tls.read(asked)
                if not piece:
                    self._stage = _ENDED
                    break
                pieces.append(piece)
                size = len(piece)
                # A record of which there is more fills what was asked for.
                self._left = tls.pending() if size == asked else 0
                if not incoming.pending and not self._left:
                    break
                max_bytes -= size
        except ssl.SSLError as error:
            self._note(error)
        if stage is _RENEGOTIATING:
            self._note_answer()
        if self._outgoing.pending:
            self._answer()
        if len(pieces) == 1:
            return pieces[0]
        if not pieces and not self._is_at(_ENDED):
            self._check()
            return None
        return b"".join(pieces)

    def _is_at(self, stage: Stage) -> bool:
        # Another call has moved it perhaps, which a type checker does not see.
        return self._stage is stage

    def _note(self, error: ssl.SSLError) -> None:
        """Note what TLS raised when it was read: there is no more for now, none at all, or ever."""
        if isinstance(error, ssl.SSLWantReadError):
            return
        if is_end(error):
            self._stage = _ENDED
        else:
            self._fail(error)

    def _feed(self) -> bool:
        """Give TLS what has come; return whether there was anything, the end included."""
        data = self._transport.receive_nowait(CHUNK)
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True

    def _note_answer(self) -> None:
        """Note that TLS may take something of ours again, and wake the sender that waits."""
        if self._stage is _RENEGOTIATING:
            self._stage = _OPEN
        self._answers.wake()

    def _answer(self) -> None:
        """Send what TLS answers to what has come."""
        self._try_to_flush()
        if len(self._backlog) > MAX_ANSWERS:
            self._fail(ssl.SSLError("the peer does not read what TLS answers"))

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Encrypt and send the beginning of `data`; what the system holds counts as taken.

        After less than all of `data`, what is given next must begin with the rest of it.
        """
        if self._stage is not _OPEN:
            self._check()
        if self._backlog and not self._flush():
            return 0
        size = len(data)
        sent, self._held = self._held, 0
        try:
            while sent < size:
                piece = data if size - sent <= RECORD and not sent else data[sent : sent + RECORD]
                written = self._tls.write(piece)
                if not self._flush():
                    # It is all encrypted, and will be written; not before that is it counted,
                    # or the caller would not come again with the rest.
                    self._held = written
                    break
                sent += written
        except ssl.SSLWantReadError as error:
            if self._stage is _ENDED:
                raise trio.BrokenResourceError("the peer ended in a handshake of TLS") from error
            self._stage = _RENEGOTIATING
        except ssl.SSLError as error:
            self._fail(error)
            self._check()
        return sent

    def _flush(self) -> bool:
        """Send what TLS has written, as far as that takes no waiting; return whether it is all."""
        data = self._outgoing.read()
        if self._backlog:
            data = self._backlog + data
        if data:
            self._backlog = data[self._transport.send_nowait(data) :]
        return not self._backlog

    def _check(self) -> None:
        stage = self._stage
        if stage is _CLOSED:
            raise trio.ClosedResourceError("this stream was already closed")
        if stage is _FAILED:
            raise trio.BrokenResourceError("TLS has failed") from self._failure

    def _fail(self, error: ssl.SSLError) -> None:
        """Let nothing go through any more but the alert that tells the peer of `error`."""
        self._failure = error
        self._stage = _FAILED
        self._try_to_flush()

    def _try_to_flush(self) -> None:
        """Send what TLS has written if the stream takes it; sending will find out if it broke."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            self._flush()

    # ---- waiting -----------------------------------------------------------------------------

    async def wait_readable(self) -> None:
        """Wait until there is something to read, at once if it is in here already.

        If cancelled: nothing has changed.
        Raises: `trio.BrokenResourceError`, `trio.ClosedResourceError`; as the stream below.
        """
        self._check()
        if self._incoming.pending or self._left or self._is_at(_ENDED):
            await trio.lowlevel.checkpoint()
        else:
            await self._transport.wait_readable()

    async def wait_writable(self) -> None:
        """Wait until the stream below takes more, or for the peer in the midst of a handshake.

        If cancelled: nothing has changed.
        Raises: as `wait_readable`.
        """
        self._check()
        if self._stage is _RENEGOTIATING:
            await self._answers.wait()
        else:
            await self._transport.wait_writable()

    def interrupt(self) -> None:
        """Wake the tasks that wait."""
        self._answers.wake()
        self._transport.interrupt()

    # What the handshake has found out, asked as of a `trio.SSLStream`.

    def version(self) -> str | None:
        """Return the version that is spoken, as `TLSv1.3`; None before the handshake."""
        return self._tls.version()

    def cipher(self) -> tuple[str, str, int] | None:
        """Return the cipher: its name, the version that defines it, its secret bits."""
        return self._tls.cipher()

    def getpeercert(self, binary_form: bool = False) -> Mapping[str, Any] | bytes | None:
        """Return the peer's certificate as `ssl.SSLSocket.getpeercert` does."""
        return cast("Mapping[str, Any] | bytes | None", self._tls.getpeercert(binary_form))

    async def do_handshake(self) -> None:
        """Do the opening handshake; once it is done, nothing.

        If cancelled: a further call goes on with it.
        Raises: `trio.BrokenResourceError` if TLS with this peer is not possible.
        """
        await trio.lowlevel.checkpoint()
        self._check()
        while self._is_at(_HANDSHAKE):
            try:
                self._tls.do_handshake()
                self._stage = Stage.OPEN
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self._fail(error)
                self._check()
            is_ready = not self._is_at(_HANDSHAKE)
            if is_ready and self._tls.server_side and self._tls.version() == "TLSv1.3":
                break  # nothing waits but tickets for the next session, which go with the answer
            while not self._flush():
                await self._transport.wait_writable()
            while self._is_at(_HANDSHAKE) and not self._feed():
                await self._transport.wait_readable()

    # ---- its end -----------------------------------------------------------------------------

    async def end(self) -> None:
        """Say that nothing follows (close_notify), and wait until that is sent.

        The peer's bytes have not ended by that, but only the stream below can still read them.

        If cancelled: a part of it was sent.
        Raises: as the stream below.
        """
        self._write_end()
        while not self._flush():
            await self._transport.wait_writable()

    def _write_end(self) -> None:
        if self._stage is not _CLOSED and self._stage is not _FAILED:
            with contextlib.suppress(ssl.SSLError):  # the peer has not said so yet, for one
                self._tls.unwrap()

    async def aclose(self) -> None:
        """Say that nothing follows (close_notify), if that takes no waiting, and close.

        The stream below is closed whatever it raises when it is written to.

        If cancelled: it is closed as the stream below is.
        Raises: as the stream below.
        """
        try:
            self._end()
        finally:
            await self._transport.aclose()

    def close_nowait(self) -> bool:
        """Close as `aclose` does; False if the stream below has to wait for it."""
        try:
            self._end()
        except BaseException:
            self._transport.close_nowait()
            raise
        return self._transport.close_nowait()

    def _end(self) -> None:
        try:
            # What goes wrong with the last word is told by nobody: there is no later call.
            with contextlib.suppress(Exception):
                self._write_end()
                if self._stage is not _CLOSED:
                    self._flush()
        finally:
            self._stage = _CLOSED
            self._answers.wake()

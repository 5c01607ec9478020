"""permessage-deflate as one connection uses it: a `MessageExtension` (RFC 7692 section 7.2).

`PerMessageDeflate` joins a `Deflater` and an `Inflater`, whose modules say what each promises.
Of the methods only `feed` and `read` judge what the peer sent: they raise `InvalidPayload` (1007),
and `PolicyViolation` (1008) for what inflates more than `Deflate.max_ratio` times.

Memory: nothing until a direction is first used.  Then, with zlib and the default options, 36 KiB
for the compressor, which `release` drops, and 11 KiB for the inflater, which stays as long as the
peer keeps its context; the window bits decide (see `engine`).  A direction without context
takeover holds nothing between messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from trio_wsendpoint.extensions.deflate_options import DeflateOptions
from trio_wsendpoint.extensions.deflater import Deflater
from trio_wsendpoint.extensions.engine import load_engine
from trio_wsendpoint.extensions.inflater import Inflater

__all__ = ["DeflateStatistics", "PerMessageDeflate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateStatistics:
    """Bytes of payload of the compressed messages so far; uncompressed ones do not count.

    A message for many connections counts only where it was compressed.
    """

    sent_plain: int
    sent_compressed: int
    received_compressed: int
    received_plain: int


class PerMessageDeflate:
    """The compression that one connection has agreed on.

    `agreed` holds what came out of the negotiation, in the words of the options.
    """

    __slots__ = ("_deflater", "_inflater", "_threshold", "agreed")

    def __init__(self, agreed: DeflateOptions) -> None:
        engine = load_engine(agreed.engine)
        self.agreed = agreed
        self._threshold = agreed.threshold
        self._deflater = Deflater(
            engine,
            level=agreed.level,
            window_bits=agreed.window_bits,
            memory_level=agreed.memory_level,
            context_takeover=agreed.context_takeover,
        )
        self._inflater = Inflater(
            engine,
            window_bits=agreed.peer_window_bits,
            context_takeover=agreed.peer_context_takeover,
            max_ratio=agreed.max_ratio,
        )

    @property
    def rsv(self) -> int:
        """RSV1, the "Per-Message Compressed" bit (section 6)."""
        return 0b100

    @property
    def sharing_key(self) -> object | None:
        """A key: connections with equal keys encode a message into the same bytes.

        It is None with context takeover, because then the messages before decide as well.
        """
        agreed = self.agreed
        if agreed.context_takeover:
            return None
        return agreed.engine, agreed.level, agreed.window_bits, agreed.memory_level

    def wants(self, type: str, size: int) -> bool:
        """Tell whether a message of `size` bytes is large enough to be compressed."""
        return size >= self._threshold

    def encode(
        self, data: bytes | bytearray | memoryview, *, final: bool, flush: bool = False
    ) -> bytes:
        """Encode the next piece of the outgoing message; `final` ends the message.

        Send all of the result, perhaps empty, in order, and end a message that was begun.  With
        `flush` the peer can decode all that it got so far.
        """
        return self._deflater.encode(data, final=final, flush=flush)

    def abandon(self) -> None:
        """Forget an outgoing message that was begun, of which nothing was or will be sent.

        Otherwise end it with `encode(b"", final=True)`, or fail the connection.
        """
        self._deflater.abandon()

    def feed(self, data: bytes, *, final: bool) -> None:
        """Take the next piece of the incoming message's wire payload; `final` ends it."""
        self._inflater.feed(data, final=final)

    def read(self, size: int) -> bytes | None:
        """Return at most `size` (> 0) decoded bytes; None when all that was fed has been read.

        `b""` says that nothing has come out yet.  Raises `InvalidPayload` at what does not decode,
        and `PolicyViolation` at what inflates too much.
        """
        return self._inflater.read(size)

    def release(self) -> None:
        """Drop the compressor, unless a message is half encoded; the inflater's context stays.

        It is called when no message has passed for a while, and renews what the peer's messages may
        cost.
        """
        self._deflater.release()
        self._inflater.renew(1.0)

    def renew(self, seconds: float) -> None:
        """Renew what the peer's messages may cost, for `seconds` that have passed: 16 MiB each."""
        self._inflater.renew(seconds)

    @property
    def statistics(self) -> DeflateStatistics:
        """The bytes of both directions, before and after."""
        return DeflateStatistics(
            sent_plain=self._deflater.bytes_in,
            sent_compressed=self._deflater.bytes_out,
            received_compressed=self._inflater.bytes_in,
            received_plain=self._inflater.bytes_out,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.agreed!r})"

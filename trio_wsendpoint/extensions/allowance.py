"""What one peer's compressed messages may cost, by what they inflate to.

Inflating costs CPU time for each byte that comes out, not for each that came in: 1 KiB may become
1 MiB.  So the peer has an account, in bytes of output: each byte of input earns `ratio`, each byte
of output is paid for, and at most `SAVED` can be saved.  A peer whose messages inflate less than
`ratio` times never notices.  Time renews the account too: a peer that sends little costs little,
however well it compresses.

A DEFLATE stream that ends inside a message costs a new one, and is paid for as `END` bytes; the
first in a message is free, because there are senders that end each message so (RFC 7692 section
7.2.3.4).
"""

from __future__ import annotations

__all__ = ["BLOCK", "SAVED", "Allowance"]

#: Bytes of a message's input after which the account is settled; it is settled at its end, too.
BLOCK = 8 * 1024

#: Bytes of output that can be saved, and that a second renews.  16 MiB take zlib 35 ms.
SAVED = 16 * 1024 * 1024

#: Bytes of output that a new stream is counted as.  It takes zlib as long as 0.4 KiB, ISA-L as 2.
END = 1024


class Allowance:
    """The account of one peer; `ratio` is the bytes of output that a byte of input earns."""

    __slots__ = ("_has_ended", "_saved", "_spent", "ratio")

    def __init__(self, ratio: int) -> None:
        self.ratio = ratio
        self._saved = SAVED
        self._spent = 0  # since the account was settled
        self._has_ended = False  # a stream has ended in this message

    def spend(self, size: int, *, stream_ends: bool) -> None:
        """Note `size` bytes of output; `stream_ends` says that a stream has ended with them."""
        self._spent += size
        if stream_ends:
            if self._has_ended:
                self._spent += END
            self._has_ended = True

    def settle(self, size: int, *, ends: bool) -> bool:
        """Pay for what was spent, of which `size` bytes of input came; return whether that was had.

        `ends` says that the message has ended.
        """
        saved = self._saved + self.ratio * size - self._spent
        self._spent = 0
        if ends:
            self._has_ended = False
        self._saved = min(saved, SAVED)
        return saved >= 0

    def renew(self, seconds: float) -> None:
        """Save as much again as `seconds` are worth."""
        self._saved = min(self._saved + int(seconds * SAVED), SAVED)

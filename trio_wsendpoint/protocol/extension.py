"""What an extension of messages is to the endpoint (RFC 6455 section 9).

It stands in `protocol/`, below those who implement it (`extensions/`) and those who negotiate it
(`handshake/`), so that each of them imports downwards.  The endpoint promises to call it so:

* outgoing: `wants` once a message, and if true `encode` for each piece, the last with `final`;
  the first frame carries `rsv`; what `encode` returns is sent, or nothing is ever sent again;
* incoming, for a message whose first frame carries `rsv`: `feed` for each piece of wire payload
  as it comes, the last with `final`, and after each `feed` as many `read` as it takes to get
  None; never another `feed` before that.  Between two `read` other tasks may run, so one `read`
  should take no longer than a few milliseconds: what takes longer returns `b""` in between;
* messages never interleave, in either direction.

An extension may also have a property `sharing_key`.  Where it is not None, a message for many
endpoints is encoded, by `encode`, once for all whose extensions have an equal key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["ExtensionNegotiator", "ExtensionParameters", "MessageExtension"]

#: The parameters of one offer or answer, in their order; a parameter without a value has None.
ExtensionParameters = Sequence[tuple[str, str | None]]


class MessageExtension(Protocol):
    """One negotiated extension of one connection: turns payloads into other payloads."""

    @property
    def rsv(self) -> int:
        """The reserved bits (RSV1 is 0b100) that mark the first frame of an encoded message."""
        ...

    def wants(self, type: str, size: int) -> bool:
        """Tell whether a message of this type and size (bytes) is worth encoding."""
        ...

    def encode(
        self, data: bytes | bytearray | memoryview, *, final: bool, flush: bool = False
    ) -> bytes:
        """Encode the next piece of the outgoing message; `final` ends the message.

        Without `final` it may keep some or all of it back, unless `flush` is set: then all that
        was given can be decoded from what was returned.
        """
        ...

    def feed(self, data: bytes, *, final: bool) -> None:
        """Take the next piece of the incoming message's wire payload; `final` ends it."""
        ...

    def read(self, size: int) -> bytes | None:
        """Return at most `size` (> 0) decoded bytes; None when all that was fed has been read.

        Before the end it may return fewer bytes, or none.  Raises `InvalidPayload` at the first
        byte that does not decode, and for a message that was cut short, in the read that finds
        nothing more; or another `PeerError`, for a limit of the extension's own.
        """
        ...

    def release(self) -> None:
        """Free what can be made again: nothing has been sent or received for a while."""
        ...


class ExtensionNegotiator(Protocol):
    """One extension that we are willing to use, before any connection has agreed to it."""

    @property
    def name(self) -> str:
        """The registered token, as `permessage-deflate`."""
        ...

    def offers(self) -> Sequence[ExtensionParameters]:
        """Return the client's offers of it, the preferred one first."""
        ...

    def accept_offer(
        self, parameters: ExtensionParameters
    ) -> tuple[ExtensionParameters, MessageExtension] | None:
        """Return the server's answer to one offer and what it makes of it; None declines."""
        ...

    def accept_answer(self, parameters: ExtensionParameters) -> MessageExtension:
        """Return what the client makes of the server's answer.

        Raises `BadResponse` for parameters that do not answer what was offered, before anything
        is allocated.
        """
        ...

"""What an extension of messages is to the endpoint (RFC 6455 section 9).

These protocols are in `protocol/`, below `extensions/`, which implements them, and `handshake/`,
which negotiates them: so imports point down.  The endpoint promises to call an extension so:

* outgoing: `wants` once for a message, and if that is true `encode` for each piece, the last with
  `final`.  The first frame carries `rsv`.  What `encode` returns is sent, or nothing is sent ever
  after;
* incoming, for a message whose first frame carries `rsv`: `feed` for each piece of wire payload
  as it comes, the last with `final`; and after each `feed`, before the next, `read` until that
  returns None.  Other tasks may run between two `read`.  So one `read` takes no longer than a few
  milliseconds: work that takes longer returns `b""` in between;
* messages never interleave, in either direction.

An extension may also have a property `sharing_key`.  If it is not None, a message for many
endpoints is encoded once for all endpoints whose extensions have an equal key.
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

        Without `final` the extension may keep some or all of it back.  With `flush` all that was
        given can be decoded from what was returned.
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
        """Free what can be made again, when no message has passed for a while."""
        ...


class ExtensionNegotiator(Protocol):
    """One extension that this side is willing to use; connections negotiate it."""

    @property
    def name(self) -> str:
        """The registered token, as `permessage-deflate`."""
        ...

    def offers(self) -> Sequence[ExtensionParameters]:
        """Return the client's offers, the preferred one first."""
        ...

    def accept_offer(
        self, parameters: ExtensionParameters
    ) -> tuple[ExtensionParameters, MessageExtension] | None:
        """Return the server's answer to one offer and its extension; None declines the offer."""
        ...

    def accept_answer(self, parameters: ExtensionParameters) -> MessageExtension:
        """Return the client's extension for the server's answer.

        Raises `BadResponse` for parameters that do not answer what was offered, before it
        allocates anything.
        """
        ...

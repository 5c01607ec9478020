"""`Deflate`: the options of permessage-deflate, and its negotiation (RFC 7692 sections 5 and 7.1).

An `ExtensionNegotiator` with these outcomes:

* `accept_offer` (server): the answer and what the connection will use, or None, which declines
  this offer; the next may do.  A declined offer leaves no trace.
* `accept_answer` (client): what the connection will use, or `BadResponse`.

Neither makes a compressor: the first message that needs one does.

What we ask of the peer is a wish, and its answer decides.  A client makes a second offer without
the wishes, for servers that can grant none.  A server accepts a client that cannot be told a
window, such as Firefox.  If the peer did not agree to a smaller window, its messages are inflated
with the largest: a wish that is not granted costs memory, never a message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.extensions.deflate_options import DeflateOptions
from trio_wsendpoint.extensions.parameters import (
    MAX_WINDOW_BITS,
    MIN_ZLIB_WINDOW_BITS,
    Parameters,
    read_parameters,
)
from trio_wsendpoint.extensions.permessage_deflate import PerMessageDeflate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_wsendpoint.protocol.extension import ExtensionParameters

__all__ = ["Deflate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflate(DeflateOptions):
    """Whether and how messages are compressed; each option is about our own side.

    Do not compress secrets together with text that an attacker can choose: the length of the
    result reveals the secret bit by bit (RFC 7692 section 8, the CRIME and BREACH attacks).

    `level`: 1 (fast) to 9 (small), as zlib's; ISA-L has three, for 1-3, 4-6 and 7-9.
    `window_bits`: 9 to 15: we compress with a window of at most `2 ** window_bits` bytes.
    `memory_level`: 1 to 9: our compressor holds `2 ** (memory_level + 9)` bytes, and
    `2 ** (window_bits + 2)`, and 4 KiB more.
    `context_takeover`: whether we keep the window from one message to the next.  Without it small
    messages shrink less, and nothing is held between messages.
    `peer_window_bits`: 9 to 15: the window that we ask the peer to keep to.  Our inflater holds
    as many bytes, and 7 KiB more.
    `peer_context_takeover`: whether the peer may keep its window from one message to the next.
    `threshold`: bytes of payload below which a message goes uncompressed.
    `max_ratio`: how many bytes the peer's compressed messages may inflate to for each byte that
    they came in, on average, or None; over it the peer gets 1008.  The first 16 MiB, and 16 MiB
    after a rest, are free.
    `engine`: "zlib"; "isal" (the package isal): three times as fast with large messages, and
    three times the memory; "auto": isal where it can be imported, else zlib.
    """

    @property
    def name(self) -> str:
        """The registered token."""
        return "permessage-deflate"

    def offers(self) -> Sequence[ExtensionParameters]:
        """Return the client's offers: one with what we ask of the server, and one without."""
        # Section 7.1.2.2: a value tells the server that it need not inflate with more.
        plain = Parameters(
            client_no_context_takeover=not self.context_takeover,
            client_max_window_bits=self.window_bits,
        )
        asking = replace(
            plain,
            server_no_context_takeover=not self.peer_context_takeover,
            server_max_window_bits=_unless_largest(self.peer_window_bits),
        )
        return [asking.as_offer()] if asking == plain else [asking.as_offer(), plain.as_offer()]

    def accept_offer(
        self, parameters: ExtensionParameters
    ) -> tuple[ExtensionParameters, PerMessageDeflate] | None:
        """Return the server's answer to one offer and its extension; None declines the offer."""
        try:
            offer = read_parameters(parameters, offer=True)
        except ValueError:
            # Section 7: a server MUST decline it, and may take the client's next offer.
            return None
        window_bits = min(offer.server_max_window_bits or MAX_WINDOW_BITS, self.window_bits)
        if window_bits < MIN_ZLIB_WINDOW_BITS:
            return None
        # Without client_max_window_bits in the offer there must be none in the answer (section
        # 7.1.2.2), and then the client may use any window.
        peer_bits = MAX_WINDOW_BITS
        if offer.client_max_window_bits is not None:
            peer_bits = min(offer.client_max_window_bits, self.peer_window_bits)
        takeover = self.context_takeover and not offer.server_no_context_takeover
        peer_takeover = self.peer_context_takeover and not offer.client_no_context_takeover
        # Sections 7.1.1.1 and 7.1.2.1: the answer holds what the client asked for, even 15, and
        # may hold what it did not ask for.
        asked = offer.server_max_window_bits is not None
        answer = Parameters(
            server_no_context_takeover=not takeover,
            client_no_context_takeover=not peer_takeover,
            server_max_window_bits=window_bits if asked else _unless_largest(window_bits),
            client_max_window_bits=_unless_largest(peer_bits),
        )
        return answer.as_answer(), self._agree(window_bits, takeover, peer_bits, peer_takeover)

    def accept_answer(self, parameters: ExtensionParameters) -> PerMessageDeflate:
        """Return the client's extension for the server's answer, or raise `BadResponse`."""
        try:
            answer = read_parameters(parameters, offer=False)
        except ValueError as error:
            raise BadResponse(f"permessage-deflate: {error}") from None
        # client_max_window_bits is in all our offers, so it may be in any answer (7.1.2.2).
        window_bits = min(answer.client_max_window_bits or MAX_WINDOW_BITS, self.window_bits)
        if window_bits < MIN_ZLIB_WINDOW_BITS:
            raise BadResponse("permessage-deflate: we cannot compress with 8 window bits")
        # An answer without a number is for our second offer.  A number above ours is for neither:
        # a server accepts with "the same or smaller value" (section 7.1.2.1).
        peer_bits = answer.server_max_window_bits
        if peer_bits is not None and peer_bits > self.peer_window_bits:
            raise BadResponse(
                f"permessage-deflate: server_max_window_bits is {peer_bits},"
                f" and we offered {self.peer_window_bits}"
            )
        return self._agree(
            window_bits,
            self.context_takeover and not answer.client_no_context_takeover,
            peer_bits or MAX_WINDOW_BITS,
            not answer.server_no_context_takeover,
        )

    def _agree(
        self, window_bits: int, takeover: bool, peer_bits: int, peer_takeover: bool
    ) -> PerMessageDeflate:
        return PerMessageDeflate(_agreed(self, window_bits, takeover, peer_bits, peer_takeover))


# Most connections agree on the same, and hold one group together.
@lru_cache(maxsize=64)
def _agreed(
    options: Deflate, window_bits: int, takeover: bool, peer_bits: int, peer_takeover: bool
) -> Deflate:
    return replace(
        options,
        window_bits=window_bits,
        context_takeover=takeover,
        peer_window_bits=max(peer_bits, MIN_ZLIB_WINDOW_BITS),
        peer_context_takeover=peer_takeover,
    )


def _unless_largest(window_bits: int) -> int | None:
    """Return the value of a window parameter; None, because the largest need not be told."""
    return None if window_bits == MAX_WINDOW_BITS else window_bits

"""`Deflate`: the options of permessage-deflate, and its negotiation (RFC 7692 sections 5 and 7.1).

An `ExtensionNegotiator` with these outcomes:

* `accept_offer` (server): the answer and what the connection will use, or None, which declines
  this offer; the next may do.  A declined offer leaves no trace.
* `accept_answer` (client): what the connection will use, or `BadResponse`.

Neither touches a compressor: these are made when the first message needs them.

What we ask of the peer is a wish, and its answer decides.  A client makes a second offer without
the wishes, for servers that can grant none.  A server accepts a client that cannot be told a
window, as Firefox.  Whoever did not agree to a smaller window is inflated with the largest,
so a wish that was not granted costs memory, never a message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.extensions.engine import EngineName, load_engine
from trio_wsendpoint.extensions.parameters import (
    MAX_WINDOW_BITS,
    MIN_ZLIB_WINDOW_BITS,
    Parameters,
    read_parameters,
)
from trio_wsendpoint.extensions.permessage_deflate import PerMessageDeflate
from trio_wsendpoint.options import OptionGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_wsendpoint.protocol.extension import ExtensionParameters

__all__ = ["Deflate"]

#: Option, least, most.
_RANGES = (
    ("level", 1, 9),
    ("window_bits", MIN_ZLIB_WINDOW_BITS, MAX_WINDOW_BITS),
    ("memory_level", 1, 9),
    ("peer_window_bits", MIN_ZLIB_WINDOW_BITS, MAX_WINDOW_BITS),
    ("threshold", 0, None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflate(OptionGroup):
    """Whether and how messages are compressed; each option is told from our own side.

    Do not compress secrets together with text that an attacker can choose: the length of the
    result tells of the secret (RFC 7692 section 8, the CRIME and BREACH attacks).

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
    `engine`: "zlib"; "isal" (the package isal): three times as fast with large messages, and
    three times the memory; "auto": isal where it can be imported, else zlib.
    """

    level: int = 6
    window_bits: int = 12
    memory_level: int = 5
    context_takeover: bool = True
    peer_window_bits: int = 12
    peer_context_takeover: bool = True
    # At 128 bytes JSON without takeover begins to shrink by a third (at 64: by a twelfth) for
    # some 5 us; below, what is saved is less than the headers of the one packet that carries it.
    threshold: int = 128
    # Not "auto": that somebody installs isal must not make each connection three times as large.
    engine: EngineName = "zlib"

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            _check_int(name, getattr(self, name), least, most)
        for name in ("context_takeover", "peer_context_takeover"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise TypeError(f"Deflate.{name} must be a bool, not {value!r}")
        if self.engine not in get_args(EngineName):
            raise ValueError(
                f"Deflate.engine must be 'auto', 'zlib' or 'isal', not {self.engine!r}"
            )
        # An engine that is missing is told here, where the user wrote its name.
        load_engine(self.engine)

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
        """Return the server's answer to one offer and what it makes of it; None declines."""
        try:
            offer = read_parameters(parameters, offer=True)
        except ValueError:
            # Section 7: a server MUST decline it, and may go on to the client's next offer.
            return None
        window_bits = min(offer.server_max_window_bits or MAX_WINDOW_BITS, self.window_bits)
        if window_bits < MIN_ZLIB_WINDOW_BITS:
            return None
        # Without client_max_window_bits in the offer there must be none in the answer (section
        # 7.1.2.2), and then the client uses the window that it likes.
        peer_bits = MAX_WINDOW_BITS
        if offer.client_max_window_bits is not None:
            peer_bits = min(offer.client_max_window_bits, self.peer_window_bits)
        takeover = self.context_takeover and not offer.server_no_context_takeover
        peer_takeover = self.peer_context_takeover and not offer.client_no_context_takeover
        # Sections 7.1.1.1 and 7.1.2.1: what the client asked for is in the answer, even 15; and
        # we may add what it did not ask for.
        asked = offer.server_max_window_bits is not None
        answer = Parameters(
            server_no_context_takeover=not takeover,
            client_no_context_takeover=not peer_takeover,
            server_max_window_bits=window_bits if asked else _unless_largest(window_bits),
            client_max_window_bits=_unless_largest(peer_bits),
        )
        return answer.as_answer(), self._agree(window_bits, takeover, peer_bits, peer_takeover)

    def accept_answer(self, parameters: ExtensionParameters) -> PerMessageDeflate:
        """Return what the client makes of the server's answer; else raise `BadResponse`."""
        try:
            answer = read_parameters(parameters, offer=False)
        except ValueError as error:
            raise BadResponse(f"permessage-deflate: {error}") from None
        # client_max_window_bits is in all our offers, so it may be in any answer (7.1.2.2).
        window_bits = min(answer.client_max_window_bits or MAX_WINDOW_BITS, self.window_bits)
        if window_bits < MIN_ZLIB_WINDOW_BITS:
            raise BadResponse("permessage-deflate: we cannot compress with 8 window bits")
        # No number at all is an answer to our second offer.  One above ours answers neither: the
        # server has seen our limit, and it accepts with "the same or smaller value" (7.1.2.1).
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
        return PerMessageDeflate(
            replace(
                self,
                window_bits=window_bits,
                context_takeover=takeover,
                peer_window_bits=max(peer_bits, MIN_ZLIB_WINDOW_BITS),
                peer_context_takeover=peer_takeover,
            )
        )


def _unless_largest(window_bits: int) -> int | None:
    """Return what a parameter has to say: the largest window needs no word."""
    return None if window_bits == MAX_WINDOW_BITS else window_bits


def _check_int(name: str, value: object, least: int, most: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Deflate.{name} must be an int, not {value!r}")
    if value < least or (most is not None and value > most):
        expected = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"Deflate.{name} must be {expected}, not {value}")

"""The four parameters of permessage-deflate, read and written (RFC 7692 section 7.1).

`read_parameters` returns `Parameters`, or raises `ValueError` that says what is wrong with them.
By RFC 7692 section 7 a server declines such an offer, and a client fails the connection for such an
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_wsendpoint.protocol.extension import ExtensionParameters

__all__ = ["MAX_WINDOW_BITS", "MIN_ZLIB_WINDOW_BITS", "Parameters", "read_parameters"]

#: DEFLATE reaches back 32 KiB at most (RFC 1951 section 2).
MAX_WINDOW_BITS = 15

#: RFC 7692 allows 8, but zlib cannot compress raw DEFLATE with a window of 256 bytes, and old
#: versions silently took 9 instead.  So we never compress with 8, and inflate with 9 where 8 was
#: agreed.
MIN_ZLIB_WINDOW_BITS = 9

#: RFC 7692 section 7.1.2: "a decimal integer value without leading zeroes between 8 to 15".
_WINDOW_BITS = {str(bits): bits for bits in range(8, MAX_WINDOW_BITS + 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """One offer or one answer; the names are the RFC's.

    `client_max_window_bits` in an offer says that the client can be told a window; without a
    value it means as much as 15, and 15 is written without a value.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    def as_offer(self) -> ExtensionParameters:
        """Return the parameters as a client offers them."""
        return [
            (name, None if (name, value) == ("client_max_window_bits", "15") else value)
            for name, value in self.as_answer()
        ]

    def as_answer(self) -> Sequence[tuple[str, str | None]]:
        """Return the parameters as a server answers with them."""
        written: list[tuple[str, str | None]] = []
        if self.server_no_context_takeover:
            written.append(("server_no_context_takeover", None))
        if self.client_no_context_takeover:
            written.append(("client_no_context_takeover", None))
        if self.server_max_window_bits is not None:
            written.append(("server_max_window_bits", str(self.server_max_window_bits)))
        if self.client_max_window_bits is not None:
            written.append(("client_max_window_bits", str(self.client_max_window_bits)))
        return written


def read_parameters(parameters: ExtensionParameters, *, offer: bool) -> Parameters:
    """Read an offer or (`offer=False`) an answer.

    `ValueError` for a parameter that is unknown or there twice, a value where none may be, none
    where one must be, and one that is not a number of window bits.
    """
    flags: dict[str, bool] = {}
    windows: dict[str, int] = {}
    for name, value in parameters:
        if name in flags or name in windows:
            raise ValueError(f"{name} is there twice")
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover":
                if value is not None:
                    raise ValueError(f"{name} takes no value, not {value!r}")
                flags[name] = True
            case "server_max_window_bits" | "client_max_window_bits":
                # Section 7.1.2.2: only a client's offer of its own window may do without a value.
                bare = offer and name == "client_max_window_bits" and value is None
                windows[name] = MAX_WINDOW_BITS if bare else _window_bits(name, value)
            case _:
                raise ValueError(f"{name!r} is not a parameter of permessage-deflate")
    return Parameters(
        server_no_context_takeover="server_no_context_takeover" in flags,
        client_no_context_takeover="client_no_context_takeover" in flags,
        server_max_window_bits=windows.get("server_max_window_bits"),
        client_max_window_bits=windows.get("client_max_window_bits"),
    )


def _window_bits(name: str, value: str | None) -> int:
    bits = None if value is None else _WINDOW_BITS.get(value)
    if bits is None:
        raise ValueError(f"{name} must be a number from 8 to 15, not {value!r}")
    return bits

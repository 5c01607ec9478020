"""The options of permessage-deflate, which check themselves when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from trio_wsendpoint.extensions.engine import EngineName, load_engine
from trio_wsendpoint.extensions.parameters import MAX_WINDOW_BITS, MIN_ZLIB_WINDOW_BITS
from trio_wsendpoint.options import OptionGroup

__all__ = ["DeflateOptions"]

#: Option, least, most.
_RANGES = (
    ("level", 1, 9),
    ("window_bits", MIN_ZLIB_WINDOW_BITS, MAX_WINDOW_BITS),
    ("memory_level", 1, 9),
    ("peer_window_bits", MIN_ZLIB_WINDOW_BITS, MAX_WINDOW_BITS),
    ("threshold", 0, None),
    ("max_ratio", 1, None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateOptions(OptionGroup):
    """The fields of `Deflate`, whose docstring says what each means."""

    level: int = 6
    window_bits: int = 12
    memory_level: int = 5
    context_takeover: bool = True
    peer_window_bits: int = 12
    peer_context_takeover: bool = True
    # At 128 bytes JSON without takeover begins to shrink by a third (at 64: by a twelfth) for
    # some 5 us; below, what is saved is less than the headers of the one packet that carries it.
    threshold: int = 128
    # JSON inflates 7 to 50 times, snapshots that hardly change 60 to 140; and at 200 a megabyte
    # costs no more CPU than one of 1-byte messages (docs/limits.md).
    max_ratio: int | None = 200
    # Not "auto": installing isal must not make each connection three times as large.
    engine: EngineName = "zlib"

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if value is not None or name != "max_ratio":
                _check_int(name, value, least, most)
        for name in ("context_takeover", "peer_context_takeover"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise TypeError(f"Deflate.{name} must be a bool, not {value!r}")
        if self.engine not in get_args(EngineName):
            raise ValueError(
                f"Deflate.engine must be 'auto', 'zlib' or 'isal', not {self.engine!r}"
            )
        # A missing engine raises here, where the user wrote its name.
        load_engine(self.engine)


def _check_int(name: str, value: object, least: int, most: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Deflate.{name} must be an int, not {value!r}")
    if value < least or (most is not None and value > most):
        expected = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"Deflate.{name} must be {expected}, not {value}")

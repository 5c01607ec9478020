"""What can be wrong with one side of a connection in memory."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import Self

__all__ = ["Chopper", "Faults"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How the stream of one side misbehaves; by default it does not.

    What moves: `chop`: bytes that one read or write moves at most; with a `seed`, a random number
    of them from 1 to `chop`, the same for the same seed.  `slow`: virtual seconds that each read
    or write takes.

    What happens after this side has sent so many bytes (0: at once), each of which is a count:
    `stall_at`: nothing more arrives until `resume()`.  `half_close_at`: the other side reads the
    end of the bytes there, and what this side sends after is lost without a word.  `tear_at`: the
    connection is gone, as if this side's machine were: the other side reads the end of the bytes.
    `reset_at`: the connection is reset, and either side gets `trio.BrokenResourceError` from a
    `ConnectionResetError`, after reading what has arrived.

    `fail_at_operation`: which operation of this side (1 is the first, whatever it does) raises
    `trio.BrokenResourceError` from an `OSError`; the other side finds the connection reset.

    The faults that tests ask for most have names: `Faults.silent()`, `Faults.resets(after=100)`,
    `Faults.vanishes(after=100)`, `Faults.trickles()`.

    Raises `ValueError` for a number that makes no sense.
    """

    chop: int | None = None
    seed: int | None = None
    slow: float = 0.0
    stall_at: int | None = None
    half_close_at: int | None = None
    tear_at: int | None = None
    reset_at: int | None = None
    fail_at_operation: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in {"chop", "fail_at_operation"} else 0
            if value is not None and field.name != "seed" and not value >= least:
                raise ValueError(f"Faults.{field.name} must be at least {least}, not {value}")
        if self.seed is not None and self.chop is None:
            raise ValueError("Faults.seed chooses sizes for chop, which is not given")

    @classmethod
    def silent(cls, *, after: int = 0) -> Self:
        """Return a side that takes all it is sent, and of which nothing arrives after so much."""
        return cls(stall_at=after)

    @classmethod
    def resets(cls, *, after: int = 0) -> Self:
        """Return a side that resets the connection once it has sent so many bytes."""
        return cls(reset_at=after)

    @classmethod
    def vanishes(cls, *, after: int = 0) -> Self:
        """Return a side that is gone without a word once it has sent so many bytes."""
        return cls(tear_at=after)

    @classmethod
    def trickles(cls, *, bytes: int = 1, seconds: float = 0.1) -> Self:
        """Return a side that reads and writes no more than `bytes` at a time, each in `seconds`."""
        return cls(chop=bytes, slow=seconds)


class Chopper:
    """Says how many bytes one operation of a side may move."""

    def __init__(self, faults: Faults) -> None:
        self._chop = faults.chop
        self._random = None if faults.seed is None else random.Random(faults.seed)  # noqa: S311

    def limit(self, size: int) -> int:
        """Return how many of `size` bytes may move now: 1 at least, if there are any."""
        if self._chop is None:
            return size
        most = self._chop if self._random is None else self._random.randint(1, self._chop)
        return min(size, most)

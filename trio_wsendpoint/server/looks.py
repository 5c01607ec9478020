"""Whether to look for a request before waiting for it.

A client that answers from another core, or from afar, is hardly ever there in time: then a look
is a system call for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["DOUBT", "LOOKS", "Looks"]

#: After so many looks in a row that found nothing, the next `DOUBT` requests are waited for.
LOOKS = 16
DOUBT = 8


class Looks:
    """The looks for the requests of one connection; `look` says whether anything has come."""

    __slots__ = ("_in_vain", "_look", "_to_skip")

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._in_vain = 0  # in a row
        self._to_skip = 0

    def try_one(self, *, is_last: bool) -> bool:
        """Return whether anything has come; look, unless looks have found nothing for a while.

        `is_last`: nothing will be waited for, so look in any case.  Raises what `look` raises.
        """
        if self._to_skip and not is_last:
            self._to_skip -= 1
            return False
        has_come = self._look()
        self._in_vain = 0 if has_come else self._in_vain + 1
        if self._in_vain >= LOOKS:
            self._to_skip = DOUBT
        return has_come

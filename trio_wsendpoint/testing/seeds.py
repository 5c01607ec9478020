"""Randomness that is the same in each run."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["seeded_bytes"]


def seeded_bytes(seed: int) -> Callable[[int], bytes]:
    """Return a source of bytes for `random_bytes=`, the same for the same seed.  Not for use."""
    return random.Random(seed).randbytes  # noqa: S311 - repeatable is what it is to be

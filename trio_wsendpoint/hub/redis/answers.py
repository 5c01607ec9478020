"""Answers of Redis as values of a known kind: coredis types them no further than `object`."""

from __future__ import annotations

from typing import cast

__all__ = ["as_bytes", "as_dict", "as_list", "as_text"]


def as_list(answer: object) -> list[object]:
    """Return a list, an empty one for anything else."""
    return cast("list[object]", answer) if isinstance(answer, list) else []


def as_dict(answer: object) -> dict[object, object]:
    """Return a dict, an empty one for anything else."""
    return cast("dict[object, object]", answer) if isinstance(answer, dict) else {}


def as_bytes(answer: object) -> bytes:
    """Return bytes; of anything else, those of its text."""
    return answer if isinstance(answer, bytes) else str(answer).encode()


def as_text(answer: object) -> str:
    """Return a text: ids, names, numbers, which are ASCII."""
    return answer.decode("ascii", "replace") if isinstance(answer, bytes) else str(answer)

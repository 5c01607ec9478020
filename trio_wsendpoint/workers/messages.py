"""What a worker and its parent write to each other: JSON, an object a line.

To the worker its `Orders`, once, and answers; to the parent reports and questions.  Neither side
trusts what it reads: a line that is too long or no object is a `ValueError`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, cast

__all__ = ["MOST", "LineReader", "Orders", "encode"]

#: Bytes of a line, at most: the state of some thousand workers.
MOST = 1 << 20


def encode(message: dict[str, Any]) -> bytes:
    """Return `message` as a line."""
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


class LineReader:
    """Cuts bytes into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that are complete with `data`; raises `ValueError`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST or any(len(line) > MOST for line in lines):
            raise ValueError(f"a line of more than {MOST} bytes")
        return [_decode(line) for line in lines]


def _decode(line: bytes) -> dict[str, Any]:
    try:
        message: object = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("a line that is no JSON") from None
    if not isinstance(message, dict):
        raise ValueError("a line that is no object")
    return cast("dict[str, Any]", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a worker is told when it starts.

    `place`, `number`: see `Worker`.  `target`: which function it runs, see `Target`; `arguments`:
    what that is called with in addition.  `sockets`: number of a descriptor, and whether the
    server's TLS, if it has any, is spoken there.  `drain`: seconds.  `log`: a file, None for
    stderr.  `path`: `sys.path`.
    """

    place: int
    number: int
    target: dict[str, str]
    arguments: list[str]
    sockets: list[tuple[int, bool]]
    drain: float
    log: str | None
    path: list[str]

    def to_line(self) -> bytes:
        """Return them as a line."""
        return encode(asdict(self))

    @classmethod
    def from_line(cls, line: bytes) -> Orders:
        """Return what `to_line` has made; raises `ValueError` or `TypeError` for another text."""
        return cls(**_decode(line))

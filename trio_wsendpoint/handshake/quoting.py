"""How a peer's text stands in our messages: escaped, and cut.

What comes out is printable ASCII on one line, whatever went in: a log line or an error message
never carries a peer's line breaks or terminal escapes.  Never raises.
"""

from __future__ import annotations

__all__ = ["quoted"]


def quoted(value: str | bytes, limit: int = 100) -> str:
    """Return `value` as an ASCII literal of its first `limit` characters, `...` if it was cut.

    The literal itself is cut too (an escape is up to ten characters for one), so the result is
    never longer than twice `limit`.
    """
    literal = ascii(value[:limit])
    room = 2 * limit - 3
    cut = len(value) > limit or len(literal) > room
    return f"{literal[:room]}..." if cut else literal

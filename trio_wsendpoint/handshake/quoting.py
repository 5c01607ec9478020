"""How a peer's text stands in our messages: escaped, and cut.

What comes out is printable ASCII on one line, whatever went in: a log line or an error message
never carries a peer's line breaks or terminal escapes.  Never raises.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["quoted", "tell_header"]


def quoted(value: str | bytes, limit: int = 100) -> str:
    """Return `value` as an ASCII literal of its first `limit` characters, `...` if it was cut.

    The literal itself is cut too (an escape is up to ten characters for one), so the result is
    never longer than twice `limit`.
    """
    literal = ascii(value[:limit])
    room = 2 * limit - 3
    cut = len(value) > limit or len(literal) > room
    return f"{literal[:room]}..." if cut else literal


def tell_header(name: str, values: Sequence[str], expected: str) -> str:
    """Say of which value the header `name` is, and which one is expected."""
    found = f"is {quoted(', '.join(values))}" if values else "is missing"
    return f"{name} header {found}: expected {expected}"

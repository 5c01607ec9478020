"""Makes a peer's text fit for a terminal: on one line, and without anything that steers it."""

from __future__ import annotations

__all__ = ["escaped", "shortened"]

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escaped(text: str) -> str:
    r"""Return `text` with each character that is not printable as `\x1b`, `\n` or `\u202e`.

    Printable is what `str.isprintable` says: so escapes of a terminal, line breaks, and marks
    that turn the direction of writing are not.  Letters of any language stay.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x100:
        return _NAMED.get(character, f"\\x{number:02x}")
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def shortened(text: str, limit: int) -> str:
    """Return `escaped(text)` of at most `limit` characters, and how many more there are."""
    rest = len(text) - limit
    return escaped(text) if rest <= 0 else f"{escaped(text[:limit])}... ({rest} more)"

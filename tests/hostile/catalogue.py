"""The rows of the hostile inputs, and those that do not apply, with the reason."""

from __future__ import annotations

__all__ = ["NOT_APPLICABLE", "ROWS"]

_SECTIONS = {"a": (1, 34), "b": (35, 43), "c": (44, 65), "d": (66, 79), "e": (80, 116)}

#: `a01` to `e116`, as the names of the tests have them.
ROWS = tuple(
    f"{section}{number:02}"
    for section, (first, last) in _SECTIONS.items()
    for number in range(first, last + 1)
)

#: Rows without a test.
NOT_APPLICABLE = {
    "A34": "there is no HTTP/2 bridge (RFC 8441): HTTP/1.1 alone is spoken, HTTP/2 gets 505 (A03)",
}

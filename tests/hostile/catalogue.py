"""The rows of the hostile inputs, and those that do not apply or are not done, with the reason."""

from __future__ import annotations

__all__ = ["NOT_APPLICABLE", "PENDING", "ROWS"]

_SECTIONS = {
    "a": (1, 34),
    "b": (35, 43),
    "c": (44, 65),
    "d": (66, 79),
    "e": (80, 116),
    "f": (117, 134),
    "g": (135, 167),
    "h": (168, 184),
    "i": (185, 199),
    "j": (200, 212),
    "k": (213, 223),
}

#: `a01` to `k223`, as the names of the tests have them.
ROWS = (
    *(
        f"{section}{number:02}"
        for section, (first, last) in _SECTIONS.items()
        for number in range(first, last + 1)
    ),
    "h179a",
)

#: Rows without a test.
NOT_APPLICABLE = {
    "A34": "there is no HTTP/2 bridge (RFC 8441): HTTP/1.1 alone is spoken, HTTP/2 gets 505 (A03)",
}

#: What a row lacks, as long as the server does not speak plain HTTP; some have a test of the rest.
PENDING: dict[str, str] = {}

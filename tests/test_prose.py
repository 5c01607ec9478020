"""No document, docstring or comment has a phrase that hides the actor, or has to be read twice."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted((ROOT / "trio_wsendpoint").rglob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
]

#: Name the actor instead; say what is done; "except" is the word for an exception.
PHRASES = (
    "somebody",
    "whoever",
    "in vain",
    "at hand",
    "see to it",
    "see that",
    "but for",
    "is no longer to be",
)

#: How many of them a file still has.  A count may only fall: lower it when you cure one.
STILL_THERE: dict[str, int] = {}


def phrases_in(text: str) -> list[str]:
    """Return the phrases in a text, those that a line break or a comment's `#` divides too."""
    text = re.sub(r"\s*\n\s*(?:#:?\s*)?", " ", text).lower()
    return [match for one in PHRASES for match in re.findall(rf"\b{one}\b", text)]


def test_no_file_has_more_than_before() -> None:
    found = Counter[str]()
    for path in PAGES:
        if count := len(phrases_in(path.read_text())):
            found[str(path.relative_to(ROOT))] = count
    assert dict(found) == STILL_THERE


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Whoever reads this", ["whoever"]),
        ("the look was in\n    # vain", ["in vain"]),
        ("nothing but\nfor this", ["but for"]),
        ("`note_sent` sees that it was the last; a certain handler", []),
    ],
)
def test_a_phrase_is_found(text: str, phrases: list[str]) -> None:
    assert phrases_in(text) == phrases

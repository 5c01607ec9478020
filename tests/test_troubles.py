"""What the pages quote as the text of an error is what the library, or Python, says.

A text that the library puts together of parts is one that another test expects.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.test_howto_pages import DOCS, ROOT

TABLE = re.compile(
    r"^## (?:What can go wrong|If you see something else)\n\n(.*?)(?=^## |\Z)",
    re.MULTILINE | re.DOTALL,
)
#: Texts of Python, of Trio, of OpenSSL, of Linux, of browsers and of other packages.
FOREIGN = (
    "Address already in use",
    "AttributeError: user",
    "Cannot assign requested address",
    "Connection refused",
    "Connection reset by peer",
    "Duplicated timeseries in CollectorRegistry",
    "Exception Group Traceback",
    "FileNotFoundError: ... 'page.html'",
    "Hostname mismatch",
    "Object of type datetime is not JSON serializable",
    "Out of range float values are not JSON compliant",
    "Permission denied",
    "RuntimeError: Set changed size during iteration",
    "certificate verify failed: unable to get local issuer certificate",
    "closed with 1006",  # the page of the tutorial
    "1 passed",
    "2 has left",
)


@cache
def texts_of_the_library() -> str:
    """Return every string of the source and of its tests, without what escapes a pattern."""
    found: list[str] = []
    sources = [*(ROOT / "trio_wsendpoint").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    for path in sources:
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(map(_text_of, node.values)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found).replace("\\", "")


def _text_of(part: ast.expr) -> str:
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "{}"


def quoted() -> list[tuple[str, str]]:
    """Return the page and the text of each error that the first column of a table quotes."""
    found = []
    for path in sorted(DOCS.glob("*.md")):
        for table in TABLE.findall(path.read_text()):
            for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE):
                found += [
                    (path.name, span) for span in re.findall(r"`([^`]+)`", row) if " " in span
                ]
    return found


@pytest.mark.parametrize(("page", "text"), quoted())
def test_an_error_that_a_page_quotes_exists(page: str, text: str) -> None:
    if text in FOREIGN:
        return
    for part in re.split(r" ?\.\.\. ?|'[^']*'|\d{3}", text.partition(": ")[2] or text):
        assert part in texts_of_the_library(), (page, part)


def test_there_are_some() -> None:
    assert len(quoted()) > 30


def test_every_text_of_others_is_quoted() -> None:
    assert set(FOREIGN) <= {text for _, text in quoted()}

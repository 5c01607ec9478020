"""The pages and the docstrings use one word for one thing, as docs/words.md says.

Code is left out, in backticks and in blocks: a name of another library may be what we do not write.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

#: What is not written, as a pattern, and what is written instead.
FORBIDDEN = {
    r"keep-?alives?": "heartbeat",
    r"packets?": "frame, message",
    r"partners?": "peer",
    r"remote (?:side|end|peer)s?": "peer",
    r"disconnect(?:s|ed|ing)?": "close, lose",
    r"aborts?|aborted|aborting": "cancel",
    r"the application": "the app",
    r"simply|obviously|of course|easily|basically|somehow": "nothing",
    r"in order to": "to",
    r"utili[sz]e[sd]?": "use",
    r"e\.g\.|i\.e\.|etc\.": "for example, that is, and so on",
}
#: A page of the kind that tells a reader what to do has none of these either.
FORBIDDEN_IN_PAGES = {r"note that|please|just": "nothing"}
#: Where a word is right: files whose subject it is.
ALLOWED = {
    # An ASGI application is called so by ASGI.
    "the application": (
        "asgi",
        "server/host",
        "server/exchange",
        "server/answering",
        "server/apps",
        "server/plain",
        "server/relay",
        "log-records",
        "workers",
        "docs/options",
    ),
    # The list of what is not written.
    r"packets?": ("docs/words",),
    r"partners?": ("docs/words",),
    r"keep-?alives?": ("docs/words",),
    r"disconnect(?:s|ed|ing)?": ("docs/words",),
    # A class of the session's, and its name in the picture of the parts.
    r"aborts?|aborted|aborting": ("architecture", "docs/words"),
}


def prose_of(path: Path) -> str:
    """Return what is written for people: a page's text, a module's docstrings; without code."""
    text = path.read_text()
    if path.suffix == ".py":
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
        text = "\n\n".join(ast.get_docstring(node) or "" for node in nodes)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return " ".join(re.sub(r"`[^`]*`", "", text).split())


def forbidden_in(text: str, words: dict[str, str]) -> list[str]:
    return [
        f"{found!r}: write {instead}"
        for pattern, instead in words.items()
        for found in re.findall(rf"(?<![\w.-])(?:{pattern})(?![\w-])", text, re.IGNORECASE)
    ]


def words_for(path: Path) -> dict[str, str]:
    """Return what may not stand in a file."""
    words = FORBIDDEN | (FORBIDDEN_IN_PAGES if path.suffix == ".md" else {})
    place = path.relative_to(ROOT).as_posix()
    return {
        pattern: instead
        for pattern, instead in words.items()
        if not any(part in place for part in ALLOWED.get(pattern, ()))
    }


FILES = [*sorted(DOCS.glob("*.md")), *sorted((ROOT / "trio_wsendpoint").rglob("*.py"))]


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in FILES]
)
def test_a_file_uses_our_words(path: Path) -> None:
    assert forbidden_in(prose_of(path), words_for(path)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The application reads.", ["'The application': write the app"]),
        ("It sends keepalives", ["'keepalives': write heartbeat"]),
        ("Simply connect", ["'Simply': write nothing"]),
        ("justified, a disconnection", []),
    ],
)  # fmt: skip
def test_a_word_is_found(text: str, found: list[str]) -> None:
    assert forbidden_in(text, FORBIDDEN) == found


def test_every_word_that_is_forbidden_is_on_the_page_of_words() -> None:
    told = (DOCS / "words.md").read_text()
    for word in ("app", "peer", "message", "frame", "heartbeat", "cancel", "close", "lost"):
        assert f"| **{word}** |" in told

"""Blocks of code: where they are, how each is run, and what the page shows of what it prints."""

from __future__ import annotations

import contextlib
import fnmatch
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Pages whose blocks belong together: a test runs all of them.
RUN_WHOLE = {
    "README.md": "tests/test_readme.py",
    "docs/tutorial-*.md": "tests/tutorial/test_steps.py",
    "docs/coming-from-net-websocket.md": "tests/seed/test_docs_page.py",
    "docs/coming-from-*.md": "tests/test_coming_from_pages.py",
}
MARK = re.compile(r"<!-- (run by|compiled): (.+?) -->\n\n?\Z")
OUTPUT = re.compile(r"\n?\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block: `language` is what stands behind its fence; `example` is where Sybil found it."""

    page: str
    language: str
    example: Example

    def __str__(self) -> str:
        return f"{self.page}:{self.example.line}"

    @property
    def source(self) -> str:
        """What stands between its fences."""
        return str(self.example.parsed)

    @cached_property
    def mark(self) -> tuple[str, str]:
        """How it is run, and the file or the reason: "run by", "compiled", or nothing."""
        found = MARK.search(self.example.document.text[: self.example.region.start])
        if found is not None:
            return found[1], found[2]
        whole = (file for page, file in RUN_WHOLE.items() if fnmatch.fnmatch(self.page, page))
        return next((("run by", file) for file in whole), ("", ""))

    @property
    def is_run_here(self) -> bool:
        """Whether it is a program that needs nothing but a process."""
        return self.language == "python" and self.mark == ("", "")

    @cached_property
    def output(self) -> re.Match[str] | None:
        """The block of text that follows at once."""
        return OUTPUT.match(self.example.document.text, self.example.region.end)

    @property
    def shown(self) -> str:
        """What the page says that it prints."""
        return self.output[1] if self.output else ""

    def prints(self) -> str:
        """Run it, and return what it prints."""
        with contextlib.redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
            warnings.simplefilter("error")
            self.example.namespace["__name__"] = "__main__"
            self.example.evaluate()
            self.example.namespace.clear()
        return printed.getvalue()


def is_shown(shown: str, printed: str) -> bool:
    """Tell whether a page shows what was printed; `...` stands for what is new in each run."""
    return re.fullmatch(re.escape(shown).replace(r"\.\.\.", ".*"), printed) is not None


def find_blocks(document: Document) -> Iterable[Region]:
    """Find every block of a page, for Sybil."""
    for region in FencedCodeBlockLexer(r"\w*")(document):
        region.parsed, region.evaluator = region.lexemes["source"], evaluate
        yield region


def evaluate(example: Example) -> None:
    """Run a block; the lines of a traceback are those of its page."""
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    exec(compile(source, example.path, "exec", dont_inherit=True), example.namespace)


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    for example in Sybil([find_blocks]).parse(path).examples():
        yield Block(str(path.relative_to(ROOT)), example.region.lexemes["language"], example)


def sources_of(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page in a language, for a test of the page."""
    return [block.source for block in blocks_of(ROOT / page) if block.language == language]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]

"""No block of code escapes: each is run here, run by the test that it names, or only compiled."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.pages.blocks import BLOCKS, PAGES, ROOT, RUN_WHOLE, Block, is_shown

PYTHON = [block for block in BLOCKS if block.language == "python"]
RUN_HERE = [block for block in PYTHON if block.is_run_here]
#: How many blocks of a page are only compiled; each has its reason above it.
ONLY_COMPILED: dict[str, int] = {}
#: The tests that hold what is not Python: commands, configurations, and what other programs print.
HELD = {
    "README.md": "tests/test_readme.py",
    "CONTRIBUTING.md": "tests/test_contributing.py",
    "docs/coming-from-net-websocket.md": "tests/seed/test_docs_page.py",
    "docs/command.md": "tests/cli/transcripts.py",
    "docs/command-failures.md": "tests/cli/transcripts.py",
    "docs/opening.md": "tests/test_opening_page.py",
    "docs/proxies.md": "tests/proxies/test_pages.py",
    "docs/tutorial-*.md": "tests/tutorial/test_steps.py",
}
#: How many blocks that are not Python a page shows as they are, which no test holds.
ONLY_SHOWN = {
    "docs/benchmarks.md": 1,  # commands of minutes
    "docs/debugging.md": 2,  # commands for a server of the reader's
    "docs/deploying.md": 5,  # for Docker and systemd; tests/test_deploying_page.py reads most
    "docs/listening.md": 1,  # for systemd
    "docs/observing.md": 2,  # records, whose texts log-records.md has
    "docs/tutorial.md": 1,  # a virtual environment
    "docs/workers.md": 1,  # for systemd
}


def named(block: Block) -> str:
    return str(block)


@pytest.mark.parametrize("block", RUN_HERE, ids=named)
def test_a_program_prints_what_its_page_shows(block: Block) -> None:
    printed = block.prints()
    assert is_shown(block.shown, printed), f"run python -m tests.pages: it prints {printed!r}"


def test_sybil_finds_every_block() -> None:
    for path in PAGES:
        # At any indentation, behind any fence, of whatever language.
        fences = re.findall(r"^[ \t>]*(?:```+|~~~+)(?!\{)[^\n`]*$", path.read_text(), re.MULTILINE)
        directives = len(re.findall(r"^```\{", path.read_text(), re.MULTILINE))
        page = str(path.relative_to(ROOT))
        found = [block for block in BLOCKS if block.page == page]
        assert (len(fences) - directives) == 2 * len(found), page
        assert "```py\n" not in path.read_text()


def test_a_block_is_run_here_unless_it_says_otherwise() -> None:
    assert len(RUN_HERE) > 25
    assert {how for how, _ in (block.mark for block in PYTHON)} <= {"", "run by", "compiled"}


@pytest.mark.parametrize("block", [one for one in PYTHON if one.mark[0] == "run by"], ids=named)
def test_the_test_that_runs_a_block_is_there(block: Block) -> None:
    source = ROOT.joinpath(block.mark[1]).read_text()
    helpers = ROOT.joinpath(block.mark[1]).parent.joinpath("steps.py")
    source += helpers.read_text() if helpers.exists() else ""
    page = Path(block.page).stem
    assert page in source or (page.startswith("tutorial-") and "tutorial-*.md" in source)


def test_what_is_only_compiled_is_counted_and_compiles() -> None:
    compiled = [block for block in PYTHON if block.mark[0] == "compiled"]
    assert Counter(block.page for block in compiled) == ONLY_COMPILED
    for block in compiled:
        compile(block.source, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_what_is_not_python_is_an_output_or_held_or_counted() -> None:
    outputs = {(block.page, block.output.start()) for block in PYTHON if block.output}
    shown = Counter[str]()
    for block in BLOCKS:
        before = block.example.document.text[: block.example.region.start]
        is_output = (block.page, len(before.rstrip("\n"))) in outputs
        is_held = any(Path(block.page).match(page) for page in HELD)
        if block.language != "python" and not is_output and not is_held:
            shown[block.page] += 1
    assert shown == ONLY_SHOWN
    for path in {*HELD.values(), *RUN_WHOLE.values()}:
        assert ROOT.joinpath(path).exists(), path


@pytest.mark.parametrize(
    ("shown", "printed", "is_good"),
    [
        ("hello\n", "hello\n", True),
        ("hello\n", "hello\nagain\n", False),
        ("at port ...\n", "at port 8765\n", True),
        ("at port ...\n", "at port 8765\nagain\n", False),
        ("", "hello\n", False),
    ],
)
def test_what_is_shown_is_compared(shown: str, printed: str, is_good: bool) -> None:
    assert is_shown(shown, printed) == is_good

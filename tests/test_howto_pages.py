"""The code of the pages that need no more than that runs, and prints what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *("authentication", "broadcasting", "compressing", "debugging", "deploying", "exceptions"),
    *("index", "limiting", "operating", "streaming"),
]
#: A block of Python, and the block of text behind it, if there is one.
BLOCKS = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
PATIENCE = 60


def programs() -> Iterator[tuple[str, str, str]]:
    """Yield each program of the pages that ends by itself, with what it prints."""
    for name in PAGES:
        text = (DOCS / f"{name}.md").read_text()
        for source, output in BLOCKS.findall(text):
            if "open_signal_receiver" not in source:
                told = re.search(r"It prints `(.*?)`", text)
                yield name, source, output or (f"{told[1]}\n" if told else "")


@pytest.mark.parametrize(("_page", "source", "output"), list(programs()))
def test_a_program_prints_what_the_page_says(_page: str, source: str, output: str) -> None:
    command = [sys.executable, "-W", "error", "-c", source]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == output


def test_the_server_of_a_container_stops_when_it_is_told_to() -> None:
    [source] = [
        source
        for source, _ in BLOCKS.findall((DOCS / "deploying.md").read_text())
        if "open_signal_receiver" in source
    ]
    command = [sys.executable, "-W", "error", "-c", source.replace("8765", "0")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(PATIENCE) == 0


def options_in(text: str) -> set[str]:
    """Return the options of groups that a page names."""
    groups = "Limits|Timeouts|Heartbeat|Deflate|ServerLimits|HttpLimits"
    return {f"{group}.{name}" for group, name in re.findall(rf"`({groups})\.(\w+)", text)}


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem) for path in sorted(DOCS.glob("*.md"))]
)
def test_every_option_that_a_page_names_exists(path: Path) -> None:
    options = (DOCS / "options.md").read_text()
    for name in options_in(path.read_text()):
        group, _, option = name.partition(".")
        [section] = re.findall(rf"^## `{group}`\n(.*?)^## ", options, re.MULTILINE | re.DOTALL)
        assert f"| `{option}` |" in section, name


def test_the_tree_leads_to_each_of_its_questions_in_turn() -> None:
    text = (DOCS / "debugging.md").read_text()
    numbers = [int(number) for number in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, 11))
    assert set(map(int, re.findall(r"go to (\d+)", text))) <= set(numbers)

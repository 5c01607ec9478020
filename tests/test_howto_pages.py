"""The how-to pages name what there is; the server of a container stops when it is told to."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.blocks import sources_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PATIENCE = 60


def test_the_server_of_a_container_stops_when_it_is_told_to() -> None:
    source = sources_of("docs/deploying.md")[0]
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

"""Every command line of the documents has the options and arguments that the command takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.examples.programs import ROOT
from trio_wsendpoint.cli.command import group

SOURCES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.py")]
#: In a span of code, or a line of its own; behind a pipe too.
LINES = re.compile(
    r"`(trio-wsendpoint [^`]+)`|^(?:\$ )?(?:.*\| )?(trio-wsendpoint .+)$", re.MULTILINE
)
#: Files that a line names, and a test has not.
FILES = {"ca.pem": "tests/cli/__init__.py"}


def documented() -> list[str]:
    """Return each command line once, without those that only name a subcommand."""
    found = {
        (one or other).strip() for path in SOURCES for one, other in LINES.findall(path.read_text())
    }
    return sorted(line for line in found if len(shlex.split(line)) > 2)


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_is_understood(line: str, tmp_path: Path) -> None:
    _, name, *arguments = shlex.split(line)
    command = group.commands[name]
    talk = tmp_path / "talk.jsonl"
    talk.touch()
    known = {"talk.jsonl": str(talk), **{file: str(ROOT / path) for file, path in FILES.items()}}
    with command.make_context(name, [known.get(one, one) for one in arguments]) as context:
        assert isinstance(context, click.Context)


def test_there_are_some() -> None:
    assert len(documented()) > 15

"""The examples of the docstrings: those with a prompt run, the programs behind a blank compile."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.rest import DocTestParser

from tests.pages.blocks import ROOT

LIBRARY = ROOT / "trio_wsendpoint"
SOURCES = sorted(LIBRARY.rglob("*.py"))
SYBIL = Sybil([DocTestParser()], document_types={".py": PythonDocStringDocument})
WITH_EXAMPLES = [path for path in SOURCES if ">>> " in path.read_text()]
#: What is indented behind an empty line, and no table: how many there are of each module.
PROGRAMS = {
    "asgi/application.py": 1,  # an application that is the reader's
    "server/http_link.py": 1,  # a loop over requests
    "server/opening.py": 1,  # a function that a server calls
    "server/routing.py": 1,  # handlers that are the reader's
    "session/__init__.py": 1,  # names of a driver
}


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_a_module_answer_as_they_say(path: Path) -> None:
    document = SYBIL.parse(path)
    # As for a reader who has imported all of the module.
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    document.namespace.update(vars(module))
    examples = list(document.examples())
    for example in examples:
        example.evaluate()
    assert len(examples) == len(re.findall(r"^ *>>> ", path.read_text(), re.MULTILINE))


def test_there_are_examples() -> None:
    assert len(WITH_EXAMPLES) >= 8


def programs() -> Iterator[tuple[str, str]]:
    """Yield the programs of the docstrings, each with its module."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            text = (ast.get_docstring(node) or "") if isinstance(node, kinds) else ""
            for found in re.finditer(r"\n\n((?:    (?! ).*\n?(?:     .*\n?|\n)*)+)", text):
                yield path.relative_to(LIBRARY).as_posix(), found[1]


def test_each_program_compiles() -> None:
    counts: dict[str, int] = {}
    for module, program in programs():
        counts[module] = counts.get(module, 0) + 1
        source = "async def main():\n" + program
        compile(source, module, "exec")
    assert counts == PROGRAMS

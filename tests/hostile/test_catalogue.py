"""Each of the 224 rows has a test that is named after it, or a reason why it has none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .catalogue import NOT_APPLICABLE, PENDING, ROWS

NAME = re.compile(r"test_([a-k])(\d+a?)_\w+")


def names_of_tests():
    """The names of all tests here, whether or not they can run on this machine."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name


def test_there_are_224_rows():
    assert len(ROWS) == len(set(ROWS)) == 224


def test_every_row_has_a_test_or_a_reason():
    covered = {match[1] + match[2] for name in names_of_tests() if (match := NAME.fullmatch(name))}
    assert covered - set(ROWS) == set()  # `a1` for `a01`, say
    excused = {row.lower() for row in NOT_APPLICABLE}
    assert excused & covered == set()
    pending = {row.lower() for row in PENDING}
    assert pending - set(ROWS) == set()
    assert set(ROWS) - covered - excused - pending == set()
    assert all(NOT_APPLICABLE.values())
    assert all(PENDING.values())

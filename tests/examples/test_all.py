"""What is true of every example."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.examples.programs import EXAMPLES, running

NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
#: Lines of one that may have more than 60.
LONGER = {
    "asyncio_server.py": 80,
    "dashboard.py": 100,
    "demo.py": 90,
    "inspector.py": 200,
    "presence.py": 120,
    "rpc.py": 100,
    "shared_chat.py": 120,
}
#: What another example imports, and what that is: it is not run by itself.
PARTS = {"inspector.py": "demo.py"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_short_and_says_what_it_shows_and_how_to_run_it(name: str) -> None:
    source = (EXAMPLES / name).read_text()
    assert len(source.splitlines()) <= LONGER.get(name, 60)
    docstring = ast.get_docstring(ast.parse(source)) or ""
    assert f"examples/{PARTS.get(name, name)}" in docstring


@pytest.mark.parametrize("name", NAMES)
def test_a_test_runs_it(name: str) -> None:
    folders = [Path(__file__).parent, Path(__file__).parents[1] / "browser"]
    tests = [path.read_text() for folder in folders for path in folder.glob("test_*.py")]
    run = PARTS.get(name, name)
    assert any(f'"{run}"' in text for text in tests), f"no test runs {name}"
    if name in PARTS:
        assert f"from {name.removesuffix('.py')} import" in (EXAMPLES / run).read_text()


def test_the_select_loop_does_without_trio() -> None:
    tree = ast.parse((EXAMPLES / "select_loop.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "trio" not in imported
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used >= {
        "check_heartbeat",
        "get_write_queue_size",
        "flush_write_queue",
        "get_next_message",
        "shift_write_queue",
        "is_closed",
    }


async def test_the_heartbeat_test_passes() -> None:
    name = "heartbeat_test.py"
    async with running("-m", "pytest", "-q", EXAMPLES / name) as program:
        assert await program.wait() == 0, program.output
    assert "1 passed" in program.output

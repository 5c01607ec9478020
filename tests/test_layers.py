"""Imports point down: every import of the library is read, and one that points up fails here.

The checker is tried on made-up trees first, so that a library without findings means something.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "trio_wsendpoint"

#: The layers, lowest first.  A module may import those of lower layers, and those of its own
#: folder; not its neighbours in the same layer.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_words", "_version", "_public"),
    ("errors", "options"),
    ("protocol",),
    ("extensions", "handshake"),
    ("session", "transport", "http", "addressing"),
    ("entries", "channels"),
    ("connection",),
    ("opening",),
    ("server", "client"),
    ("testing", "tls", "metrics", "asgi", "hub"),
    ("workers",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
RANKS = {unit: rank for rank, units in enumerate(LAYERS) for unit in units}
FILES = (
    *("_words", "_version", "_public", "errors", "options", "channels", "tls"),
    *("__init__", "__main__"),
)
FOLDERS = frozenset(RANKS) - frozenset(FILES)

#: Which modules may import what from elsewhere, beside the standard library.
SANS_IO = (
    "_words",
    "_public",
    "errors",
    "options",
    "_version",
    "protocol",
    "extensions",
    "handshake",
    "session",
    "http",
    "addressing",
)
THIRD_PARTY = {
    "trio": lambda module: unit_of(module) not in SANS_IO,
    "outcome": lambda module: unit_of(module) not in SANS_IO,
    "h11": lambda module: module in {f"{PACKAGE}.handshake.http1", f"{PACKAGE}.http.heads"},
    "idna": lambda module: unit_of(module) == "handshake",
    "pytest": lambda module: module == f"{PACKAGE}.testing.plugin",
    "prometheus_client": lambda module: module == f"{PACKAGE}.metrics.prometheus",
    "opentelemetry": lambda module: module == f"{PACKAGE}.metrics.opentelemetry",
    "python_socks": lambda module: module == f"{PACKAGE}.client.socks_tunnel",
    "coredis": lambda module: module.startswith(f"{PACKAGE}.hub.redis"),
    "click": lambda module: unit_of(module) == "cli",
    "prompt_toolkit": lambda module: module == f"{PACKAGE}.cli.prompt",
    "rich": lambda module: unit_of(module) == "cli",
    "isal": lambda module: unit_of(module) == "extensions",
    # It is compiled with it; what runs never imports it.
    "cython": lambda module: module == f"{PACKAGE}.protocol.codec",
}
STANDARD = sys.stdlib_module_names


def unit_of(module: str) -> str:
    """Return the part of a module's name that has a layer."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def name_of(path: Path, root: Path) -> str:
    """Return the module that a file holds."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield line and full name of each import; of `from a import b`, `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".") if is_package else module.split(".")[:-1]
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
        elif isinstance(node, ast.Call):
            # importlib.import_module("name") and __import__("name")
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in {"import_module", "__import__"} and node.args:
                name = node.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield node.lineno, name.value


def find_faults(root: Path) -> list[str]:
    """Return what is wrong with the imports below `root`, one line each."""
    files = {name_of(path, root): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    faults: list[str] = []
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        if unit_of(module) not in RANKS:
            faults.append(f"{module} has no layer: give it one in LAYERS of tests/test_layers.py")
            continue
        tree = ast.parse(path.read_text())
        for line, target in imports_of(tree, module, is_package=path.name == "__init__.py"):
            if (fault := judge(module, target, files)) is not None:
                faults.append(f"{path.relative_to(root)}:{line}: {fault}")
            graph.setdefault(module, set()).add(module_of(target, files))
    faults += [f"a circle: {' -> '.join(circle)}" for circle in circles_in(graph)]
    return faults


def module_of(target: str, files: dict[str, Path]) -> str:
    """Return the module of ours that holds `target`, or the name as it is."""
    while target not in files and "." in target:
        target = target.rpartition(".")[0]
    return target


def circles_in(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield a circle of imports for each module from which one is found first."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
            return
        if module in done:
            return
        for target in sorted(graph.get(module, ())):
            yield from visit(target, [*path, module])
        done.add(module)

    for module in sorted(graph):
        yield from visit(module, [])


def judge(module: str, target: str, files: dict[str, Path]) -> str | None:
    """Say what is wrong with the import of `target` by `module`, if anything is."""
    top = target.partition(".")[0]
    if top in STANDARD:
        return None
    if top != PACKAGE:
        may_import = THIRD_PARTY.get(top)
        if may_import is None:
            return f"{module} imports {top}, which is no dependency"
        return None if may_import(module) else f"{module} must not import {top}"
    # A name within a module stands for the module; one of the package itself for the package.
    target = module_of(target, files)
    ours, theirs = unit_of(module), unit_of(target)
    if theirs not in RANKS:
        return None  # which is told of that module itself
    if RANKS[theirs] > RANKS[ours]:
        return f"{module} imports {target}: that points up"
    if RANKS[theirs] == RANKS[ours] and theirs != ours:
        return f"{module} imports {target}, its neighbour"
    return None


# ---- the library -------------------------------------------------------------------------------


def test_imports_point_down() -> None:
    assert [fault for fault in find_faults(ROOT) if not fault.startswith("a circle")] == []


def test_no_circle() -> None:
    assert [fault for fault in find_faults(ROOT) if fault.startswith("a circle")] == []


def test_no_layer_is_out_of_date() -> None:
    there = {unit_of(name_of(path, ROOT)) for path in (ROOT / PACKAGE).rglob("*.py")}
    assert set(RANKS) <= there, "LAYERS names a module that is gone"


# ---- the checker -------------------------------------------------------------------------------


def tree_with(tmp_path: Path, path: str, source: str) -> Path:
    """Make a library of empty modules, one of which is `source`."""
    for unit in RANKS:
        file = tmp_path / PACKAGE / (f"{unit}/__init__.py" if unit in FOLDERS else f"{unit}.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / PACKAGE / "handshake" / "http1.py").touch()
    (tmp_path / PACKAGE / "protocol" / "frames.py").touch()
    (tmp_path / PACKAGE / path).write_text(source)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("errors.py", "import trio_wsendpoint.protocol", "points up"),
        ("protocol/frames.py", "from trio_wsendpoint.handshake import Request", "points up"),
        ("protocol/frames.py", "from ..handshake.http1 import RequestReader", "points up"),
        ("protocol/__init__.py", "from .. import connection", "points up"),
        ("protocol/frames.py", "from trio_wsendpoint import Message", "points up"),
        ("protocol/frames.py", "def late():\n    from trio_wsendpoint import session", "points up"),
        ("transport/tls.py", "from trio_wsendpoint.connection import Connection", "points up"),
        (
            "connection/__init__.py",
            "import importlib\nimportlib.import_module('trio_wsendpoint.server')",
            "up",
        ),
        (
            "errors.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from trio_wsendpoint.handshake import X",
            "points up",
        ),
        ("server/__init__.py", "from trio_wsendpoint.client import a", "its neighbour"),
        ("session/__init__.py", "import trio_wsendpoint.transport", "its neighbour"),
        ("handshake/http1.py", "import trio_wsendpoint.extensions", "its neighbour"),
        ("protocol/frames.py", "import trio", "must not import trio"),
        ("session/__init__.py", "import trio", "must not import trio"),
        ("handshake/http1.py", "from trio.lowlevel import checkpoint", "must not import trio"),
        ("extensions/__init__.py", "import trio.testing", "must not import trio"),
        ("handshake/__init__.py", "import h11", "must not import h11"),
        ("protocol/frames.py", "import idna", "must not import idna"),
        ("protocol/frames.py", "from isal import isal_zlib", "must not import isal"),
        ("protocol/frames.py", "import cython", "must not import cython"),
        ("server/__init__.py", "import websockets", "no dependency"),
        ("handshake/http1.py", "from trio_wsendpoint.handshake import http1", "a circle"),
        (
            "errors.py",
            "import typing\nif typing.TYPE_CHECKING:\n    import trio\n",
            "must not import trio",
        ),
        ("novelty.py", "", "has no layer"),
    ],
)
def test_the_checker_finds(tmp_path: Path, path: str, source: str, expected: str) -> None:
    [fault] = find_faults(tree_with(tmp_path, path, source))
    assert expected in fault


def test_the_checker_finds_a_circle_of_three(tmp_path: Path) -> None:
    root = tree_with(tmp_path, "server/a.py", "from trio_wsendpoint.server import b")
    (root / PACKAGE / "server/b.py").write_text("from trio_wsendpoint.server.c import x")
    (root / PACKAGE / "server/c.py").write_text("import trio_wsendpoint.server.a")
    [fault] = find_faults(root)
    assert fault.startswith("a circle: trio_wsendpoint.server.a -> ")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("errors.py", "import enum\nfrom collections.abc import Callable"),
        ("protocol/__init__.py", "from trio_wsendpoint.protocol.frames import Frame"),
        (
            "protocol/frames.py",
            "from . import opcodes\nfrom trio_wsendpoint.errors import PeerError",
        ),
        ("handshake/http1.py", "import h11\nfrom trio_wsendpoint import errors"),
        ("handshake/__init__.py", "import idna"),
        ("extensions/__init__.py", "import importlib\nimportlib.import_module('isal.isal_zlib')"),
        (
            "connection/__init__.py",
            "import outcome\nimport trio\nfrom trio_wsendpoint.protocol import Endpoint",
        ),
        ("__init__.py", "from trio_wsendpoint.server import serve_endpoint"),
    ],
)
def test_the_checker_lets_pass(tmp_path: Path, path: str, source: str) -> None:
    assert find_faults(tree_with(tmp_path, path, source)) == []

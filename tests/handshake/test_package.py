import ast
from pathlib import Path

import trio_wsendpoint.handshake as package
from trio_wsendpoint.handshake import http1

FOLDER = Path(package.__file__).parent
BELOW = (
    "trio_wsendpoint.errors",
    "trio_wsendpoint.options",
    "trio_wsendpoint.protocol.extension",
    "trio_wsendpoint._public",
)


def imports():
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path.name, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield path.name, node.module


def test_imports_point_down():
    ours = [name for _, name in imports() if name.startswith("trio")]
    assert ours
    for name in ours:
        assert name.startswith("trio_wsendpoint.handshake.") or name in BELOW


def test_only_http1_imports_h11():
    assert {file for file, name in imports() if name.startswith("h11")} == {"http1.py"}


def test_every_public_name_is_there_and_documented():
    for name in package.__all__:
        assert hasattr(package, name)
        if name not in {"HeaderItems", "Origins"}:
            assert getattr(package, name).__doc__
    assert set(http1.__all__) <= set(package.__all__)

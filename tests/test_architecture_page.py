"""docs/architecture.md names only what is there: classes, their methods and attributes, files."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import FunctionType

import pytest

from trio_wsendpoint.connection.lease import Lease
from trio_wsendpoint.connection.writer import Writing
from trio_wsendpoint.session.phases import Phase
from trio_wsendpoint.session.session import Ending

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def classes() -> dict[str, set[type]]:
    """Return the classes of the library by their names, which folders may share."""
    found: dict[str, set[type]] = {}
    paths = [str(ROOT / "trio_wsendpoint")]
    for module in pkgutil.walk_packages(paths, "trio_wsendpoint."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(value) and value.__module__.startswith("trio_wsendpoint"):
                found.setdefault(name, set()).add(value)
    return found


CLASSES = classes()


def attributes_set_by(cls: type) -> Iterator[str]:
    """Yield what the methods of a class, or of its bases of ours, assign to `self`."""
    for base in cls.__mro__:
        if not base.__module__.startswith("trio_wsendpoint"):
            continue
        for method in vars(base).values():  # the class's own source is not in its public module
            function = method.fget if isinstance(method, property) else inspect.unwrap(method)
            if inspect.isfunction(function) and "<" not in function.__code__.co_filename:
                yield from attributes_set_in(function)


def attributes_set_in(function: FunctionType) -> Iterator[str]:
    """Yield what one method assigns to `self`."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            yield node.attr


def missing_from(page: str) -> list[str]:
    """Return each `Class.name` in backticks on a page that the library does not have."""
    missing: list[str] = []
    for name, attribute in sorted(set(re.findall(r"`([A-Z]\w*)\.(\w+)", page))):
        if not any(
            hasattr(cls, attribute) or attribute in attributes_set_by(cls)
            for cls in CLASSES.get(name, ())
        ):
            missing.append(f"{name}.{attribute}")
    return missing


def test_every_method_and_attribute_is_there() -> None:
    assert len(re.findall(r"`[A-Z]\w*\.\w+", PAGE)) > 100
    assert missing_from(PAGE) == []


@pytest.mark.parametrize(
    "name", ["Session.no_such_method", "NoSuchClass.run", "Reader.no_such_lease"]
)
def test_what_is_not_there_is_found(name: str) -> None:
    assert missing_from(f"then `{name}()` is called, by `Session.advance`") == [name]


@pytest.mark.parametrize("name", ["Endpoint.held", "Writing.TASK", "Timeouts.drain"])
def test_attributes_of_each_kind_are_found(name: str) -> None:
    assert missing_from(f"`{name}`") == []


def test_every_file_is_there() -> None:
    names = set(re.findall(r"`((?:\w+/)*(?:\w+\.py|\w+/))`", PAGE))
    assert "protocol/codec.py" in names
    places = ROOT, ROOT / "trio_wsendpoint"
    assert [name for name in sorted(names) if not any((p / name).exists() for p in places)] == []


@pytest.mark.parametrize("kind", [Lease, Writing, Phase, Ending])
def test_every_member_is_told(kind: type[Enum]) -> None:
    members = [f"{kind.__name__}.{member.name}" for member in kind]
    missing = [member for member in members if f"`{member}`" not in PAGE]
    assert missing in ([], ["Ending.NOTHING"])

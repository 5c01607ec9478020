"""What may be imported is there, told, and typed; and the library neither prints nor asserts."""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import pickle
import pkgutil
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trio_wsendpoint

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "trio_wsendpoint"
SOURCES = sorted(LIBRARY.rglob("*.py"))
MODULES = sorted(
    module.name for module in pkgutil.walk_packages([str(LIBRARY)], "trio_wsendpoint.")
)


def public_names() -> Iterator[tuple[str, str]]:
    """Yield each public name of each module, with the module."""
    for module in ["trio_wsendpoint", *MODULES]:
        for name in getattr(importlib.import_module(module), "__all__", ()):
            yield module, name


NAMES = list(public_names())


def functions_of(value: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield a public function, or a class's own public methods and properties."""
    if inspect.isfunction(value):
        yield value.__qualname__, value
    if not inspect.isclass(value):
        return
    for name, member in vars(value).items():
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property):
            assert member.fget is not None
            yield member.fget.__qualname__, member.fget
        elif inspect.isfunction(inspect.unwrap(getattr(member, "__func__", member))):
            yield f"{value.__qualname__}.{name}", getattr(member, "__func__", member)


FUNCTIONS = sorted(
    {
        (name, function.__module__): function
        for module, public in NAMES
        for name, function in functions_of(getattr(importlib.import_module(module), public))
        if function.__module__.startswith("trio_wsendpoint")
        # What dataclasses write themselves has the fields for annotations.
        and function.__code__.co_filename != "<string>"
    }.items()
)


@pytest.mark.parametrize("module", ["trio_wsendpoint", *MODULES])
def test_a_module_says_what_it_is_and_what_is_public(module: str) -> None:
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    if module != "trio_wsendpoint._version":
        names = loaded.__all__
        assert sorted(set(names)) == sorted(names), "no name twice"
        assert [name for name in names if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("name", trio_wsendpoint.__all__)
def test_a_public_name_has_a_docstring_of_its_own(name: str) -> None:
    value = getattr(trio_wsendpoint, name)
    if name in {"Handler", "HttpHandler", "ProcessRequest"}:
        assert typing.get_origin(value) is Callable, "the type of a function"
    elif name not in {"__version__", "codec_kind"}:
        assert inspect.isclass(value) or inspect.isfunction(value), name
        assert value.__doc__, name
        if dataclasses.is_dataclass(value):
            assert not value.__doc__.startswith(f"{name}("), "that is what dataclasses write"


def test_every_public_name_is_in_the_documentation() -> None:
    told = (ROOT / "docs" / "index.md").read_text()
    missing = [name for name in trio_wsendpoint.__all__ if f"`{name}`" not in told]
    assert missing == [], "tell of them in docs/index.md"


def test_the_names_are_in_order() -> None:
    assert trio_wsendpoint.__all__ == sorted(trio_wsendpoint.__all__)


@pytest.mark.parametrize(
    "function",
    [pytest.param(function, id=f"{module}:{name}") for (name, module), function in FUNCTIONS],
)
def test_a_public_function_is_told_and_annotated(function: Callable[..., Any]) -> None:
    if function.__name__ != "__init__":  # whose parameters the class's docstring tells
        assert inspect.getdoc(function), f"{function.__qualname__} has no docstring"
    parameters = inspect.signature(function).parameters
    named = [name for name in parameters if name not in {"self", "cls"}]
    missing = {*named, "return"} - set(function.__annotations__)
    assert not missing, f"{function.__qualname__}: {missing}"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=name)
        for name in trio_wsendpoint.__all__
        if inspect.isclass(value := getattr(trio_wsendpoint, name))
    ],
)
def test_annotations_mean_something(value: type) -> None:
    if issubclass(value, enum.Enum):
        return
    # Raises NameError for an annotation that names what is not there.
    hints = typing.get_type_hints(value)
    for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
        assert field.name in hints


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in SOURCES])
def test_the_library_neither_prints_nor_asserts(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: an assert"
        if isinstance(node, ast.Name):
            assert node.id not in {"print", "breakpoint"}, f"{path}:{node.lineno}: {node.id}"


def test_type_checkers_are_told_that_there_are_types() -> None:
    assert (LIBRARY / "py.typed").exists()


#: The packages that an app imports from; `tests/test_layers.py` has the others.
PACKAGES = ["", ".addressing", ".asgi", ".handshake", ".http", ".hub", ".testing"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_class_says_where_it_is_imported_from(package: str) -> None:
    loaded = importlib.import_module(f"trio_wsendpoint{package}")
    told = {loaded.__name__, "trio_wsendpoint"}
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__ in told, f"{name}: publish() it in {loaded.__name__}"


def test_a_class_of_a_public_package_can_still_be_pickled_by_its_name() -> None:
    for value in (trio_wsendpoint.Limits, trio_wsendpoint.CloseCode, trio_wsendpoint.broadcast):
        assert pickle.loads(pickle.dumps(value)) is value

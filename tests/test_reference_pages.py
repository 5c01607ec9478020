"""The reference pages have every option, exception, close code, log record and public name."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_wsendpoint
from trio_wsendpoint import CloseCode, InvalidCloseCode, PeerError, asgi, http, hub, workers
from trio_wsendpoint.protocol import CloseFrame

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: The command has pages of its own.
SOURCES = [path for path in (ROOT / "trio_wsendpoint").rglob("*.py") if "cli" not in path.parts]
#: Every exception that an app may meet, by its name.
EXCEPTIONS = {
    name: made
    for package in (trio_wsendpoint, hub, workers, asgi)
    for name in package.__all__
    if inspect.isclass(made := getattr(package, name)) and issubclass(made, BaseException)
} | {"Unauthorized": http.Unauthorized}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


# ---- exceptions ----------------------------------------------------------------------------------


def rows_of_exceptions() -> dict[str, list[str]]:
    """Return the cells behind the name of each exception."""
    rows = re.findall(r"^\| `([A-Z]\w+)` \| (.*) \|$", page("exceptions"), re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def test_every_exception_is_told() -> None:
    assert sorted(rows_of_exceptions()) == sorted(EXCEPTIONS)


def test_what_an_exception_is_in_addition_is_true() -> None:
    for name, (also, *_) in rows_of_exceptions().items():
        made = EXCEPTIONS[name]
        for base in re.findall(r"`([\w.]+)`", also):
            outside: Any = getattr(trio, base.removeprefix("trio."), getattr(builtins, base, None))
            assert issubclass(made, EXCEPTIONS.get(base, outside)), (name, base)
        if also.isdigit():
            assert issubclass(made, PeerError)
            assert made.close_code == int(also)


def test_what_to_do_is_said_of_each_that_is_raised_itself() -> None:
    for name, (_, when, what) in rows_of_exceptions().items():
        assert what or when.startswith("never itself"), name


# ---- close codes ---------------------------------------------------------------------------------


def codes_in_the_source() -> set[int]:
    """Return the codes that the library's code names for a Close frame of its own."""
    found: set[int] = {made.close_code for made in all_peer_errors()}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                for argument in [*node.args, *(one.value for one in node.keywords)]:
                    names = re.findall(r"\bCloseCode\.(\w+)", ast.unparse(argument))
                    found.update(CloseCode[name] for name in names)
    return found


def all_peer_errors() -> Iterator[type[PeerError]]:
    yield from (made for made in EXCEPTIONS.values() if issubclass(made, PeerError))


def test_every_code_that_is_sent_is_told() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page("close-codes"), re.MULTILINE)}
    never_sent = {CloseCode.ABNORMAL_CLOSURE, CloseCode.NO_STATUS}
    assert {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013} == told
    assert codes_in_the_source() - never_sent <= told


@pytest.mark.parametrize("code", [1004, 1005, 1006, 1015])
def test_no_app_can_send_what_is_said_never_to_be_sent(code: int) -> None:
    with pytest.raises(InvalidCloseCode):
        CloseFrame(code)


# ---- log records ---------------------------------------------------------------------------------

LEVELS = {"debug", "info", "warning", "error", "exception", "log", "_log"}
#: Records whose text is made elsewhere; the page tells of each in words.
MADE_ELSEWHERE = {"%s"}


def texts_of_records(source: str) -> Iterator[str]:
    """Yield the text of each record that a module writes."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = ast.unparse(node.func.value).lower()
        if node.func.attr not in LEVELS or not (
            owner.endswith(("logger", "session")) or owner == "self"
        ):
            continue
        for argument in node.args[:2]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def missing_records(told: str) -> set[str]:
    written = {text for path in SOURCES for text in texts_of_records(path.read_text())}
    assert len(written) > 25
    return {text for text in written - MADE_ELSEWHERE if f"`{text}`" not in told}


def test_every_record_is_told() -> None:
    assert missing_records(page("log-records")) == set()


def test_a_record_that_is_not_told_is_found() -> None:
    told = page("log-records").replace("`the handler failed`", "")
    assert missing_records(told) == {"the handler failed"}


def test_no_record_is_told_that_is_not_written() -> None:
    told = re.findall(r"^\| `(.*?)` \|", page("log-records"), re.MULTILINE)
    written = {text for path in SOURCES for text in texts_of_records(path.read_text())}
    assert sorted(told) == sorted(set(told))
    assert set(told) - written == set()


# ---- names ---------------------------------------------------------------------------------------

#: The types of functions, and values, which the index tells of.
NOT_DESCRIBED = {"Handler", "HttpHandler", "ProcessRequest", "__version__", "codec_kind"}
PACKAGES = {
    "trio_wsendpoint": NOT_DESCRIBED,
    "trio_wsendpoint.asgi": {"Application", "LifespanMode"},
    "trio_wsendpoint.hub.redis": set[str](),
    "trio_wsendpoint.metrics.opentelemetry": set[str](),
    "trio_wsendpoint.metrics.prometheus": set[str](),
    "trio_wsendpoint.hub": {"Item", "Policy", "Reason", "Wrap"},
    "trio_wsendpoint.testing": {"KINDS", "Kind"},
    "trio_wsendpoint.workers": set[str](),
}


def described() -> list[str]:
    pages = "".join(path.read_text() for path in sorted(DOCS.glob("api-*.md")))
    return re.findall(r"^\.\. auto\w+:: ([\w.]+)$", pages, re.MULTILINE)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_described_once(package: str) -> None:
    names = importlib.import_module(package).__all__
    expected = {f"{package}.{name}" for name in names if name not in PACKAGES[package]}
    found = described()
    assert expected - set(found) == set(), "name it on a page docs/api-*.md"
    assert sorted(found) == sorted(set(found))


def test_what_is_described_exists() -> None:
    for path in described():
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path

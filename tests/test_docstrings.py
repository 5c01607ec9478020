"""Each public async function says what happens when it is cancelled, and then what it raises."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

#: What an app awaits is in these.
PACKAGES = ["", ".asgi", ".http", ".hub", ".hub.redis", ".metrics", ".testing", ".tls", ".workers"]
FIELDS = ("If cancelled: ", "Raises: ")
#: What an app implements, and does not call.
PROTOCOLS = {"Messages"}


def async_functions(package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield each async function of a package, and each async method that does not begin with _."""
    module = importlib.import_module(f"trio_wsendpoint{package}")
    for name in module.__all__:
        value = getattr(module, name)
        members = vars(value) if inspect.isclass(value) and name not in PROTOCOLS else {"": value}
        for member, function in members.items():
            if not member.startswith("_") and is_async(function):
                yield f"{name}.{member}".rstrip("."), function


def is_async(value: object) -> bool:
    return callable(value) and inspect.iscoroutinefunction(inspect.unwrap(value))


FUNCTIONS = dict(found for package in PACKAGES for found in async_functions(package))


def faults_of(docstring: str) -> list[str]:
    """Return what is wrong with the fields of a docstring."""
    lines = [line.strip() for line in docstring.splitlines()]
    found = [field for line in lines for field in FIELDS if line.startswith(field)]
    return [] if found == list(FIELDS) else [f"it has {found}"]


def test_there_are_functions() -> None:
    assert len(FUNCTIONS) > 40
    assert {"Connection.send", "run_endpoint", "EndpointServer.drain"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_cancellation_and_errors_are_told_in_this_order(name: str) -> None:
    assert faults_of(inspect.getdoc(FUNCTIONS[name]) or "") == []


@pytest.mark.parametrize(
    "docstring",
    [
        "Wait.",
        "Wait.\n\nIf cancelled: nothing.",
        "Wait.\n\nRaises: nothing.\nIf cancelled: nothing.",
        "Wait.  If cancelled: nothing.  Raises: nothing.",
    ],
)
def test_what_is_missing_or_out_of_order_is_found(docstring: str) -> None:
    assert faults_of(docstring) != []

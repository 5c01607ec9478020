"""What holds for every test here: a clock that jumps, and everything logged is recorded."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.connection.helpers import CurrentForm, Form


def run_under_mock_clock(main: Callable[[], Awaitable[Any]], **options: Any) -> Any:
    """Run a test under a clock that passes only when nothing else can happen."""
    return trio.run(main, **options | {"clock": trio.testing.MockClock(autojump_threshold=0)})


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Put our runner before the one that pytest-trio's `trio_mode` appends."""
    for item in items:
        if item.path.parent == Path(__file__).parent and iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.trio(run=run_under_mock_clock), append=False)


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Record everything that the library logs."""
    with caplog.at_level(logging.DEBUG, logger="trio_wsendpoint"):
        yield


@pytest.fixture(autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[Form]:
    """Let the streams be of the form that the test asks for with `both_forms`, or plain."""
    CurrentForm.form = getattr(request, "param", "plain")
    yield CurrentForm.form
    CurrentForm.form = "plain"

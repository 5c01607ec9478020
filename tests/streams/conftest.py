"""Every test here runs under a clock that jumps."""

from __future__ import annotations

from inspect import iscoroutinefunction
from pathlib import Path

import pytest

from .helpers import run_under_mock_clock


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Put our runner before the one that pytest-trio's `trio_mode` appends."""
    for item in items:
        if item.path.parent == Path(__file__).parent and iscoroutinefunction(item.obj):
            item.add_marker(pytest.mark.trio(run=run_under_mock_clock), append=False)


@pytest.fixture(params=["plain", "deflate"])
def deflated(request: pytest.FixtureRequest) -> bool:
    """Run the test without compression, and with it."""
    return bool(request.param == "deflate")

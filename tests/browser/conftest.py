"""What the tests of pages share: where the browser is."""

from __future__ import annotations

import os

import pytest

from tests.browser.chromium import find


@pytest.fixture
def executable() -> str:
    """Where the browser is; where there is none, CI fails and others go on."""
    found = find()
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("chromium is missing: .ci/run installs it")
    if found is None:
        pytest.skip("chromium is not installed")
    return found

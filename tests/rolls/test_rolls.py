"""A short run: more are `python -m tests.rolls`'s."""

from __future__ import annotations

import os

import pytest

from .__main__ import main


@pytest.mark.skipif(os.name != "posix", reason="processes share sockets by number on POSIX")
@pytest.mark.component
async def test_no_client_is_refused_while_processes_take_turns() -> None:
    counts = await main(2, 5)
    assert counts["rolls"] == 2
    assert counts["opened"] > 0
    assert (counts["refused"], counts["lost"]) == (0, 0)
    assert counts["processes that ended in order"] == 3

"""A short run: more are `python -m tests.rolls`'s."""

from __future__ import annotations

import os
import sys

import pytest

from tests.rolls import workers
from tests.rolls.__main__ import main


@pytest.mark.skipif(os.name != "posix", reason="processes share sockets by number on POSIX")
@pytest.mark.component
async def test_no_client_is_refused_while_processes_take_turns() -> None:
    counts = await main(2, 5)
    assert counts["rolls"] == 2
    assert counts["opened"] > 0
    assert (counts["refused"], counts["lost"]) == (0, 0)
    assert counts["processes that ended in order"] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
@pytest.mark.component
async def test_no_client_is_refused_while_workers_are_killed_and_rolled() -> None:
    found = await workers.main(2, 3, 40, 0.5)
    killed = found["a worker is killed"]
    assert killed["lost, of the killed worker"] == killed["held, on the killed worker"]
    assert found["2 rolls"]["opened"] > 0
    assert found["2 rolls"]["idle, told 1012"] == found["2 rolls"]["idle, back"] == 40
    assert workers.faults_of(found) == 0, found

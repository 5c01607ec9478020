"""What compression and streams may cost, each in a fresh process; the figures are printed.

`pytest -s tests/deflate/test_memory.py` shows them; see `measure` for what they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MB = 1_000_000


def measured(how: str, scenario: str, variant: str) -> dict[str, int]:
    """Run a scenario in a process of its own."""
    arguments = [how, scenario, variant]
    done = subprocess.run(
        [sys.executable, "-m", "tests.deflate.measure", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, int] = json.loads(done.stdout)
    print(*arguments, figures)
    return figures


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="there is no /proc to ask"
)
each_count = pytest.mark.parametrize("how", [pytest.param("rss", marks=needs_proc), "traced"])


@each_count
@pytest.mark.parametrize("variant", ["waiting", "late", "streaming"])
def test_a_bomb_costs_less_than_3_mb(how: str, variant: str) -> None:
    """64 KB that inflate to 64 MiB, to an app that waits, comes later, or takes it in pieces."""
    figures = measured(how, "bomb", variant)
    assert figures["code"] == 1009
    assert figures["wire"] < 66_000
    assert figures["cost"] < 3 * MB


@each_count
def test_60_messages_of_1_mib_to_an_app_that_does_not_read(how: str) -> None:
    assert measured(how, "flood", "late")["cost"] < 3 * MB


@needs_proc
@pytest.mark.parametrize("variant", ["plain", "deflate"])
def test_a_message_of_200_mib_streams_through(variant: str) -> None:
    """Through both ends, in one process, in less than 2 MB."""
    assert measured("rss", "large", variant)["cost"] < 2 * MB


@needs_proc
def test_an_idle_connection_costs_at_most_3_kib_more() -> None:
    """A thousand connections: never compressed, and compressed without context takeover."""
    plain = measured("rss", "idle", "plain")["cost"]
    assert plain < 64 * 1024
    for variant in ["unused", "forgetful"]:
        assert measured("rss", "idle", variant)["cost"] - plain <= 3 * 1024

"""`python -m tests.redis_faults` in small: its counts hold, and it finds what it looks for."""

from __future__ import annotations

import pytest
import trio

from tests import redis_faults
from tests.hub.redis.servers import needs_redis
from tests.redis_faults import Run, Subscriber, is_told, report, try_mode
from trio_wsendpoint.hub import Entry, Publication


@pytest.mark.parametrize("mode", redis_faults.MODES)
@needs_redis[0]
@needs_redis[1]
@needs_redis[2]
async def test_the_counts_hold(mode, monkeypatch, capsys):
    monkeypatch.setattr(redis_faults, "BETWEEN", 0.3)
    monkeypatch.setattr(redis_faults, "LIVE", redis_faults.PATIENCE)  # a test judges no time
    assert await try_mode(mode, kills=2, freezes=0, subscribers=2), capsys.readouterr().out


def test_a_gap_counts_where_the_message_is_missing():
    assert is_told("p.2 0", ["p.1 0", None, "p.3 0"])
    assert is_told("p.2 0", ["p.1 0", "q.9 0", None])
    assert not is_told("p.2 0", [None, "p.1 0", "p.3 0", None])
    assert not is_told("p.2 0", ["p.1 0"])


def heard(*texts: str) -> Subscriber:
    ear = Subscriber()
    for number, text in enumerate(texts):
        ear.deliver([Entry(Publication("a", text), None, "name", number + 1)])
    return ear


@pytest.mark.parametrize(
    ("ear", "expected"),
    [
        (heard("p.0 0", "p.1 1"), True),
        (heard("p.0 0"), False),  # lost, and not told
        (heard("p.0 0", "p.1 1", "p.1 1"), False),  # doubled
    ],
)
async def test_what_is_wrong_is_found(ear, expected, capsys):
    run = Run("none")
    run.acked["a"] = ["p.0 0", "p.1 1"]
    assert report(run, [ear], {"kill": [0.1]}, [], 0) is expected
    assert report(run, [ear], {"kill": [0.1]}, [], 1) is False
    assert report(run, [ear], {"kill": [0.1, 2.1]}, [], 0) is False
    await trio.lowlevel.checkpoint()

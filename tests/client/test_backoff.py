"""How long a client waits: bounds of each wait, what a server asked for, what is refused."""

from __future__ import annotations

import random

import pytest

from trio_wsendpoint import Backoff, Headers
from trio_wsendpoint.client.backoff import retry_after


class Extreme:
    """Draws the smallest, or the largest, number there is."""

    def __init__(self, *, largest):
        self._largest = largest

    def uniform(self, a, b):
        return b if self._largest else a


def bounds(start, failures, after=0.0, **options):
    return tuple(
        Backoff(rng=Extreme(largest=largest), **options).delay(start, failures, after)
        for largest in (False, True)
    )


@pytest.mark.parametrize(
    ("start", "failures", "expected"),
    [
        ("spread", 0, (0.1, 5)),
        ("later", 0, (0.1, 1)),
        ("busy", 0, (0.1, 5)),
        ("now", 0, (0.1, 0.1)),
        # Without health, how it ended makes no difference, except for "busy".
        ("spread", 1, (0.1, 1)),
        ("now", 1, (0.1, 1)),
        ("later", 1, (0.1, 1)),
        ("later", 2, (0.1, 2)),
        ("later", 5, (0.1, 16)),
        ("later", 6, (0.1, 30)),  # full jitter at the cap once, which spreads the clients
        ("later", 7, (22.5, 30)),
        ("later", 10_000, (22.5, 30)),
        ("busy", 1, (0.1, 5)),
        ("busy", 3, (0.1, 20)),
        ("busy", 4, (0.1, 30)),
        ("busy", 5, (22.5, 30)),
    ],
)
def test_the_bounds_of_a_wait(start, failures, expected):
    assert bounds(start, failures) == expected


def test_what_the_server_asked_for_is_the_least():
    assert bounds("busy", 1, after=7.0) == (7.0, 7.0 + 3.5)
    assert bounds("busy", 1, after=120.0) == (120.0, 120.0 + 15.0)
    assert bounds("busy", 5, after=1.0) == (22.5, 30.0)


def test_the_options_are_used():
    assert bounds("later", 3, base=2, factor=3, cap=100, floor=0.5) == (0.5, 18)
    assert bounds("spread", 0, spread=60, floor=0.5) == (0.5, 60)
    assert bounds("later", 3, factor=1, cap=1, busy=1) == (0.75, 1)


def test_the_same_seed_draws_the_same():
    def drawn(seed):
        backoff = Backoff(rng=random.Random(seed))
        return [backoff.delay("later", failures) for failures in range(1, 20)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_by_default_two_do_not_draw_the_same():
    assert [Backoff().delay("spread", 0) for _ in range(3)] != [
        Backoff().delay("spread", 0) for _ in range(3)
    ]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"base": 0.01}, ValueError, "Backoff.base must be at least 0.1 s"),
        ({"factor": 0.5}, ValueError, "Backoff.factor must be at least 1,"),
        ({"cap": float("inf")}, ValueError, "Backoff.cap .* finite: inf"),
        ({"spread": float("nan")}, ValueError, "Backoff.spread"),
        ({"floor": -1}, ValueError, "Backoff.floor must be at least 0 s"),
        ({"floor": "1"}, TypeError, "Backoff.floor must be a number"),
        ({"healthy": True}, TypeError, "Backoff.healthy must be a number"),
        ({"cap": 2}, ValueError, "Backoff.cap must be at least base and busy, 5 s, not 2"),
        ({"rng": 4}, TypeError, "Backoff.rng must have uniform"),
    ],
)
def test_options_that_make_no_sense(options, error, says):
    with pytest.raises(error, match=says):
        Backoff(**options)


# ---- Retry-After -------------------------------------------------------------------------------

NOON = "Sat, 28 Nov 2026 12:00:00 GMT"
LATER = "Sat, 28 Nov 2026 12:01:30 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "9" * 400}, float("inf")),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1.5"}, None),
        # From the server's own clock, whatever ours says.
        ({"Retry-After": LATER, "Date": NOON}, 90.0),
        ({"Retry-After": NOON, "Date": LATER}, 0.0),
        ({"Retry-After": LATER, "Date": "yesterday"}, 90.0),
        ({"Retry-After": LATER}, 90.0),
    ],
)
def test_retry_after(headers, expected):
    assert retry_after(Headers(headers), wall_clock=lambda: 1795867200.0) == expected

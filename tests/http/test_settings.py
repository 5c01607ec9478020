import math

import pytest

from trio_wsendpoint.http import HttpLimits


def test_the_defaults():
    limits = HttpLimits()
    assert (limits.body_size, limits.drain, limits.requests) == (1 << 20, 1 << 16, 1000)
    # A load balancer closes after 60 s: it must be the one to close first.
    assert limits.idle > 60
    assert limits.handler == math.inf


def test_what_is_allowed():
    assert HttpLimits(body_size=None).body_size is None
    assert HttpLimits(body_size=0, drain=0, requests=1, idle=1, body_rate=1).idle == 1


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"body_size": -1}, ValueError, r"HttpLimits\.body_size must be at least 0, not -1"),
        ({"requests": 0}, ValueError, "at least 1"),
        ({"body_rate": 0}, ValueError, "at least 1"),
        ({"drain": -1}, ValueError, "at least 0"),
        ({"drain": None}, TypeError, "must be an int, not None"),
        ({"drain": 1.5}, TypeError, "must be an int"),
        ({"requests": True}, TypeError, "must be an int"),
        ({"idle": 0}, ValueError, r"HttpLimits\.idle must be more than 0 s"),
        ({"idle": math.nan}, ValueError, "more than 0 s"),
        ({"handler": None}, TypeError, "must be seconds, not None"),
        ({"body_time": "1"}, TypeError, "must be seconds"),
    ],
)
def test_what_is_refused(options, error, expected):
    with pytest.raises(error, match=expected):
        HttpLimits(**options)

from __future__ import annotations

import pytest

from trio_wsendpoint.hub.redis.places import Followed, Found, Pace, StreamFacts, judge, order


def facts(last="9-0", first="5-0", added=9, length=5):
    return StreamFacts(last, first, added, length)


@pytest.mark.parametrize(
    ("place", "now", "is_there", "expected"),
    [
        # the entry itself is there: nothing is missing behind it
        ("7-0", facts(), True, Found("7-0")),
        # it is the newest, though trimmed by age
        ("9-0", facts(first=None, length=0), False, Found("9-0")),
        # behind the end: what was acknowledged is lost
        ("12-0", facts(), False, Found("9-0", "restarted")),
        ("7-0", StreamFacts(), False, Found("0-0", "restarted")),
        # before the oldest that is there
        ("3-0", facts(), False, Found("3-0", "trimmed")),
        ("3-0", facts(first=None, length=0), False, Found("3-0", "trimmed")),
        # between two that are there: the end was lost, and others came
        ("7-5", facts(), False, Found("7-5", "restarted")),
        # before the first message of all
        ("0-0", StreamFacts(), False, Found("0-0")),
        ("0-0", facts(added=5), False, Found("0-0")),
        ("0-0", facts(), False, Found("0-0", "trimmed", 4)),
    ],
)
def test_what_became_of_a_place(place, now, is_there, expected):
    assert judge(place, now, is_there=is_there, is_same_epoch=True) == expected


def test_another_epoch_means_nothing_of_a_place():
    found = judge("7-0", facts(), is_there=True, is_same_epoch=False)
    assert found == Found("0-0", "restarted")


def test_ids_are_ordered_as_numbers():
    assert order("9-10") > order("9-9") > order("9-0") == order("9")
    assert order("10-0") > order("9-10")


def test_a_topic_is_new_until_it_has_a_place():
    followed = Followed()
    assert followed.follow("a")
    assert not followed.follow("a")
    assert [*followed.new] == ["a"]
    assert followed.begin("a", "1-0")
    assert [*followed.new] == []
    assert not followed.follow("a")
    followed.advance("a", "2-0")
    assert followed.places == {"a": "2-0"}


def test_what_is_not_followed_any_more_gets_no_place():
    followed = Followed()
    followed.follow("a")
    followed.unfollow("a")
    assert not followed.begin("a", "1-0")
    followed.advance("a", "2-0")
    assert followed.places == {}
    assert "a" not in followed
    assert len(followed) == 0


def test_the_pace_bounds_an_answer():
    pace = Pace(budget=1_000_000)
    assert pace.count(1) == Pace.MOST
    pace.note([100_000])
    assert pace.count(1) == 10
    assert pace.count(5) == 2
    assert pace.count(1000) == 1
    for _ in range(100):
        pace.note([10])
    assert pace.count(1) == Pace.MOST

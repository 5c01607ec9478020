"""Numbers of messages: a hole is a loss, a repeat is none."""

from __future__ import annotations

from trio_wsendpoint.hub.numbers import MOST_PUBLISHERS, Heard, Numbers


def test_each_topic_is_counted_by_itself() -> None:
    numbers = Numbers("me")
    assert [numbers.take(topic) for topic in "aabab"] == [1, 2, 1, 3, 2]


def test_a_number_that_did_not_leave_is_used_again() -> None:
    numbers = Numbers("me")
    assert [numbers.take("a"), numbers.take("a")] == [1, 2]
    assert not numbers.give_back("a", 1)
    assert numbers.give_back("a", 2)
    assert numbers.take("a") == 2


def test_holes_and_repeats() -> None:
    heard = Heard()
    judged = [heard.judge("one", number) for number in (5, 6, 6, 5, 9, 8)]
    assert judged == [0, 0, None, None, 2, None]
    assert heard.judge("other", 3) == 0


def test_a_hole_that_was_told_is_told_once() -> None:
    heard = Heard()
    heard.judge("one", 1)
    heard.forgive()
    assert [heard.judge("one", number) for number in (1, 4, 6)] == [None, 0, 1]


def test_a_publisher_that_was_silent_longest_is_forgotten() -> None:
    heard = Heard()
    for number in range(MOST_PUBLISHERS + 1):
        heard.judge(str(number), 1)
    assert heard.judge("0", 9) == 0
    assert heard.judge("2", 1) is None

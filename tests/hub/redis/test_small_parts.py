from __future__ import annotations

import random

import coredis.exceptions as theirs
import pytest
import trio

from trio_wsendpoint.hub import BackplaneDown, BackplaneRefused, History
from trio_wsendpoint.hub.redis.bounds import Bounds
from trio_wsendpoint.hub.redis.errors import flatten, is_passing, tell
from trio_wsendpoint.hub.redis.rows import Row, read_facts, read_rows, read_streams
from trio_wsendpoint.hub.redis.waits import Bell, Waits


class Longest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def test_waits_grow_to_their_bound_and_begin_anew():
    waits = Waits(2.0, Longest())
    assert [waits.next() for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    waits.reset()
    assert waits.next() == 0.1


def test_waits_are_spread_and_never_overflow():
    waits = Waits(2.0, random.Random(1))
    drawn = [waits.next() for _ in range(5000)]
    assert max(drawn) <= 2.0
    assert len(set(drawn)) == len(drawn)


async def test_a_bell_rung_before_is_not_missed(autojump_clock):
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()
    with trio.move_on_after(5) as scope:
        await bell.wait()
    assert scope.cancelled_caught


def test_the_length_of_a_stream_follows_the_bytes():
    bounds = Bounds(History(entries=1000, bytes=100_000))
    assert bounds.length("t", 50) == 1000
    assert bounds.length("u", 1000) == 100
    for _ in range(200):
        last = bounds.length("u", 10_000)
    assert last == 10
    assert bounds.length("v", 10**9) == 1


def test_age_is_trimmed_once_a_second_by_the_servers_time():
    bounds = Bounds(History(age=10))
    assert bounds.is_due("t", 100.0)
    assert not bounds.is_due("t", 100.5)
    assert bounds.is_due("u", 100.5)
    assert bounds.is_due("t", 101.0)
    assert bounds.oldest(50_000) == "40000-0"
    assert bounds.oldest(5_000) == "0-0"
    assert bounds.lifetime == 70_000
    assert not Bounds(History()).is_due("t", 100.0)


def test_rows_are_read_whatever_came():
    answer = [[b"1-0", [b"a", b"b"]], [b"2-0", None], None]
    assert read_rows(answer) == [Row("1-0", (b"a", b"b"))]
    assert read_rows(None) == []
    assert [*read_streams(None)] == []
    assert [*read_streams({b"k": answer})] == [(b"k", [Row("1-0", (b"a", b"b"))])]
    with pytest.raises(theirs.ResponseError):
        read_rows(theirs.ResponseError("WRONGTYPE"))


def test_a_stream_that_is_not_there_has_had_no_entry():
    assert read_facts(theirs.ResponseError("no such key")).last == "0-0"
    with pytest.raises(theirs.WrongTypeError):
        read_facts(theirs.WrongTypeError("holding the wrong kind of value"))


def test_groups_are_flattened_however_deep():
    inner = theirs.ConnectionError("gone")
    deep = ExceptionGroup("", [ExceptionGroup("", [ValueError()]), ExceptionGroup("", [inner])])
    assert flatten(deep) is inner
    ours = BackplaneRefused("no")
    assert flatten(ExceptionGroup("", [deep, ours])) is ours
    assert tell(ExceptionGroup("", [deep, ours]), "h") is ours


def test_errors_are_told_with_the_place_on_one_line():
    told = tell(theirs.ConnectionError("a\nb\x1b[31m"), "h:6379")
    assert isinstance(told, BackplaneDown)
    assert str(told) == "Redis at h:6379: ConnectionError: a\\nb\\x1b[31m"
    assert isinstance(tell(theirs.AuthenticationError("WRONGPASS"), "h"), BackplaneRefused)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (theirs.ReadOnlyError("can't write"), True),
        (theirs.BusyLoadingError("loading"), True),
        (theirs.ResponseError("MASTERDOWN Link is down"), True),
        (theirs.ResponseError("OOM command not allowed"), False),
        (theirs.WrongTypeError("wrong kind"), False),
    ],
)
def test_which_refusals_pass(error, expected):
    assert is_passing(error) is expected

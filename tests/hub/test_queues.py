"""A subscriber's queue, against a model that keeps all it ever got."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.helpers import delivery
from trio_wsendpoint.hub import (
    Block,
    Close,
    Delivery,
    DropNewest,
    DropOldest,
    Gap,
    Latest,
    Policy,
    Replay,
)
from trio_wsendpoint.hub.backplane import Entry, Publication
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.queues import Queue, join_gaps

OFFERS = st.tuples(
    st.just("offer"), st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 900)
)
TELLS = st.tuples(st.just("tell"), st.sampled_from("ab"), st.none(), st.integers(1, 3))
TAKES = st.tuples(st.just("take"), st.none(), st.none(), st.just(0))
STEPS = st.lists(st.one_of(OFFERS, OFFERS, TELLS, TAKES), max_size=30)
KINDS: list[type[Policy]] = [Block, DropOldest, DropNewest, Latest]
POLICIES = st.builds(
    lambda kind, size: kind(bytes=size), st.sampled_from(KINDS), st.integers(1, 5000)
)


class Model:
    """What went in, in its order; what came out; what is unaccounted for between."""

    def __init__(self, policy: Policy) -> None:
        self.queue = Queue(policy)
        self.offered: list[Delivery] = []
        self.taken: list[Delivery | Gap] = []
        self.told: Counter[str] = Counter()
        self.returned: list[Delivery] = []

    def do(self, what: str, topic: str, key: str, size: int) -> None:
        if what == "offer":
            made = delivery("m" * size, topic, key, len(self.offered))
            self.offered.append(made)
            self.returned += self.queue.offer(made, 0)
        elif what == "tell":
            self.queue.tell(Gap(topic, "disconnected", size), 0)
            self.told[topic] += size
        elif (item := self.queue.take(0)) is not None:
            self.taken.append(item)
        # One message alone may be larger, and has a gap before it perhaps.
        assert self.queue.bytes <= self.queue.policy.bytes or len(self.queue) <= 2

    def drain(self) -> None:
        while not self.queue.is_empty:
            self.do("take", "", "", 0)
        assert (len(self.queue), self.queue.bytes) == (0, 0)

    @property
    def lost(self) -> Counter[str]:
        """What all gaps together say, by topic."""
        lost: Counter[str] = Counter()
        for item in self.taken:
            if isinstance(item, Gap):
                assert item.lost is not None
                lost[item.topic] += item.lost
        return lost


@given(POLICIES, STEPS)
def test_all_that_is_missing_is_told(
    policy: Policy, steps: list[tuple[str, str, str, int]]
) -> None:
    model = Model(policy)
    for step in steps:
        model.do(*step)
    model.drain()
    taken = [item for item in model.taken if isinstance(item, Delivery)]
    assert len(set(map(id, taken))) == len(taken)
    dropped = Counter(item.topic for item in model.returned)
    assert model.lost == model.told + dropped
    assert model.queue.dropped == len(model.returned)
    assert len(taken) + len(model.returned) + model.queue.replaced == len(model.offered)


@given(POLICIES.filter(lambda policy: not isinstance(policy, Latest)), STEPS)
def test_gaps_are_where_messages_are_missing(
    policy: Policy, steps: list[tuple[str, str, str, int]]
) -> None:
    """Between two messages of a topic that are no neighbours there is a gap, of the right size."""
    model = Model(policy)
    for step in steps:
        if step[0] != "tell":
            model.do(*step)
    model.drain()
    for topic in "ab":
        mine = [item for item in model.offered if item.topic == topic]
        expected = 0  # the next message of the topic that may come
        before: Delivery | Gap | None = None
        for item in model.taken:
            if item.topic != topic:
                continue
            if isinstance(item, Gap):
                assert not isinstance(before, Gap)
                expected += item.lost or 0
            else:
                assert item is mine[expected]
                expected += 1
            before = item
        assert expected == len(mine)


@given(STEPS)
def test_the_latest_value_of_each_key_comes(steps: list[tuple[str, str, str, int]]) -> None:
    model = Model(Latest(10**6))
    newest: dict[tuple[str, str | None], Delivery] = {}
    for step in steps:
        count = len(model.taken)
        model.do(*step)
        if step[0] == "offer":
            made = model.offered[-1]
            newest[made.topic, made.key] = made
        for item in model.taken[count:]:
            assert isinstance(item, Gap) or newest[item.topic, item.key] is item
    waiting = len(model.queue)
    assert waiting <= 6
    model.drain()
    last = {(i.topic, i.key): i for i in model.taken if isinstance(i, Delivery)}
    assert last == newest


@given(st.integers(1, 5000), STEPS)
def test_close_loses_nothing_until_it_is_cut(
    size: int, steps: list[tuple[str, str, str, int]]
) -> None:
    model = Model(Close(bytes=size))
    for step in steps:
        was_cut = model.queue.is_cut
        model.do(*step)
        assert was_cut or model.queue.is_cut or not model.returned
        if model.queue.is_cut:
            assert model.queue.is_empty


def test_close_drops_if_it_is_excused() -> None:
    queue = Queue(Close(bytes=1))
    first, second = delivery("1"), delivery("2")
    assert queue.offer(first, 0) == []
    assert queue.offer(second, 0, is_excused=True) == [second]
    assert [queue.take(0), queue.take(0)] == [first, Gap("t", "slow", 1)]


def test_one_message_alone_may_be_larger_than_all() -> None:
    queue = Queue(DropOldest(1))
    large, small = delivery("x" * 1000), delivery("")
    assert queue.offer(large, 0) == []
    assert queue.offer(small, 0) == [large]
    assert [queue.take(0), queue.take(0), queue.take(0)] == [Gap("t", "slow", 1), small, None]


def test_when_it_has_stalled() -> None:
    queue = Queue(DropOldest(stalled=3))
    assert queue.stalled_at == float("inf")
    queue.offer(delivery("1"), 10)
    queue.offer(delivery("2"), 12)
    assert (queue.stalled_at, queue.lag(12)) == (13, 2)
    queue.take(12.5)
    assert (queue.stalled_at, queue.lag(13)) == (15.5, 1)
    queue.note_progress(14)
    assert queue.stalled_at == 17
    queue.take(15)
    assert (queue.stalled_at, queue.lag(15)) == (float("inf"), 0)


def test_what_a_replay_has_shown_is_forgotten() -> None:
    queue = Queue(DropOldest())
    for topic, number in [("t", 1), ("u", 1), ("t", 2), ("t", 3)]:
        position = Position(topic, "e", str(number))
        entry = Entry(Publication(topic, f"{topic}{number}"), position, "p", number)
        queue.offer(Delivery(entry), 0)
    queue.forget(Replay("t", Position("t", "e", "2")))
    items = [queue.take(0), queue.take(0), queue.take(0)]
    assert [isinstance(item, Delivery) and item.message for item in items] == ["u1", "t3", False]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (None, Gap("t", "slow", 1), Gap("t", "slow", 1)),
        (Gap("t", "slow", 1), Gap("t", "slow", 2), Gap("t", "slow", 3)),
        (Gap("t", "restarted"), Gap("t", "slow", 2), Gap("t", "restarted")),
        (Gap("t", "slow", 2), Gap("t", "disconnected"), Gap("t", "disconnected")),
    ],
)
def test_gaps_that_meet(one: Gap | None, other: Gap, expected: Gap) -> None:
    assert join_gaps(one, other) == expected

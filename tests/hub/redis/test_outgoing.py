from __future__ import annotations

import random

import pytest

from trio_wsendpoint.hub import Position, Publication
from trio_wsendpoint.hub.numbers import Heard, Numbers
from trio_wsendpoint.hub.redis.outgoing import Answer, Fate, Outgoing

STORED = Answer(Fate.STORED, Position("t", "e", "1-0"))
REFUSED = Answer(Fate.REFUSED, error=ValueError("OOM"))
NOT_NOW = Answer(Fate.NOT_NOW)
UNSURE = Answer(Fate.UNSURE)


@pytest.fixture
def outgoing() -> Outgoing:
    return Outgoing(Numbers("me"))


def add(outgoing: Outgoing, *messages: str, topic: str = "t"):
    return outgoing.add([Publication(topic, message) for message in messages])


def take(outgoing: Outgoing, most: int = 100):
    return outgoing.take(most, 10**9)


def told(batch) -> list[tuple[object, int]]:
    return [(sent.publication.message, sent.number) for _, sent in batch]


def settle(outgoing: Outgoing, batch, *answers: Answer):
    return outgoing.settle([item for item, _ in batch], answers)


def test_messages_leave_in_order_with_their_numbers(outgoing):
    job, other = add(outgoing, "a", "b"), add(outgoing, "c", topic="u")
    batch = take(outgoing)
    assert told(batch) == [("a", 1), ("b", 2), ("c", 1)]
    assert settle(outgoing, batch, STORED, STORED, STORED) == [job, other]
    assert outgoing.bytes == 0
    assert not outgoing


def test_a_batch_is_bounded(outgoing):
    add(outgoing, "x" * 1000, "y" * 1000, "z")
    assert len(take(outgoing, most=1)) == 1
    assert len(outgoing.take(10, 500)) == 1
    assert len(outgoing.take(10, 500)) == 1
    assert outgoing.take(10, 500) == []


def test_an_unsure_message_goes_again_with_its_number(outgoing):
    job = add(outgoing, "a", "b")
    assert settle(outgoing, take(outgoing), STORED, UNSURE) == []
    add(outgoing, "c")
    batch = take(outgoing)
    assert told(batch) == [("b", 2), ("c", 3)]
    assert job.may_have_arrived
    assert job in settle(outgoing, batch, STORED, STORED)


def test_a_message_that_goes_again_says_behind_what_its_first_is(outgoing):
    def stored(id: str) -> Answer:
        return Answer(Fate.STORED, Position("t", "epoch", id))

    def floors(batch) -> list[str | None]:
        return [sent.floor for _, sent in batch]

    add(outgoing, "a")
    settle(outgoing, take(outgoing), stored("7-0"))
    add(outgoing, "b")
    add(outgoing, "x", topic="u")
    batch = take(outgoing)
    assert floors(batch) == [None, None]
    settle(outgoing, batch, UNSURE, UNSURE)
    add(outgoing, "c")
    batch = take(outgoing)
    assert floors(batch) == ["7-0", "0-0", None]
    settle(outgoing, batch, UNSURE, UNSURE, NOT_NOW)
    outgoing.forget_places()  # other contents have ids of their own
    assert floors(take(outgoing)) == ["0-0", "0-0", None]


def test_a_refused_message_leaves_no_hole(outgoing):
    job = add(outgoing, "a", "b")
    assert settle(outgoing, take(outgoing), REFUSED, REFUSED) == [job]
    assert not job.may_have_arrived
    assert str(job.refusal) == "OOM"
    add(outgoing, "c")
    assert told(take(outgoing)) == [("c", 1)]


def test_a_refused_message_before_a_stored_one_leaves_one(outgoing):
    job = add(outgoing, "a", "b")
    settle(outgoing, take(outgoing), REFUSED, STORED)
    assert job.may_have_arrived
    add(outgoing, "c")
    assert told(take(outgoing)) == [("c", 3)]


def test_what_could_not_be_taken_now_gets_a_later_number_if_need_be(outgoing):
    add(outgoing, "a", "b")
    settle(outgoing, take(outgoing), NOT_NOW, STORED)
    # as number 1 it would be taken for a repeat, and lost
    assert told(take(outgoing)) == [("a", 3)]


def test_what_was_unsure_keeps_its_number_whatever_comes(outgoing):
    add(outgoing, "a")
    for answer in (UNSURE, NOT_NOW, UNSURE, NOT_NOW):
        batch = take(outgoing)
        assert told(batch) == [("a", 1)]
        settle(outgoing, batch, answer)


def test_a_call_that_is_given_up_sends_nothing_again(outgoing):
    job = add(outgoing, "a", "b", "c")
    batch = take(outgoing, most=2)
    outgoing.withdraw(job)
    assert job.may_have_arrived
    assert outgoing.bytes == 0
    settle(outgoing, batch, UNSURE, UNSURE)
    assert not outgoing
    add(outgoing, "d")
    assert told(take(outgoing)) == [("d", 3)]


def test_a_call_that_never_left_is_gone(outgoing):
    job = add(outgoing, "a")
    outgoing.withdraw(job)
    assert not job.may_have_arrived
    assert not outgoing
    assert outgoing.bytes == 0


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_nothing_acknowledged_is_lost_or_doubled(seed):
    """A server that stores, refuses, loses answers, executes late; a reader that drops repeats."""
    rng = random.Random(seed)
    outgoing, heard = Outgoing(Numbers("me")), Heard()
    log: list[tuple[str | bytes, int]] = []
    late: list[tuple[str | bytes, int]] = []
    jobs = {}
    for step in range(60):
        name = f"m{step}"
        jobs[name] = add(outgoing, name)
        if rng.random() < 0.1:
            outgoing.withdraw(jobs[rng.choice([*jobs])])
        batch, answers = take(outgoing, most=rng.randint(1, 4)), []
        answered = rng.choice([len(batch), rng.randint(0, len(batch))])
        executed = rng.randint(answered, len(batch))  # a connection executes what came first
        where = rng.choice([log, late])
        for index, (_, sent) in enumerate(batch):
            answer = rng.choice([STORED, STORED, REFUSED, NOT_NOW]) if index < answered else UNSURE
            if answer is STORED or (answer is UNSURE and index < executed):
                there = log if index < answered else where
                there.append((sent.publication.message, sent.number))
            answers.append(answer)
        settle(outgoing, batch, *answers)
        if rng.random() < 0.3:
            log.extend(late)
            late.clear()
    seen = [name for name, number in log if heard.judge("me", number) is not None]
    assert len(seen) == len(set(seen))
    fates = {name: [item.answer for item in job.items] for name, job in jobs.items()}
    acknowledged = {name for name, [answer] in fates.items() if answer is STORED}
    assert acknowledged <= set(seen)

"""What any backplane must do: subclass `Conformance` in a test file, with a fixture `lab`.

`lab` is a `Lab`: a server of the kind, and faults that are done to it.  The tests wait for what
they are told, never for a time; `PATIENCE` only bounds a test that fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Protocol

import pytest
import trio

from trio_wsendpoint.hub import (
    Backplane,
    BackplaneDown,
    Entry,
    Position,
    Publication,
    PublishError,
    Reading,
    Reason,
)

PATIENCE = 20.0
#: Entries that the server of a lab keeps of each topic, or few more.
KEPT = 100


class Lab(Protocol):
    """A server, and what can be done to it.  Its history keeps `KEPT` entries of each topic."""

    def make(self, *, history: bool) -> Backplane:
        """Make a backplane of another process, with a history or without."""
        ...

    async def stop(self) -> None:
        """Stop the server; what it has is kept."""
        ...

    async def start(self) -> None:
        """Start it again."""
        ...

    async def wipe(self) -> None:
        """Make it lose all that it has; it is up afterwards, and perhaps was down for a moment."""
        ...


class Ear:
    """A receiver that notes what it is told, as tuples that begin with the method's name."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._changed = trio.Event()

    def up(self, epoch: str) -> None:
        self._note("up", epoch)

    def down(self, error: Exception) -> None:
        self._note("down", error)

    def following(self, topic: str, position: Position | None) -> None:
        self._note("following", topic, position)

    def deliver(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._note("entry", entry)

    def gap(self, topics: Iterable[str], reason: Reason, lost: int | None = None) -> None:
        for topic in topics:
            self._note("gap", topic, reason, lost)

    def _note(self, *told: Any) -> None:
        self.told.append(told)
        self._changed.set()
        self._changed = trio.Event()

    def all(self, what: str) -> list[tuple[Any, ...]]:
        return [told for told in self.told if told[0] == what]

    @property
    def messages(self) -> list[str | bytes]:
        """The messages that were delivered, without repeats."""
        seen = {
            (entry.publication.topic, entry.publisher, entry.number): entry
            for _, entry in self.all("entry")
        }
        return [entry.publication.message for entry in seen.values()]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition()` holds."""
        with trio.fail_after(PATIENCE):
            while not condition():
                await self._changed.wait()


@asynccontextmanager
async def running(backplane: Backplane) -> AsyncIterator[Ear]:
    """Run a backplane for the length of a block."""
    ear = Ear()
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE):
            await nursery.start(backplane.run, ear)
        assert ear.all("up"), "`up` is told before `started()`"
        yield ear
        nursery.cancel_scope.cancel()


async def follow(backplane: Backplane, ear: Ear, topic: str) -> Position | None:
    """Follow a topic, and return the place from which it is delivered."""
    backplane.follow(topic)
    await ear.until(lambda: [told for told in ear.all("following") if told[1] == topic])
    place: Position | None = [told[2] for told in ear.all("following") if told[1] == topic][-1]
    return place


async def publish(backplane: Backplane, topic: str, *messages: str | bytes) -> Position | None:
    """Publish messages to a topic, and return the position of the last."""
    receipts = await backplane.publish_many([Publication(topic, text) for text in messages])
    assert len(receipts) == len(messages)
    return receipts[-1].position


async def persist(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """Try until it does not fail any more, as an app does while a server comes back."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                return await attempt()
            except (BackplaneDown, PublishError):
                await trio.sleep(0.05)


def messages_of(reading: Reading) -> list[str | bytes]:
    return [entry.publication.message for entry in reading.entries]


def reason_of(reading: Reading) -> Reason | None:
    return None if reading.gap is None else reading.gap.reason


class Conformance:
    """The tests.  Each implementation is asked in both forms, with a history and without."""

    @pytest.fixture(params=[True, False], ids=["history", "none"])
    def history(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    async def test_it_delivers_what_others_publish(self, lab: Lab, history: bool) -> None:
        one, other = lab.make(history=history), lab.make(history=history)
        async with running(one) as ear, running(other):
            await follow(one, ear, "a topic: ä")
            await publish(other, "a topic: ä", "text ü", b"\x00\xff", "", b"")
            await ear.until(lambda: len(ear.messages) == 4)
            assert ear.messages == ["text ü", b"\x00\xff", "", b""]
            assert not ear.all("gap")

    async def test_it_delivers_its_own(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        async with running(one) as ear:
            await follow(one, ear, "t")
            await publish(one, "t", "mine")
            await ear.until(lambda: ear.messages == ["mine"])

    async def test_keys_come_through(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        async with running(one) as ear:
            await follow(one, ear, "t")
            sent = [Publication("t", "1", key) for key in (None, "", "kä")]
            await one.publish_many(sent)
            await ear.until(lambda: len(ear.messages) == 3)
            assert [told[1].publication for told in ear.all("entry")] == sent

    async def test_only_what_is_followed(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        async with running(one) as ear:
            await follow(one, ear, "a")
            await follow(one, ear, "b")
            one.unfollow("b")
            one.unfollow("never")
            await publish(one, "c", "no")
            await publish(one, "a", "yes")
            await ear.until(lambda: ear.messages)
            assert ear.messages == ["yes"]

    async def test_one_answer_to_follow(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        async with running(one) as ear:
            one.follow("t")
            await follow(one, ear, "t")
            await publish(one, "t", "1")
            await ear.until(lambda: ear.messages)
            assert len(ear.all("following")) == 1

    async def test_followed_before_it_runs(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        one.follow("t")
        async with running(one) as ear:
            await ear.until(lambda: ear.all("following"))
            await publish(one, "t", "1")
            await ear.until(lambda: ear.messages == ["1"])

    async def test_followed_again(self, lab: Lab, history: bool) -> None:
        one, other = lab.make(history=history), lab.make(history=history)
        async with running(one) as ear, running(other):
            await follow(one, ear, "t")
            one.unfollow("t")
            await publish(other, "t", "missed")
            one.follow("t")
            await ear.until(lambda: len(ear.all("following")) == 2)
            await publish(other, "t", "heard")
            await ear.until(lambda: "heard" in ear.messages)
            assert ear.messages == ["heard"]

    async def test_numbers_count_up_in_each_topic(self, lab: Lab, history: bool) -> None:
        one, other = lab.make(history=history), lab.make(history=history)
        async with running(one) as ear, running(other):
            for topic in "ab":
                await follow(one, ear, topic)
            for topic in "aabab":
                await publish(one, topic, topic)
                await publish(other, topic, topic)
            await ear.until(lambda: len(ear.messages) == 10)
            names = {told[1].publisher for told in ear.all("entry")}
            assert len(names) == 2
            for name in names:
                for topic, count in (("a", 3), ("b", 2)):
                    numbers = [
                        told[1].number
                        for told in ear.all("entry")
                        if (told[1].publisher, told[1].publication.topic) == (name, topic)
                    ]
                    assert sorted(set(numbers)) == list(range(1, count + 1))

    async def test_without_a_server_it_does_not_start(self, lab: Lab, history: bool) -> None:
        await lab.stop()
        with pytest.RaisesGroup(BackplaneDown, flatten_subgroups=True):
            async with running(lab.make(history=history)):
                pass
        await lab.start()

    async def test_a_lost_server_is_told(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        async with running(one) as ear:
            await follow(one, ear, "t")
            await lab.stop()
            await ear.until(lambda: ear.all("down"))
            with pytest.raises(PublishError):
                await publish(one, "t", "1")
            with pytest.raises(BackplaneDown):
                await one.read("t", last=1)
            await lab.start()
            await ear.until(lambda: len(ear.all("up")) == 2)
            await persist(lambda: publish(one, "t", "2"))
            await ear.until(lambda: "2" in ear.messages)
            kinds = [told[0] for told in ear.told if told[0] in {"up", "down"}]
            assert kinds == ["up", "down", "up"]

    async def test_followed_while_it_is_down(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        async with running(one) as ear:
            await lab.stop()
            await ear.until(lambda: ear.all("down"))
            one.follow("t")
            await lab.start()
            await ear.until(lambda: ear.all("following"))
            await persist(lambda: publish(one, "t", "1"))
            await ear.until(lambda: "1" in ear.messages)

    async def test_a_break_without_history_is_a_gap(self, lab: Lab) -> None:
        one = lab.make(history=False)
        async with running(one) as ear:
            await follow(one, ear, "t")
            await lab.stop()
            await ear.until(lambda: ear.all("down"))
            await lab.start()
            await ear.until(lambda: ear.all("gap"))
            assert ear.all("gap") == [("gap", "t", "disconnected", None)]

    async def test_cancelled_it_leaves_at_once(self, lab: Lab, history: bool) -> None:
        one = lab.make(history=history)
        async with running(one) as ear:
            await lab.stop()
            await ear.until(lambda: ear.all("down"))
        await lab.start()

    # ---- history -----------------------------------------------------------------------------

    async def test_without_history(self, lab: Lab) -> None:
        one = lab.make(history=False)
        async with running(one) as ear:
            assert not one.has_history
            assert await follow(one, ear, "t") is None
            assert await publish(one, "t", "1") is None
            assert await one.read("t", last=5) == Reading((), None)
            reading = await one.read("t", after=Position("t", "e", "1"))
            assert (reading.entries, reason_of(reading)) == ((), "trimmed")

    async def test_positions_grow(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one) as ear:
            begin = await follow(one, ear, "t")
            places = [begin, *[await publish(one, "t", text) for text in "abc"]]
            await ear.until(lambda: len(ear.messages) == 3)
            heard = [told[1].position for told in ear.all("entry")]
            assert heard == places[1:]
            for before, behind in pairwise(places):
                assert before is not None
                assert behind is not None
                assert before.is_before(behind)

    async def test_it_reads_the_last(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one):
            places = [await publish(one, "t", text) for text in "abcd"]
            reading = await one.read("t", last=2)
            assert messages_of(reading) == ["c", "d"]
            assert (reading.end, reading.is_end, reading.gap) == (places[-1], True, None)
            assert messages_of(await one.read("t", last=9)) == ["a", "b", "c", "d"]
            assert (await one.read("t", last=0)).end == places[-1]

    async def test_it_reads_on_page_by_page(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one):
            first = await publish(one, "t", "first")
            await publish(one, "t", *"abcde")
            found: list[str | bytes] = []
            place, is_end = first, False
            while not is_end:
                reading = await one.read("t", after=place, limit=2)
                assert len(reading.entries) <= 2
                assert reading.gap is None
                found += messages_of(reading)
                place, is_end = reading.end, reading.is_end
            assert found == ["a", "b", "c", "d", "e"]
            reading = await one.read("t", after=place)
            assert (reading.entries, reading.gap, reading.end) == ((), None, place)

    async def test_a_topic_without_messages_has_a_place(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one):
            place = (await one.read("t", last=10)).end
            assert place is not None
            await publish(one, "t", "1")
            reading = await one.read("t", after=place)
            assert (messages_of(reading), reading.gap) == (["1"], None)

    async def test_trimmed(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one):
            first = await publish(one, "t", "first")
            for begin in range(0, 5 * KEPT, 50):
                await publish(one, "t", *(str(begin + i) for i in range(50)))
            reading = await one.read("t", after=first, limit=10 * KEPT)
            assert reason_of(reading) == "trimmed"
            assert KEPT <= len(reading.entries) < 3 * KEPT
            assert messages_of(reading)[-1] == str(5 * KEPT - 1)

    async def test_another_epoch(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one):
            await publish(one, "t", "1")
            reading = await one.read("t", after=Position("t", "another", "1"))
            assert reason_of(reading) == "restarted"
            assert messages_of(reading) == ["1"]

    async def test_a_break_with_history_is_none(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one) as ear:
            await follow(one, ear, "t")
            await publish(one, "t", "1")
            await ear.until(lambda: ear.messages)
            await lab.stop()
            await ear.until(lambda: ear.all("down"))
            await lab.start()
            await persist(lambda: publish(one, "t", "2"))
            await ear.until(lambda: "2" in ear.messages)
            assert ear.messages == ["1", "2"]
            assert not ear.all("gap")

    async def test_wiped(self, lab: Lab) -> None:
        one = lab.make(history=True)
        async with running(one) as ear:
            await follow(one, ear, "t")
            place = await publish(one, "t", "1")
            await ear.until(lambda: ear.messages)
            await lab.wipe()
            await persist(lambda: publish(one, "t", "2"))
            await ear.until(lambda: ear.all("gap"))
            assert ear.all("gap")[0][:3] == ("gap", "t", "restarted")
            reading = await persist(lambda: one.read("t", after=place))
            assert reason_of(reading) == "restarted"

"""Subscriptions: what comes, in which order, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.hub.helpers import audience, settle, shown, take
from trio_wsendpoint.hub import (
    BackplaneDown,
    Block,
    Close,
    Delivery,
    Drop,
    DropNewest,
    DropOldest,
    Gap,
    History,
    HubClosed,
    Latest,
    MemoryBackplane,
    MemoryServer,
    Position,
    PublishFailed,
    PublishUnsure,
    Replay,
    SubscriberTooSlow,
    open_hub,
)

#: What no type checker lets pass.
OPTIONS: Any = (1.5, None, "1")
#: Room for one message of one byte, and for two.
ONE = 401
TWO = 2 * ONE


async def test_each_subscriber_gets_each_message() -> None:
    async with open_hub() as hub, hub.subscribe("t") as one, hub.subscribe(["t", "u"]) as other:
        await hub.publish("t", "1")
        await hub.publish("u", b"2")
        await hub.publish("v", "nobody's")
        await hub.publish("t", bytearray(b"3"), key="k")
        assert await take(one, 2) == ["1", b"3"]
        assert await take(other, 3) == ["1", b"2", b"3"]


async def test_it_waits_for_what_comes() -> None:
    async with open_hub() as hub, hub.subscribe("t") as news, trio.open_nursery() as nursery:
        nursery.start_soon(hub.publish, "t", "1")
        assert await take(news, 1) == ["1"]


async def test_it_ends_with_the_hub() -> None:
    async with trio.open_nursery() as nursery:
        async with open_hub() as hub:

            async def listen(task_status: trio.TaskStatus[None]) -> None:
                async with hub.subscribe("t") as news:
                    task_status.started()
                    assert [shown(item) async for item in news] == ["1"]

            await nursery.start(listen)
            await hub.publish("t", "1")
        with pytest.raises(HubClosed):
            await hub.publish("t", "2")
        with pytest.raises(HubClosed):
            hub.subscribe("t")


async def test_it_ends_with_its_connection() -> None:
    async with (
        open_hub() as hub,
        audience(1) as [(client, server)],
        hub.subscribe("t", connection=server) as news,
    ):
        await hub.publish("t", "1")
        await client.aclose()
        assert [shown(item) async for item in news] == ["1"]


async def test_outside_of_its_block_it_gives_nothing() -> None:
    async with open_hub() as hub:
        news = hub.subscribe("t")
        with pytest.raises(RuntimeError, match="enter it with"):
            await anext(news)
        async with news:
            pass
        with pytest.raises(RuntimeError, match="it is over"):
            await anext(news)
        with pytest.raises(RuntimeError, match="entered once"):
            await news.__aenter__()
        assert hub.statistics().topics == ()


# ---- policies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (DropOldest(TWO), [Gap("t", "slow", 2), "3", "4"]),
        (DropNewest(TWO), ["1", "2", Gap("t", "slow", 2)]),
        (Block(TWO), ["1", "2", Gap("t", "slow", 2)]),
        (Latest(), ["4"]),
    ],
)
async def test_a_slow_subscriber(policy, expected) -> None:
    dropped: list[Drop] = []
    async with (
        open_hub(on_drop=dropped.append) as hub,
        hub.subscribe("t", policy=policy, name="slow") as slow,
    ):
        for text in "1234":
            await hub.publish("t", text)
        [numbers] = hub.statistics().subscribers
        assert numbers.waiting_bytes <= TWO
        assert await take(slow, len(expected)) == expected
        lost = sum(isinstance(item, Gap) for item in expected) * 2
        assert [(drop.name, drop.messages, drop.bytes) for drop in dropped] == [
            ("slow", 1, ONE)
        ] * lost
        await hub.publish("t", "5")
        assert await take(slow, 1) == ["5"]


async def test_close_cuts() -> None:
    dropped: list[Drop] = []
    async with open_hub(on_drop=dropped.append) as hub:
        async with hub.subscribe("t", policy=Close(bytes=TWO)) as slow:
            for text in "123":
                await hub.publish("t", text)
            with pytest.raises(SubscriberTooSlow):
                await anext(slow)
        assert hub.statistics().cut == 1
        assert [(drop.messages, drop.is_cut) for drop in dropped] == [(3, True)]


@pytest.mark.parametrize("policy", [Block(stalled=2), DropOldest(stalled=2), Close(stalled=2)])
async def test_a_subscriber_that_stalls_is_cut(policy, autojump_clock) -> None:
    async with open_hub() as hub, hub.subscribe("t", policy=policy) as stuck:
        await trio.sleep(100)
        await hub.publish("t", "1")
        await trio.sleep(1.9)
        assert await take(stuck, 1) == ["1"]
        await hub.publish("t", "2")
        await hub.publish("t", "3")
        await trio.sleep(1.9)
        assert await take(stuck, 1) == ["2"]
        await trio.sleep(3)
        with pytest.raises(SubscriberTooSlow):
            await anext(stuck)
        assert hub.statistics().cut == 1


async def test_publishers_can_wait_for_room(autojump_clock) -> None:
    async with (
        open_hub() as hub,
        hub.subscribe("t", policy=Block(TWO)) as slow,
        trio.open_nursery() as nursery,
    ):

        async def publish(name: str) -> None:
            for number in range(10):
                await hub.wait_room("t")
                await hub.publish("t", f"{name}{number}"[-1])

        nursery.start_soon(publish, "a")
        nursery.start_soon(publish, "b")
        got: list[Any] = []
        for _ in range(20):
            got += await take(slow, 1)
            await trio.sleep(1)
        assert sorted(got) == sorted("0123456789" * 2)


async def test_a_stuck_subscriber_holds_publishers_for_a_time(autojump_clock) -> None:
    async with open_hub() as hub, hub.subscribe("t", policy=Block(TWO)) as stuck:
        await hub.publish("t", "1")
        await hub.publish("t", "2")
        with trio.fail_after(13):
            await hub.wait_room("t")
        with pytest.raises(SubscriberTooSlow):
            await anext(stuck)


# ---- history -------------------------------------------------------------------------------------


async def test_history_then_live_each_once() -> None:
    async with open_hub(history=History()) as hub:
        for number in range(250):
            await hub.publish("t", str(number))
        async with hub.subscribe("t", last=230) as news:
            first = await anext(news)
            assert first == Replay("t", None)
            for number in range(250, 260):
                await hub.publish("t", str(number))
            assert await take(news, 240) == [str(number) for number in range(20, 260)]
            place = news.positions["t"]
        for number in range(260, 500):
            await hub.publish("t", str(number))
        async with hub.subscribe("t", after=Position.parse(str(place))) as news:
            assert await anext(news) == Replay("t", place)
            got = await take(news, 120)
            for number in range(500, 510):
                await hub.publish("t", str(number))
            got += await take(news, 130)
            assert got == [str(number) for number in range(260, 510)]


async def test_a_place_is_there_before_a_message_is() -> None:
    async with open_hub(history=History()) as hub:
        async with hub.subscribe("t") as news:
            first = await anext(news)
            assert isinstance(first, Replay)
            assert first.position == news.positions["t"]
        await hub.publish("t", "1")
        async with hub.subscribe("t", after=first.position) as news:
            assert await take(news, 1) == ["1"]


async def test_what_was_trimmed_is_a_gap() -> None:
    async with open_hub(history=History(entries=2)) as hub:
        receipt = await hub.publish("t", "1")
        for text in "2345":
            await hub.publish("t", text)
        assert receipt.position is not None
        async with hub.subscribe("t", after=receipt.position) as news:
            assert await take(news, 3) == [Replay("t", None, Gap("t", "trimmed", 2)), "4", "5"]


async def test_without_history_a_place_is_a_gap() -> None:
    async with open_hub() as hub, hub.subscribe("t", after=Position("t", "e", "1")) as news:
        await hub.publish("t", "1")
        assert await take(news, 2) == [Replay("t", None, Gap("t", "trimmed")), "1"]


async def test_several_topics_each_from_its_place() -> None:
    async with open_hub(history=History()) as hub:
        place = (await hub.publish("a", "a1")).position
        for topic, text in [("a", "a2"), ("b", "b1"), ("b", "b2")]:
            await hub.publish(topic, text)
        assert place is not None
        async with hub.subscribe(["a", "b"], after=place, last=1) as news:
            assert await take(news, 2) == ["a2", "b2"]
            await hub.publish("a", "a3")
            await hub.publish("b", "b3")
            assert set(await take(news, 2)) == {"a3", "b3"}


async def test_one_that_may_be_cut_does_not_replay_what_would_cut_it() -> None:
    async with open_hub(history=History()) as hub:
        place = (await hub.publish("t", "0")).position
        assert place is not None
        for text in "123":
            await hub.publish("t", text)
        async with hub.subscribe("t", policy=Close(bytes=TWO), after=place) as news:
            replay = await anext(news)
            assert isinstance(replay, Replay)
            assert replay.gap == Gap("t", "slow")
            await hub.publish("t", "4")
            assert await take(news, 1) == ["4"]
            assert replay.position is not None
        async with hub.subscribe("t", policy=Close(bytes=TWO), after=replay.position) as news:
            assert await take(news, 1) == ["4"]


# ---- faults of the backplane ---------------------------------------------------------------------


async def test_a_break_without_history_is_a_gap() -> None:
    backplane = MemoryBackplane()
    async with open_hub(backplane=backplane) as hub, hub.subscribe("t") as news:
        await hub.publish("t", "1")
        backplane.server.stop()
        assert hub.is_up is False
        with pytest.raises(PublishFailed):
            await hub.publish("t", "lost")
        async with hub.subscribe("u") as late:
            backplane.server.start()
            await hub.publish("t", "2")
            assert await take(news, 3) == ["1", Gap("t", "disconnected"), "2"]
            assert await take(late, 1) == [Gap("u", "disconnected")]


async def test_a_break_with_history_is_none() -> None:
    server = MemoryServer(history=History())
    mine, other = MemoryBackplane(server), MemoryBackplane(server)
    async with (
        open_hub(backplane=mine) as hub,
        open_hub(backplane=other) as others,
        hub.subscribe("t") as news,
    ):
        await others.publish("t", "1")
        mine.disconnect()
        await others.publish("t", "2")
        with pytest.raises(BackplaneDown):
            async with hub.subscribe("u", last=1):
                pass
        mine.reconnect()
        await others.publish("t", "3")
        assert await take(news, 3) == ["1", "2", "3"]


async def test_numbers_tell_losses_and_repeats() -> None:
    backplane = MemoryBackplane()
    async with open_hub(backplane=backplane) as hub, hub.subscribe("t") as news:
        backplane.server.repeats = True
        await hub.publish("t", "1")
        backplane.server.repeats = False
        backplane.server.drops = 2
        for text in "234":
            await hub.publish("t", text)
        assert await take(news, 3) == ["1", Gap("t", "unsure", 2), "4"]
        [topic] = hub.statistics().topics
        assert (topic.messages, topic.gaps, topic.repeats) == (2, 1, 1)


async def test_repeats_in_history_come_once() -> None:
    backplane = MemoryBackplane(history=History())
    async with open_hub(backplane=backplane) as hub:
        place = (await hub.publish("t", "1")).position
        number = backplane.numbers.take("t")
        for _ in range(2):
            backplane.numbers.give_back("t", number)
            await hub.publish("t", "2")
        async with hub.subscribe("t", after=place) as news:
            await hub.publish("t", "3")
            assert await take(news, 2) == ["2", "3"]


async def test_between_a_message_and_its_repeat_a_client_comes_back() -> None:
    server = MemoryServer(history=History())
    silent, other = MemoryBackplane(server), MemoryBackplane(server)
    async with open_hub(backplane=silent) as one, open_hub(backplane=other) as hub:
        await one.publish("t", "first")
        place = (await hub.publish("t", "between")).position
        async with hub.subscribe("t", after=place) as news:
            silent.numbers.give_back("t", 1)  # as if it had had no answer
            await one.publish("t", "first")
            await hub.publish("t", "behind")
            assert await take(news, 1) == ["behind"]
        async with hub.subscribe("t", after=place) as news:
            assert await take(news, 1) == ["behind"]


async def test_a_server_that_lost_all() -> None:
    backplane = MemoryBackplane(history=History())
    async with open_hub(backplane=backplane) as hub, hub.subscribe("t") as news:
        place = (await hub.publish("t", "1")).position
        assert place is not None
        assert await take(news, 1) == ["1"]
        backplane.server.wipe()
        await hub.publish("t", "2")
        assert await take(news, 2) == [Gap("t", "restarted"), "2"]
        async with hub.subscribe("t", after=place) as again:
            assert await take(again, 2) == [Replay("t", None, Gap("t", "restarted")), "2"]


async def test_unsure_is_apart_from_failed(autojump_clock) -> None:
    backplane = MemoryBackplane()
    async with open_hub(backplane=backplane) as hub, hub.subscribe("t") as news:
        backplane.server.freeze()
        with pytest.raises(PublishUnsure):
            await hub.publish("t", "late")
        backplane.server.thaw()
        assert await take(news, 1) == ["late"]
        numbers = hub.statistics()
        assert (numbers.published, numbers.failed, numbers.unsure) == (0, 0, 1)


async def test_a_server_that_is_not_there() -> None:
    server = MemoryServer()
    server.stop()
    with pytest.raises(BackplaneDown):
        async with open_hub(backplane=MemoryBackplane(server)):
            pass


# ---- the rest ------------------------------------------------------------------------------------


async def test_statistics_tell_lag(autojump_clock) -> None:
    async with open_hub() as hub, hub.subscribe("t", name="me") as news:
        await hub.publish("t", "1")
        await trio.sleep(3)
        await hub.publish("t", "2")
        [me] = hub.statistics().subscribers
        assert (me.name, me.waiting, me.delivered) == ("me", 2, 0)
        assert me.lag == pytest.approx(3)
        await take(news, 2)
        [me] = hub.statistics().subscribers
        assert (me.waiting, me.delivered, me.lag) == (0, 2, 0)


async def test_a_hook_that_raises_is_called_no_more(caplog) -> None:
    def on_drop(drop):
        raise ValueError("of the app")

    async with open_hub(on_drop=on_drop) as hub, hub.subscribe("t", policy=DropNewest(TWO)) as slow:
        for text in "12345":
            await hub.publish("t", text)
        assert await take(slow, 3) == ["1", "2", Gap("t", "slow", 3)]
    assert [record.getMessage() for record in caplog.records] == [
        "on_drop raised, and is called no more"
    ]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ([""], {}, ValueError, "1 to 255 characters"),
        ([[]], {}, ValueError, "at least one topic"),
        ([[1]], {}, TypeError, "a topic is a str"),
        (["t"], {"policy": "drop"}, TypeError, "policy must be a Policy"),
        (["t"], {"after": "e:1:t"}, TypeError, "after must be a Position"),
        (["t"], {"after": Position("u", "e", "1")}, ValueError, "'u', which is not subscribed to"),
        (["t"], {"after": Position("t", "e", "1"), "policy": Latest()}, ValueError, "use last="),
        (["t"], {"last": -1}, ValueError, "last must be"),
    ],
)
async def test_wishes_that_make_no_sense(arguments, options, error, text) -> None:
    async with open_hub() as hub:
        with pytest.raises(error, match=text):
            hub.subscribe(*arguments, **options)


@pytest.mark.parametrize(
    ("topic", "message", "key", "error"),
    [
        ("t", 1, None, TypeError),
        ("t", "\ud800", None, UnicodeEncodeError),
        ("t", b"", "\ud800", UnicodeEncodeError),
        ("t", "", 1, TypeError),
        ("\ud800", "", None, ValueError),
        (None, "", None, TypeError),
    ],
)
async def test_messages_that_make_no_sense(topic, message, key, error) -> None:
    async with open_hub() as hub:
        with pytest.raises(error):
            await hub.publish(topic, message, key)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: DropOldest(0), ValueError, "DropOldest.bytes must be at least 1"),
        (lambda: Latest(*OPTIONS[:1]), TypeError, "Latest.bytes must be an int"),
        (lambda: Latest(ahead=0), ValueError, "Latest.ahead must be at least 1"),
        (lambda: Latest(ahead=OPTIONS[1]), TypeError, "Latest.ahead must be an int"),
        (lambda: Close(stalled=0), ValueError, "Close.stalled must be more than 0"),
        (lambda: Block(stalled=OPTIONS[2]), TypeError, "Block.stalled must be seconds"),
        (lambda: Close(1006), ValueError, "1006"),
    ],
)
def test_policies_that_make_no_sense(make, error, text) -> None:
    with pytest.raises(error, match=text):
        make()


async def test_a_page_without_a_subscription() -> None:
    async with open_hub(history=History()) as hub:
        await hub.publish("t", "1")
        reading = await hub.read("t", last=5)
        assert [shown(Delivery(entry)) for entry in reading.entries] == ["1"]
        with pytest.raises(ValueError, match="one of after= and last="):
            await hub.read("t")
    await settle(1)

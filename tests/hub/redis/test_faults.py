"""The backplane and a real server that is killed, frozen, demoted, full, or configured wrongly."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from tests.hub.backplane_conformance import Ear, follow, messages_of, publish, reason_of, running
from tests.hub.redis.servers import PATIENCE, RedisServer, needs_redis
from trio_wsendpoint.hub import (
    BackplaneDown,
    BackplaneRefused,
    History,
    Publication,
    PublishFailed,
    PublishUnsure,
)
from trio_wsendpoint.hub.redis import RedisBackplane

pytestmark = needs_redis


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(appendonly="yes", appendfsync="always") as one:
        yield one


def streams(server: RedisServer, **options: Any) -> RedisBackplane:
    return RedisBackplane(server.url, **{"history": History(), **options})


def channels(server: RedisServer, **options: Any) -> RedisBackplane:
    return RedisBackplane(server.url, **options)


BOTH = pytest.mark.parametrize("make", [streams, channels])


async def ups(ear: Ear, count: int) -> None:
    await ear.until(lambda: len(ear.all("up")) >= count)


# ---- at the start ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configuration", "options", "text"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, {}, "noeviction"),
        ({"appendonly": "no"}, {}, "appendonly"),
        ({"appendfsync": "everysec"}, {"durability": "always"}, "appendfsync always"),
        ({"cluster-enabled": "yes"}, {}, "cluster"),
        ({"requirepass": "secret"}, {}, "NOAUTH|HELLO|Authentication"),
    ],
)
async def test_a_server_that_is_configured_otherwise(configuration, options, text):
    settings = {"appendonly": "yes", "appendfsync": "always", **configuration}
    with (
        RedisServer(**settings) as server,
        pytest.RaisesGroup(pytest.RaisesExc(BackplaneRefused, match=text), flatten_subgroups=True),
    ):
        async with running(streams(server, **options)):
            pass


async def test_a_password():
    with RedisServer(tcp=True, requirepass="p@ss") as server:
        url = server.url.replace("redis://", "redis://:{}@")
        with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True):
            async with running(RedisBackplane(url.format("wrong"))):
                pass
        async with running(RedisBackplane(url.format("p%40ss"))) as ear:
            assert ear.all("up")


async def test_databases_share_nothing_with_history():
    with RedisServer(tcp=True, appendonly="yes") as server:
        one, other = (
            RedisBackplane(server.url[:-1] + database, history=History()) for database in "12"
        )
        async with running(one), running(other):
            await publish(one, "t", "1")
            assert messages_of(await other.read("t", last=5)) == []
            assert messages_of(await one.read("t", last=5)) == ["1"]


# ---- roles -------------------------------------------------------------------------------------


@BOTH
async def test_a_replica_is_no_server(make):
    with RedisServer(tcp=True) as master, RedisServer(appendonly="yes") as replica:
        await replica.acommand("REPLICAOF", "127.0.0.1", str(master.port))
        with pytest.RaisesGroup(
            pytest.RaisesExc(BackplaneDown, match="is a slave"), flatten_subgroups=True
        ):
            async with running(make(replica)):
                pass
        await replica.acommand("REPLICAOF", "NO", "ONE")
        async with running(make(replica)) as ear:
            assert ear.all("up")


@BOTH
async def test_a_server_that_is_demoted_and_promoted_again(server, make):
    one = make(server, publish_timeout=0.5)
    async with running(one) as ear:
        await follow(one, ear, "t")
        await server.acommand("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises((PublishFailed, PublishUnsure)):
            await publish(one, "t", "nobody may hear it")
        await ear.until(lambda: ear.all("down"))
        await server.acommand("REPLICAOF", "NO", "ONE")
        await ups(ear, 2)
        await publish(one, "t", "back")
        await ear.until(lambda: "back" in ear.messages)


# ---- frozen, loading, full ---------------------------------------------------------------------


@BOTH
async def test_a_frozen_server(server, make):
    one = make(server, publish_timeout=1.0)
    async with running(one) as ear:
        await follow(one, ear, "t")
        await publish(one, "t", "before")
        server.freeze()
        with pytest.raises(PublishUnsure, match="has not answered for 1 s"):
            await publish(one, "t", "unsure")
        await ear.until(lambda: ear.all("down"))
        with pytest.raises(PublishFailed):
            await publish(one, "t", "never sent")
        with pytest.raises(BackplaneDown):
            await one.read("t", last=1)
        server.thaw()
        await ups(ear, 2)
        await publish(one, "t", "after")
        await ear.until(lambda: "after" in ear.messages)
        assert set(ear.messages) <= {"before", "unsure", "after"}
        numbers = {told[1].number for told in ear.all("entry")}
        assert numbers <= {1, 2, 3}
        assert 3 in numbers


async def test_what_was_unsure_comes_once_when_the_server_thaws(server):
    one = streams(server, publish_timeout=PATIENCE)
    async with running(one) as ear, trio.open_nursery() as nursery:
        await follow(one, ear, "t")
        server.freeze()
        nursery.start_soon(publish, one, "t", *map(str, range(250)))
        await ear.until(lambda: ear.all("down"))
        server.thaw()
        await ear.until(lambda: len(ear.messages) == 250)
        assert ear.messages == [str(i) for i in range(250)]
        assert not ear.all("gap")


async def test_leaving_a_frozen_server(server):
    one = streams(server)
    async with running(one) as ear, trio.open_nursery() as nursery:
        await follow(one, ear, "t")
        server.freeze()
        nursery.start_soon(publish, one, "t", "x")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    server.thaw()


async def test_a_server_that_loads_is_not_up():
    settings: dict[str, Any] = {"enable-debug-command": "yes", "appendonly": "yes"}
    with RedisServer(**settings) as server:
        one = streams(server)
        async with running(one) as ear:
            await server.acommand("DEBUG", "POPULATE", "2000")
            await server.acommand("BGREWRITEAOF")
            with trio.fail_after(PATIENCE):
                while "aof_rewrite_in_progress:1" in await server.acommand("INFO", "persistence"):
                    await trio.sleep(0.01)
            await trio.to_thread.run_sync(server.kill)
            await ear.until(lambda: ear.all("down"))
            slowly = {"key-load-delay": "300", "loading-process-events-interval-bytes": "1024"}
            await trio.to_thread.run_sync(lambda: server.start(wait=False, **slowly))
            await ups(ear, 2)
            assert "loading:0" in await server.acommand("INFO", "persistence")
            await publish(one, "t", "1")


async def test_a_full_server_refuses_and_leaves_no_hole(server):
    one = streams(server)
    async with running(one) as ear:
        await follow(one, ear, "t")
        await publish(one, "t", "1")
        await server.acommand("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(PublishFailed, match="OOM"):
            await publish(one, "t", "2", "3")
        await server.acommand("CONFIG", "SET", "maxmemory", "0")
        await publish(one, "t", "4")
        await ear.until(lambda: "4" in ear.messages)
        assert [told[1].number for told in ear.all("entry")] == [1, 2]


async def test_a_queue_without_room(server):
    one = streams(server, queue_bytes=1000, publish_timeout=0.5)
    async with running(one), trio.open_nursery() as nursery:
        await publish(one, "t", "before")
        server.freeze()

        async def fill() -> None:
            with pytest.raises(PublishUnsure):
                await publish(one, "t", "x" * 800)

        nursery.start_soon(fill)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(PublishFailed, match=r"no room|has not answered"):
            await publish(one, "t", "x" * 800)
        server.thaw()


# ---- what is lost ------------------------------------------------------------------------------


async def test_without_persistence_a_restart_is_a_gap():
    with RedisServer() as server:
        one = streams(server, durability="none")
        async with running(one) as ear:
            await follow(one, ear, "t")
            place = await publish(one, "t", "1")
            await ear.until(lambda: ear.messages)
            await trio.to_thread.run_sync(server.kill)
            await ear.until(lambda: ear.all("down"))
            await trio.to_thread.run_sync(server.start)
            await ups(ear, 2)
            assert ear.all("gap") == [("gap", "t", "restarted", None)]
            assert ear.all("up")[0] != ear.all("up")[1]
            await publish(one, "t", "2")
            await ear.until(lambda: "2" in ear.messages)
            assert reason_of(await one.read("t", after=place)) == "restarted"


async def test_a_tail_that_was_acknowledged_and_lost_is_a_gap(server, tmp_path):
    one = streams(server)
    async with running(one) as ear:
        await follow(one, ear, "t")
        kept = await publish(one, "t", "1", "2", "3")
        shutil.copytree(server.directory / "appendonlydir", tmp_path / "kept")
        lost = await publish(one, "t", "4", "5")
        await ear.until(lambda: "5" in ear.messages)
        await trio.to_thread.run_sync(server.kill)
        shutil.rmtree(server.directory / "appendonlydir")
        shutil.copytree(tmp_path / "kept", server.directory / "appendonlydir")
        await trio.to_thread.run_sync(server.start)
        await ups(ear, 2)
        # the epoch is the same: only the place tells
        assert ear.all("up")[0] == ear.all("up")[1]
        assert ear.all("gap") == [("gap", "t", "restarted", None)]
        assert ear.all("following")[-1] == ("following", "t", kept)
        await publish(one, "t", "6")
        await ear.until(lambda: "6" in ear.messages)
        assert reason_of(await one.read("t", after=lost)) == "restarted"
        found = await one.read("t", after=kept)
        assert (messages_of(found), found.gap) == (["6"], None)


async def test_a_stream_that_is_deleted_is_a_gap_after_a_break(server):
    one = streams(server)
    async with running(one) as ear:
        await follow(one, ear, "t")
        await publish(one, "t", "1")
        await ear.until(lambda: ear.messages)
        await server.acommand("DEL", "wsendpoint:{t}")
        await server.acommand("CLIENT", "KILL", "TYPE", "normal")
        await ups(ear, 2)
        await ear.until(lambda: ear.all("gap"))
        assert ear.all("gap") == [("gap", "t", "restarted", None)]


async def test_connections_that_are_cut_lose_nothing_with_history(server):
    one = streams(server)
    async with running(one) as ear:
        await follow(one, ear, "t")
        for round_ in range(1, 4):
            await publish(one, "t", *(f"{round_}.{i}" for i in range(150)))
            await server.acommand("CLIENT", "KILL", "TYPE", "normal")
            await ups(ear, 1 + round_)
        await ear.until(lambda: len(ear.messages) == 450)
        assert not ear.all("gap")


async def test_a_replica_that_lagged_and_was_promoted_is_a_gap():
    with RedisServer(tcp=True, appendonly="yes") as master, RedisServer(appendonly="yes") as other:
        one = streams(master)
        async with running(one) as ear:
            await follow(one, ear, "t")
            kept = await publish(one, "t", "1", "2")
            await other.acommand("REPLICAOF", "127.0.0.1", str(master.port))
            with trio.fail_after(PATIENCE):
                while int(await other.acommand("XLEN", "wsendpoint:{t}")) < 2:
                    await trio.sleep(0.01)
            await other.acommand("REPLICAOF", "NO", "ONE")
            lost = await publish(one, "t", "3", "4")
            await ear.until(lambda: "4" in ear.messages)
            await trio.to_thread.run_sync(master.kill)
            await other.acommand("CONFIG", "SET", "port", str(master.port))
            await ups(ear, 2)
            assert ear.all("gap") == [("gap", "t", "restarted", None)]
            assert ear.all("following")[-1] == ("following", "t", kept)
            await publish(one, "t", "5")
            await ear.until(lambda: "5" in ear.messages)
            assert reason_of(await one.read("t", after=lost)) == "restarted"


# ---- others, and bounds ------------------------------------------------------------------------


async def test_entries_of_others_are_passed_over(server, caplog):
    one = streams(server)
    async with running(one) as ear:
        await follow(one, ear, "t")
        await server.acommand("XADD", "wsendpoint:{t}", "*", "field", "value")
        await publish(one, "t", "ours")
        await ear.until(lambda: ear.messages == ["ours"])
        assert messages_of(await one.read("t", last=5)) == ["ours"]
    assert "has other fields" in caplog.text


async def test_messages_of_others_are_passed_over(server, caplog):
    one = channels(server)
    async with running(one) as ear:
        await follow(one, ear, "t")
        await server.acommand("PUBLISH", "wsendpoint:{t}", "hello")
        await publish(one, "t", "ours")
        await ear.until(lambda: ear.messages == ["ours"])
    assert "has another form" in caplog.text


async def test_what_is_too_old_is_not_read(server):
    one = streams(server, history=History(age=3600.0))
    async with running(one) as ear:
        begin = await follow(one, ear, "t")
        await server.acommand("XADD", "wsendpoint:{t}", "1000-0", "n", "x 1", "t", "old")
        await ear.until(lambda: "old" in ear.messages)
        old = ear.all("entry")[0][1].position
        young = await publish(one, "t", "young")
        assert messages_of(await one.read("t", last=5)) == ["young"]
        found = await one.read("t", after=begin)
        assert (messages_of(found), reason_of(found)) == (["young"], "trimmed")
        found = await one.read("t", after=young)
        assert (found.entries, found.gap) == ((), None)
        # what is trimmed leaves the place of the old one without a sign
        await one.publish_many([Publication("t", "more")])
        assert messages_of(await one.read("t", after=old)) == ["young", "more"]
        assert int(await server.acommand("PTTL", "wsendpoint:{t}")) > 3600_000


async def test_nothing_is_left_at_the_server(server):
    for make in (streams, channels):
        one = make(server)
        async with running(one) as ear:
            await follow(one, ear, "t")
            await publish(one, "t", "1")
        with trio.fail_after(PATIENCE):
            while len((await server.acommand("CLIENT", "LIST")).splitlines()) > 1:
                await trio.sleep(0.01)


async def test_publishing_where_nothing_runs(server):
    one = streams(server)
    with pytest.raises(PublishFailed, match="does not run"):
        await publish(one, "t", "1")
    with pytest.raises(BackplaneDown):
        await one.read("t", last=1)
    async with running(one):
        assert await one.publish_many([]) == []


@BOTH
async def test_cancelled_at_any_step_it_leaves_nothing(server, make):
    for steps in range(0, 120, 3):
        one = make(server)
        one.follow("t")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run, Ear())
            for _ in range(steps):
                await trio.sleep(0)
            nursery.start_soon(publish_if_it_runs, one)
            await trio.sleep(0)
            nursery.cancel_scope.cancel()
    with trio.fail_after(PATIENCE):
        while len((await server.acommand("CLIENT", "LIST")).splitlines()) > 1:
            await trio.sleep(0.01)


async def publish_if_it_runs(backplane: RedisBackplane) -> None:
    try:
        await publish(backplane, "t", "x")
    except PublishFailed:
        pass

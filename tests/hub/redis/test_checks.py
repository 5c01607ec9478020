from __future__ import annotations

import pytest

from trio_wsendpoint.hub import BackplaneDown, BackplaneRefused, History
from trio_wsendpoint.hub.redis.checks import check_fsync, check_info, read_info
from trio_wsendpoint.hub.redis.settings import Durability, RedisSettings

GOOD = {
    "redis_version": "7.0.15",
    "role": "master",
    "loading": "0",
    "cluster_enabled": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
}


def settings(durability: Durability | None = None, *, history: bool = True) -> RedisSettings:
    kept = History() if history else None
    return RedisSettings(url="redis://h", history=kept, durability=durability)


def test_what_is_needed():
    check_info(GOOD, settings())


def test_info_is_read():
    assert read_info(b"# Server\r\nredis_version:7.0.15\r\nx:a:b\r\n\r\n") == {
        "redis_version": "7.0.15",
        "x": "a:b",
    }


@pytest.mark.parametrize(
    ("difference", "error", "text"),
    [
        ({"loading": "1"}, BackplaneDown, "loads"),
        ({"role": "slave"}, BackplaneDown, "slave"),
        ({"role": ""}, BackplaneDown, "without a role"),
        ({"redis_version": "6.2.7"}, BackplaneRefused, "6.2.7"),
        ({"redis_version": "x"}, BackplaneRefused, "7.0"),
        ({"cluster_enabled": "1"}, BackplaneRefused, "cluster"),
        ({"maxmemory_policy": "allkeys-lru"}, BackplaneRefused, "noeviction"),
        ({"maxmemory_policy": "volatile-ttl"}, BackplaneRefused, "noeviction"),
        ({"aof_enabled": "0"}, BackplaneRefused, "appendonly"),
    ],
)
def test_what_is_not_enough(difference, error, text):
    with pytest.raises(error, match=text):
        check_info({**GOOD, **difference}, settings())


def test_a_history_that_may_be_lost_needs_no_file():
    check_info({**GOOD, "aof_enabled": "0"}, settings("none"))


def test_pubsub_stores_nothing_so_may_be_evicted():
    check_info(
        {**GOOD, "maxmemory_policy": "allkeys-lru", "aof_enabled": "0"}, settings(history=False)
    )


def test_newer_versions_and_valkey():
    check_info({**GOOD, "redis_version": "7.2.4"}, settings())
    check_info({**GOOD, "redis_version": "10.0.0"}, settings())


@pytest.mark.parametrize("found", ["everysec", "no", None])
def test_always_means_always(found):
    check_fsync("always", settings("always"))
    check_fsync(found, settings("aof"))
    with pytest.raises(BackplaneRefused, match="appendfsync"):
        check_fsync(found, settings("always"))

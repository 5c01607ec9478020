"""What any backplane must do, asked of the one on Redis: with streams, and with channels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from tests.hub.backplane_conformance import KEPT, Conformance
from tests.hub.redis.servers import RedisServer, needs_redis
from trio_wsendpoint.hub import History
from trio_wsendpoint.hub.redis import RedisBackplane

pytestmark = needs_redis


class RedisLab:
    def __init__(self, server: RedisServer) -> None:
        self.server = server

    def make(self, *, history: bool) -> RedisBackplane:
        kept = History(entries=KEPT) if history else None
        return RedisBackplane(self.server.url, history=kept, publish_timeout=1.0)

    async def stop(self) -> None:
        await trio.to_thread.run_sync(self.server.kill)

    async def start(self) -> None:
        await trio.to_thread.run_sync(self.server.start)

    async def wipe(self) -> None:
        await self.server.acommand("FLUSHALL")


class TestRedis(Conformance):
    @pytest.fixture
    def lab(self) -> Iterator[RedisLab]:
        with RedisServer(appendonly="yes", appendfsync="always") as server:
            yield RedisLab(server)

"""A hub's backplane on Redis, through coredis; needs the extra `redis`."""

from __future__ import annotations

try:
    import coredis as _coredis
except ImportError as error:
    text = "trio_wsendpoint.hub.redis needs coredis"
    raise ImportError(f"{text}: pip install 'trio-wsendpoint[redis]'") from error

from trio_wsendpoint.hub.redis.backplane import RedisBackplane

__all__ = ["RedisBackplane"]

del _coredis

"""Whether a server is what the backplane needs: judged from what it says of itself, without I/O."""

from __future__ import annotations

from collections.abc import Mapping

from trio_wsendpoint.hub.errors import BackplaneDown, BackplaneRefused
from trio_wsendpoint.hub.redis.settings import RedisSettings

__all__ = ["OLDEST", "check_fsync", "check_info", "read_info"]

#: The oldest version that is known to do what is needed.
OLDEST = (7, 0)


def read_info(text: bytes) -> dict[str, str]:
    """Read the answer of INFO: lines of `name:value`, and headings."""
    pairs = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in pairs if colon and not name.startswith("#")}


def check_info(info: Mapping[str, str], settings: RedisSettings) -> None:
    """Judge a server by its INFO.

    Raises `BackplaneDown` for what passes by itself (it loads its data, it is a replica), and
    `BackplaneRefused` for what an operator has to change.
    """
    where = settings.address
    if info.get("loading", "0") != "0":
        raise BackplaneDown(f"Redis at {where} loads its data, and answers nothing else yet")
    if (role := info.get("role", "")) != "master":
        text = "publish to a replica reaches that node's subscribers only"
        raise BackplaneDown(f"Redis at {where} is a {role or 'node without a role'}: {text}")
    version = info.get("redis_version", "")
    if _version(version) < OLDEST:
        raise BackplaneRefused(f"Redis at {where} is version {version!a}; 7.0 is the oldest known")
    if info.get("cluster_enabled", "0") != "0":
        text = "one read takes many topics, which a cluster keeps on several nodes"
        raise BackplaneRefused(f"Redis at {where} is a node of a cluster: {text}")
    if settings.history is None:
        return
    if (policy := info.get("maxmemory_policy", "")) != "noeviction":
        text = "under it the history of quiet topics vanishes without a sign"
        raise BackplaneRefused(
            f"Redis at {where} has maxmemory-policy {policy!a}, not noeviction: {text}"
        )
    if settings.durability != "none" and info.get("aof_enabled", "0") != "1":
        text = 'set appendonly yes, or say durability="none"'
        raise BackplaneRefused(
            f"Redis at {where} has appendonly no, so a restart loses the history: {text}"
        )


def check_fsync(appendfsync: str | None, settings: RedisSettings) -> None:
    """Judge a server by its `appendfsync`, None if it does not tell; raise `BackplaneRefused`."""
    if settings.durability == "always" and appendfsync != "always":
        found = "does not tell its appendfsync" if appendfsync is None else f"has {appendfsync!a}"
        raise BackplaneRefused(
            f'Redis at {settings.address} {found}: durability="always" needs appendfsync always'
        )


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")[:2]
    return tuple(int(part) for part in parts if part.isascii() and part.isdigit())

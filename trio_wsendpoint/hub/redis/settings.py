"""`RedisSettings`: what a `RedisBackplane` was told, checked."""

from __future__ import annotations

import math
import random
import re
import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from trio_wsendpoint.hub.history import History

__all__ = ["Address", "Durability", "RedisSettings"]

#: What the server must promise for the history: nothing; an append-only file; an append-only file
#: that is on the disk before the server answers.
Durability = Literal["none", "aof", "always"]

_DURABILITIES = ("none", "aof", "always")
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_SCHEMES = "redis://, rediss:// or unix://"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and how to log in: what a URL of Redis says.

    `redis://[user[:password]@]host[:port][/db]`, `rediss://` for TLS, `unix:///path[?db=n]`.
    """

    host: str = ""
    port: int = 6379
    path: str = ""
    database: int = 0
    is_tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a URL; raise `ValueError`, without the password, for what it cannot be."""
        if not isinstance(url, str):
            raise TypeError(f"the URL of Redis must be a str, not {type(url).__name__}")
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError(f"the URL of Redis begins with {_SCHEMES}, not {parts.scheme[:20]!a}")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        database = query.pop("db", "")
        if query or parts.fragment:
            raise ValueError(f"the URL of Redis has no options except db: not {sorted(query)}")
        path = unquote(parts.path)
        is_unix = parts.scheme == "unix"
        if not is_unix and path.strip("/"):
            database, path = path.strip("/"), ""
        if database and not (database.isascii() and database.isdigit() and len(database) < 6):
            raise ValueError(f"the database of Redis is a number, not {database[:20]!a}")
        try:
            port = parts.port or 6379
        except ValueError:
            raise ValueError("the port in the URL of Redis must be 1 to 65535") from None
        if is_unix and not path.startswith("/"):
            raise ValueError("a unix:// URL of Redis has an absolute path: unix:///run/redis.sock")
        if not is_unix and not parts.hostname:
            raise ValueError("the URL of Redis has no host: redis://localhost:6379/0")
        return cls(
            host="" if is_unix else parts.hostname or "",
            port=port,
            path=path if is_unix else "",
            database=int(database or 0),
            is_tls=parts.scheme == "rediss",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    def __str__(self) -> str:
        """Return it for people, without what a login needs."""
        place = self.path or f"{self.host}:{self.port}"
        return f"{place}/{self.database}" if self.database else place


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """The options of `RedisBackplane`; see there."""

    url: str = field(repr=False)
    history: History | None = None
    durability: Durability | None = None
    prefix: str = "wsendpoint"
    ssl_context: ssl.SSLContext | None = None
    connect_timeout: float = 1.0
    answer_timeout: float = 2.0
    publish_timeout: float = 5.0
    queue_bytes: int = 8 * 1024 * 1024
    longest_wait: float = 0.5
    rng: random.Random = field(default_factory=random.SystemRandom, repr=False)
    address: Address = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", Address.parse(self.url))
        if not (self.history is None or isinstance(self.history, History)):
            raise TypeError(f"history must be History(...) or None, not {self.history!r}")
        if self.durability is None:
            object.__setattr__(self, "durability", "none" if self.history is None else "aof")
        if self.durability not in _DURABILITIES:
            raise ValueError(f"durability is one of {_DURABILITIES}, not {self.durability!r}")
        if self.history is None and self.durability != "none":
            raise ValueError(f"without history nothing is stored: durability={self.durability!r}")
        if not (isinstance(self.prefix, str) and _PREFIX.fullmatch(self.prefix)):
            raise ValueError(f"prefix has 1 to 64 of A-Z a-z 0-9 _ . : -, unlike {self.prefix!r}")
        if not (self.ssl_context is None or isinstance(self.ssl_context, ssl.SSLContext)):
            raise TypeError(f"ssl_context must be an ssl.SSLContext, not {self.ssl_context!r}")
        if self.ssl_context is not None and not self.address.is_tls:
            raise ValueError("ssl_context is for rediss:// URLs only")
        for name in ("connect_timeout", "answer_timeout", "publish_timeout", "longest_wait"):
            _check_seconds(name, getattr(self, name))
        if isinstance(self.queue_bytes, bool) or not isinstance(self.queue_bytes, int):
            raise TypeError(f"queue_bytes must be an int, not {self.queue_bytes!r}")
        if self.queue_bytes < 1:
            raise ValueError(f"queue_bytes must be at least 1, not {self.queue_bytes}")

    @property
    def block(self) -> float:
        """Seconds that a read waits at the server: less than what an answer may take."""
        return min(1.0, self.answer_timeout / 2)


def _check_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be seconds, not {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be more than 0 s, and finite, not {value}")

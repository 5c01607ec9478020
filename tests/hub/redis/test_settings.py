from __future__ import annotations

import ssl
import subprocess
import sys
from typing import Any

import pytest

from trio_wsendpoint.hub import History
from trio_wsendpoint.hub.redis import RedisBackplane
from trio_wsendpoint.hub.redis.settings import Address, RedisSettings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", Address("localhost")),
        ("redis://10.0.0.1:7000/3", Address("10.0.0.1", 7000, database=3)),
        ("redis://[::1]:7000", Address("::1", 7000)),
        ("rediss://cache.example", Address("cache.example", is_tls=True)),
        ("redis://:p%40ss@h", Address("h", password="p@ss")),
        ("redis://me:secret@h/1", Address("h", database=1, username="me", password="secret")),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock")),
        ("unix:///run/redis.sock?db=2", Address(path="/run/redis.sock", database=2)),
    ],
)
def test_urls(url, expected):
    assert Address.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://localhost", "begins with redis://"),
        ("redis://", "no host"),
        ("redis://h/zero", "a number"),
        ("redis://h:99999", "1 to 65535"),
        ("redis://h?timeout=3", "no options except db"),
        ("unix://redis.sock", "absolute path"),
    ],
)
def test_urls_that_cannot_be(url, text):
    with pytest.raises(ValueError, match=text):
        Address.parse(url)


def test_no_password_is_shown():
    settings = RedisSettings(url="redis://me:secret@h/1")
    backplane = RedisBackplane("redis://me:secret@h/1")
    assert "secret" not in f"{settings} {settings.address} {settings.address!r} {backplane!r}"
    with pytest.raises(ValueError, match="database") as caught:
        RedisSettings(url="redis://me:secret@h/x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"history": 5}, TypeError, "History"),
        ({"history": History(), "durability": "disk"}, ValueError, "durability"),
        ({"durability": "aof"}, ValueError, "without history"),
        ({"prefix": "a b"}, ValueError, "prefix"),
        ({"ssl_context": ssl.create_default_context()}, ValueError, "rediss"),
        ({"answer_timeout": 0}, ValueError, "answer_timeout"),
        ({"publish_timeout": "3"}, TypeError, "publish_timeout"),
        ({"queue_bytes": 0}, ValueError, "queue_bytes"),
        ({"queue_bytes": 1.5}, TypeError, "queue_bytes"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], error, text):
    with pytest.raises(error, match=text):
        RedisBackplane("redis://h", **options)


def test_history_is_to_survive_unless_said_otherwise():
    assert RedisSettings(url="redis://h").durability == "none"
    assert RedisSettings(url="redis://h", history=History()).durability == "aof"


@pytest.mark.parametrize("answer_timeout", [0.1, 2.0, 30.0])
def test_a_read_waits_less_than_an_answer_may_take(answer_timeout):
    settings = RedisSettings(url="redis://h", answer_timeout=answer_timeout)
    assert 0 < settings.block < answer_timeout


def test_without_coredis_the_import_says_what_to_install():
    source = (
        "import sys; sys.modules['coredis'] = None\n"
        "import trio_wsendpoint.hub\n"
        "try: import trio_wsendpoint.hub.redis\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert "pip install 'trio-wsendpoint[redis]'" in run.stdout, run.stderr

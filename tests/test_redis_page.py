"""docs/redis.md is true: its code runs, its options and names exist."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from tests.hub.redis.servers import RedisServer, needs_redis
from tests.pages.blocks import sources_of
from tests.redis_faults import MODES
from trio_wsendpoint import hub
from trio_wsendpoint.hub import Reason
from trio_wsendpoint.hub.redis.settings import RedisSettings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "redis.md").read_text()
OPTIONS = {field.name: field for field in dataclasses.fields(RedisSettings)}


@pytest.mark.parametrize("_", [pytest.param(0, marks=needs_redis)])
def test_the_code_runs(_):
    [source] = sources_of("docs/redis.md")
    with RedisServer(appendonly="yes") as server:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", source],
            cwd=ROOT,
            env={**os.environ, "REDIS_URL": server.url},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["hello", "complete", "while you were away"]


def test_its_options_exist_and_have_these_defaults():
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    assert {"history", "durability", "prefix"} <= set(re.findall(r"`([a-z_]+)=", prose))
    for name, value in re.findall(r"`([a-z_]+)=([0-9.]+)`", prose):
        assert OPTIONS[name].default == float(value)
    assert set(re.findall(r"`([a-z_]+)=", prose)) <= set(OPTIONS)


def test_its_names_exist():
    for name in re.findall(r"`((?:Backplane|Publish)[A-Za-z]+)`", PAGE):
        assert hasattr(hub, name), name
    assert set(re.findall(r'Gap\(topic, "(\w+)"\)', PAGE)) <= set(get_args(Reason))
    [modes] = re.findall(r"`python -m tests.redis_faults ([a-z ]+)`", PAGE)
    assert tuple(modes.split()) == MODES

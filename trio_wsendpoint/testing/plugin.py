"""Fixtures for pytest, for tests that ask for them.

That is done by `pytest_plugins = ["trio_wsendpoint.testing.plugin"]` in the `conftest.py` at the
root of the tests.  The fixtures themselves are not async; the tests that use them mostly are, and
then need pytest-trio or its like.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

import pytest

from trio_wsendpoint.testing import pairs, seeds, serving
from trio_wsendpoint.testing.network import MemoryNetwork

__all__ = ["connection_pair", "memory_network", "seed", "seeded_bytes", "serve_in_memory"]


@pytest.fixture
def memory_network() -> Iterator[MemoryNetwork]:
    """Give a `MemoryNetwork`; what the test leaves open of it fails the test."""
    network = MemoryNetwork()
    yield network
    left = [*network.open_streams, *network.open_listeners]
    if left:
        pytest.fail(f"left open on the network: {left}")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Give a seed that is the same each time the test runs, and another one for another test."""
    name: str = request.node.nodeid
    return zlib.crc32(name.encode())


@pytest.fixture
def seeded_bytes(seed: int) -> Callable[[int], bytes]:
    """Give a source of bytes for `random_bytes=`, of the test's own seed."""
    return seeds.seeded_bytes(seed)


@pytest.fixture
def connection_pair() -> Callable[..., AbstractAsyncContextManager[pairs.ConnectionPair]]:
    """Give `trio_wsendpoint.testing.connection_pair`, to be entered as often as you like."""
    return pairs.connection_pair


@pytest.fixture
def serve_in_memory(
    memory_network: MemoryNetwork,
) -> Callable[..., AbstractAsyncContextManager[serving.ServerUnderTest]]:
    """Give `trio_wsendpoint.testing.serve_in_memory`, on the network of this test."""
    return functools.partial(serving.serve_in_memory, network=memory_network)

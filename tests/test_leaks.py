"""The fixture that fails a test which leaves something: it finds each kind, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CONFTEST = """
from tests.leaks import fail_if_it_leaks, watch_runs

watch_runs()
"""

LEAKING = """
import os
import socket

import pytest
import trio

from trio_wsendpoint import connect_endpoint
from trio_wsendpoint.testing import connection_pair

kept = []

def test_a_descriptor():
    kept.append(os.dup(1))

def test_a_descriptor_instead_of_another():
    os.close(kept[-1])
    assert os.open(os.devnull, os.O_RDONLY) == kept[-1]

def test_a_connection():
    async def main():
        async with connection_pair() as (client, server):
            kept.append(client)
    trio.run(main)

async def test_a_connection_of_an_async_test():
    async with connection_pair() as (client, server):
        kept.append(server)

def test_a_task():
    async def linger():
        await trio.sleep_forever()
    async def main():
        trio.lowlevel.spawn_system_task(linger)
    trio.run(main)

async def test_a_task_of_an_async_test():
    trio.lowlevel.spawn_system_task(trio.sleep_forever, name="lingerer")

def test_a_task_of_a_run_that_fails():
    async def main():
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="lingerer")
        raise ValueError
    with pytest.raises(ValueError):
        trio.run(main)

async def sleep():
    pass

def test_a_coroutine_that_is_not_awaited():
    sleep()

def test_a_coroutine_in_a_cycle():
    cycle = [sleep()]
    cycle.append(cycle)

def test_a_socket_in_a_cycle():
    cycle = [socket.socket()]
    cycle.append(cycle)
"""

CLEAN = """
import logging
import os

import pytest
import trio

from trio_wsendpoint.testing import connection_pair

@pytest.fixture(scope="module")
def opened():
    descriptor = os.dup(1)
    yield descriptor
    os.close(descriptor)

@pytest.fixture
def opened_for_one():
    descriptor = os.dup(1)
    yield descriptor
    os.close(descriptor)

def test_fixtures(opened, opened_for_one):
    pass

def test_a_connection():
    async def main():
        async with connection_pair() as (client, server):
            cycle = [client, server]
            cycle.append(cycle)
            await client.send("hello")
            assert await server.receive() == "hello"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(os.getpid)
    trio.run(main)

async def test_an_error_that_is_logged(caplog):
    async with connection_pair() as (client, server):
        try:
            await client.send(object())
        except TypeError as error:
            logging.getLogger().warning("it was %r", error, exc_info=error)

@pytest.mark.xfail(strict=True)
def test_that_fails_for_a_reason_of_its_own():
    descriptor = os.dup(1)
    try:
        raise AssertionError
    finally:
        os.close(descriptor)
"""


def run_pytest(path: Path, source: str) -> str:
    """Return what pytest says of a file of tests that the fixture watches."""
    (path / "conftest.py").write_text(CONFTEST)
    (path / "test_file.py").write_text(source)
    (path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    options = ["-rN", "-p", "no:cacheprovider", "-p", "no:cov"]
    program = f"import pytest, sys; sys.path.insert(0, {str(ROOT)!r}); pytest.main({options!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=path, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run_pytest(tmp_path_factory.mktemp("leaking"), LEAKING)


@pytest.mark.parametrize(
    ("test", "finding"),
    [
        ("test_a_descriptor", "a descriptor: "),
        ("test_a_descriptor_instead_of_another", "-> /dev/null"),
        ("test_a_connection", "a connection: <Connection #"),
        ("test_a_connection_of_an_async_test", "a connection: <Connection #"),
        ("test_a_task", "a task: test_file.test_a_task.<locals>.linger"),
        ("test_a_task_of_an_async_test", "a task: lingerer"),
        ("test_a_task_of_a_run_that_fails", "a task: lingerer"),
        ("test_a_coroutine_that_is_not_awaited", "coroutine 'sleep' was never awaited"),
        ("test_a_coroutine_in_a_cycle", "coroutine 'sleep' was never awaited"),
        ("test_a_socket_in_a_cycle", "unclosed <socket.socket"),
    ],
)
def test_what_a_test_leaves_is_found(told: str, test: str, finding: str) -> None:
    sections = [part for part in told.split("\n____") if f" {test} __" in part[:100]]
    assert any(finding in section for section in sections), told


def test_no_test_is_blamed_for_another(told: str) -> None:
    assert told.count("the test has left\n") == 7
    assert "1 failed, 9 passed, 9 errors" in told


def test_what_is_in_order_passes(tmp_path: Path) -> None:
    told = run_pytest(tmp_path, CLEAN)
    assert "3 passed, 1 xfailed" in told, told

"""Real workers that fail or misbehave: the parent outlives each, and the others serve on."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.examples.programs import PATIENCE
from tests.workers.processes import Running, is_alive, running
from tests.workers.test_processes import connect_to
from trio_wsendpoint import ConnectionClosed, connect_endpoint

pytestmark = [
    pytest.mark.component,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

STOPPED = "the roll was stopped, and the old workers serve on: worker 3 (process {}) {}"


async def logged(program: Running, text: str) -> None:
    """Wait until the log has `text`."""
    with trio.fail_after(PATIENCE):
        while text not in program.log:
            await trio.sleep(0.01)


async def rolls(program: Running) -> None:
    """Check that the parent replaces its workers as ever."""
    program.behave("")
    old = set(program.workers)
    program.send(signal.SIGHUP)
    await program.serving(rolls=1)
    assert not old & set(program.workers)


# ---- a roll to what does not start -------------------------------------------------------------


@pytest.mark.parametrize(
    ("habit", "why"),
    [
        ("raises", "exited with status 1 before it was ready"),
        ("fails at import", "exited with status 1 before it was ready"),
        ("ends at import", "exited with status 0 before it was ready"),
        ("crashes", "was ended by SIGSEGV before it was ready"),
        ("closes", "has closed its pipe to the parent"),
        ("babbles", "has written a line that is no JSON"),
        ("floods", "has written a line"),
    ],
)
async def test_a_roll_to_what_does_not_start_keeps_the_old_workers(
    tmp_path: Path, habit: str, why: str
) -> None:
    async with running(tmp_path) as program, AsyncExitStack() as stack:
        await program.serving()
        old = program.workers
        kept = [await connect_to(stack, program, pid) for pid in old]
        program.behave(habit)
        program.send(signal.SIGHUP)
        state = await program.serving(failed=1)
        assert program.workers == old
        [new] = program.seen - set(old)
        assert state["why"].startswith(STOPPED.format(new, why))
        assert state["why"] in program.log
        for connection in kept:
            await connection.send("still here")
            assert await connection.receive() == "still here"
        async with connect_endpoint(program.url) as connection:
            assert int(await connection.receive()) in old
        await rolls(program)


@pytest.mark.parametrize("habit", ["hangs", "hangs at import", "blocks"])
async def test_a_roll_to_what_is_never_ready_is_given_up_at_the_deadline(
    tmp_path: Path, habit: str
) -> None:
    """60 seconds pass for the parent alone; a worker that holds the interpreter is no exception."""
    async with running(tmp_path) as program, AsyncExitStack() as stack:
        await program.serving()
        old = program.workers
        kept = [await connect_to(stack, program, pid) for pid in old]
        program.behave(habit)
        program.send(signal.SIGHUP)
        state = await program.until(lambda state: len(state["workers"]) == 3)
        [hanging] = set(program.workers) - set(old)
        assert state["phase"] == "rolling"
        program.pass_time(50)
        await logged(program, "the parent is rolling: worker 1 ")
        assert is_alive(hanging), "it may still become ready"
        program.pass_time(11)
        state = await program.serving(failed=1)
        assert state["why"] == STOPPED.format(hanging, "was not ready within 60 s")
        assert (
            f"worker 3 (process {hanging}) was not ready within 60 s: it is killed" in program.log
        )
        assert program.workers == old
        assert not is_alive(hanging)
        for connection in kept:
            await connection.send("still here")
            assert await connection.receive() == "still here"
        await rolls(program)


@pytest.mark.parametrize(
    ("habit", "why"),
    [("fails at import", "ImportError: as the habit says"), ("raises", "as the habit says")],
)
async def test_the_parent_ends_if_the_first_workers_fail(
    tmp_path: Path, habit: str, why: str
) -> None:
    async with running(tmp_path, habit) as program:
        assert await program.wait() == 1
        assert "no worker became ready: worker" in program.log.splitlines()[-1]
        assert why in program.log


async def test_the_parent_ends_if_none_of_the_first_is_ever_ready(tmp_path: Path) -> None:
    async with running(tmp_path, "hangs at import") as program:
        await program.until(lambda state: len(program.seen) == 2)
        program.pass_time(61)
        assert await program.wait() == 1
        last = program.log.splitlines()[-1]
        assert last.startswith("no worker became ready: worker ")
        assert last.endswith(" was not ready within 60 s")
    assert not any(map(is_alive, program.seen))


async def test_one_that_dies_at_import_later_is_tried_again_after_longer_times(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as program:
        await program.serving()
        first, second = program.workers
        program.behave("fails at import")
        os.kill(first, signal.SIGKILL)
        await program.until(lambda state: state["deaths"] == 3)
        assert program.workers[second] == "ready"
        assert "s, after 3 failures in a row" in program.log
        program.behave("")
        await program.serving()


# ---- a worker that is ready --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habit", "how"),
    [("leaves", "exited with status 0"), ("crashes", "was ended by SIGSEGV")],
)
async def test_one_that_dies_is_replaced(tmp_path: Path, habit: str, how: str) -> None:
    async with running(tmp_path) as program, AsyncExitStack() as stack:
        await program.serving()
        first, second = program.workers
        lost = await connect_to(stack, program, first)
        kept = await connect_to(stack, program, second)
        await lost.send(habit)
        with pytest.raises(ConnectionClosed):
            await lost.receive()
        await program.serving(deaths=1)
        assert f"(process {first}) {how}" in program.log
        assert program.workers[second] == "ready"
        await kept.send("still here")
        assert await kept.receive() == "still here"
        await rolls(program)


@pytest.mark.parametrize(
    ("habit", "how"),
    [
        ("closes", "has closed its pipe to the parent"),
        ("babbles", "has written a line that is no JSON"),
        ("floods", "has written a line"),
    ],
)
async def test_one_that_spoils_its_pipe_serves_on(tmp_path: Path, habit: str, how: str) -> None:
    async with running(tmp_path) as program, AsyncExitStack() as stack:
        await program.serving()
        first, second = program.workers
        connection = await connect_to(stack, program, first)
        await connection.send(habit)
        found = re.compile(rf"\(process {first}\) {how}.*: it serves on, and counts no more")
        with trio.fail_after(PATIENCE):
            while not found.search(program.log):
                program.pass_time(2)  # in which a process that has ended would be reaped
                await trio.sleep(0.05)
        assert program.workers == {first: "ready", second: "ready"}
        if habit != "closes":  # which breaks a descriptor that the worker itself waits for
            assert await connection.receive() == habit
        await rolls(program)


async def test_one_that_asks_and_never_reads_costs_the_parent_no_memory(tmp_path: Path) -> None:
    async with running(tmp_path) as program, AsyncExitStack() as stack:
        await program.serving()
        connection = await connect_to(stack, program, next(iter(program.workers)))
        before = resident(program.pid)
        await connection.send("asks")
        assert await connection.receive() == "asks"
        assert resident(program.pid) - before < 8 << 20
        await rolls(program)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

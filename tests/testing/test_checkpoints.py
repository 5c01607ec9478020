"""The harness finds what it is there to find: each check is tried on a victim that fails it."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pickle
import signal
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

from tests import leaks
from trio_wsendpoint import ConnectionClosed, accept_endpoint, connect_endpoint
from trio_wsendpoint.testing import (
    KINDS,
    CheckpointFailure,
    MemoryStream,
    NonBlockingMemoryStream,
    Report,
    Run,
    cancel_at_every_checkpoint,
    connection_pair,
)


async def sound(run: Run) -> None:
    """Yields six times."""

    async def work() -> str:
        for _ in range(3):
            await trio.sleep(1)
            await trio.lowlevel.checkpoint()
        return "done"

    end = await run.victim(work)
    assert end.value == ("done" if end.is_complete else None)
    if run.injection.kind == "cancel":
        assert end.is_cancelled is (run.injection.k <= 6)
    assert not (end.is_cancelled and end.is_interrupted)


def test_every_checkpoint_once_a_seed() -> None:
    report = cancel_at_every_checkpoint(sound, seeds=range(3))
    assert report.injections == {"cancel": 18, "interrupt": 18}
    assert report.runs == 36 + 6
    assert report.failures == []
    table = str(report).splitlines()
    assert table[0].split() == ["injections", "corrupt", "hung", "leaked", "swallowed", "logged"]
    assert table[1].split() == ["cancel", "18", "0", "0", "0", "0", "0"]
    assert table[-1].split() == ["42", "runs", "36", "0", "0", "0", "0", "0"]
    assert (report + report).injections["cancel"] == 36


def test_a_ctrl_c_that_is_ours_comes_out() -> None:
    async def interrupted(run: Run) -> None:
        if run.injection.k == 3:
            signal.raise_signal(signal.SIGINT)
        await run.victim(trio.sleep, 1)

    with pytest.raises(KeyboardInterrupt):
        cancel_at_every_checkpoint(interrupted, inject=["cancel"], replay=(0, 3))


def check(scenario: Callable[[Run], Any], category: str, text: str, **options: Any) -> None:
    """Check that the harness finds this in a scenario."""
    options.setdefault("inject", ["cancel"])
    with pytest.raises(CheckpointFailure, match=text) as caught:
        cancel_at_every_checkpoint(scenario, **options)
    failure = caught.value
    assert failure.category == category
    assert failure.kind == options["inject"][0]
    repeat = f"inject=[{failure.kind!r}], replay=({failure.seed}, {failure.k}))"
    assert repeat in str(failure)
    again = cancel_at_every_checkpoint(
        scenario, **options | {"replay": (failure.seed, failure.k), "keep_going": True}
    )
    assert [each.category for each in again.failures] == [category]
    assert again.runs == 1
    assert str(pickle.loads(pickle.dumps(failure))) == str(failure)


# ---- swallowed -------------------------------------------------------------------------------


async def forgive(call: Callable[[], Any], error: type[BaseException]) -> None:
    with contextlib.suppress(error):
        await call()


@pytest.mark.parametrize("call", [partial(trio.sleep, 1), trio.lowlevel.checkpoint])
def test_a_victim_that_swallows_cancelled(call) -> None:
    async def scenario(run: Run) -> None:
        await run.victim(forgive, call, trio.Cancelled)

    check(scenario, "swallowed", "was given Cancelled, and returned")


def test_a_victim_that_may_well_return() -> None:
    async def shielded() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            for _ in range(100):
                await trio.lowlevel.checkpoint()

    async def at_its_end() -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def with_a_scope_of_its_own() -> None:
        with trio.move_on_after(1):
            await trio.sleep(2)

    async def scenario(run: Run, victim) -> None:
        await run.victim(victim)

    async def closing(run: Run) -> None:
        client, server = run.network.pair()
        await run.victim(trio.aclose_forcefully, client)
        await client.aclose()
        await server.aclose()

    assert cancel_at_every_checkpoint(closing).runs > 8
    for victim in (shielded, at_its_end, with_a_scope_of_its_own):
        assert cancel_at_every_checkpoint(partial(scenario, victim=victim)).runs > 8


def test_a_victim_that_carries_on() -> None:
    async def carry_on() -> None:
        for _ in range(100):
            await forgive(partial(trio.sleep, 1), trio.Cancelled)
        await trio.lowlevel.checkpoint()

    async def scenario(run: Run) -> None:
        await run.victim(carry_on)

    check(scenario, "swallowed", "carried on")


@pytest.mark.parametrize("seconds", [1, 0])
def test_a_victim_that_swallows_an_interrupt(seconds: int) -> None:
    async def scenario(run: Run) -> None:
        await run.victim(forgive, partial(trio.sleep, seconds), KeyboardInterrupt)

    check(scenario, "swallowed", "KeyboardInterrupt, and it is gone", inject=["interrupt"])


def test_an_interrupt_in_a_group_that_comes_late_or_with_an_error() -> None:
    async def in_a_group() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)

    async def late() -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def fail() -> None:
        await late()
        raise ValueError("the victim's own")

    async def scenario(run: Run, victim) -> None:
        end = await run.victim(victim)
        assert end.is_interrupted is (victim is in_a_group and run.injection.k < 2)

    for victim in (in_a_group, late):
        cancel_at_every_checkpoint(partial(scenario, victim=victim), inject=["interrupt"])
    check(partial(scenario, victim=fail), "corrupt", "the victim's own", inject=["interrupt"])


def test_an_interrupt_outside_of_the_victim() -> None:
    async def scenario(run: Run) -> None:
        await run.victim(trio.lowlevel.cancel_shielded_checkpoint)
        raise KeyboardInterrupt

    check(
        scenario, "corrupt", "it came out of the scenario: KeyboardInterrupt", inject=["interrupt"]
    )


# ---- hung ------------------------------------------------------------------------------------


async def shut(call: Callable[[], Any]) -> None:
    with trio.CancelScope(shield=True):
        await call()


@pytest.mark.parametrize("shield", [False, True])
def test_a_scenario_that_hangs(shield: bool) -> None:
    async def scenario(run: Run) -> None:
        end = await run.victim(trio.sleep, 1)
        if end.is_cancelled:
            await (shut(trio.sleep_forever) if shield else trio.sleep_forever())

    check(scenario, "hung", "no end after 300 virtual s:\n.* > .*sleep_forever")


def test_a_connection_that_hangs() -> None:
    async def scenario(run: Run) -> None:
        client, server = run.network.pair()
        await run.victim(trio.sleep, 1)
        await shut(partial(client.receive_some, 1))
        await server.aclose()

    check(scenario, "hung", "receive_some")


def test_a_loop_that_never_waits() -> None:
    async def scenario(run: Run) -> None:
        await run.victim(trio.sleep, 1)
        while True:
            await trio.lowlevel.checkpoint()

    check(scenario, "hung", "a busy loop", seeds=[0])


def test_a_victim_without_an_end(monkeypatch) -> None:
    monkeypatch.setattr("trio_wsendpoint.testing.checkpoints.MAX_CHANCES", 5)

    with pytest.raises(RuntimeError, match="does not end after 5 chances"):
        cancel_at_every_checkpoint(sound)


# ---- leaked ----------------------------------------------------------------------------------


@pytest.mark.leaves_tasks
def test_what_is_left_over(tmp_path) -> None:
    kept: list[Any] = []

    async def a_task(run: Run) -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)

    async def a_stream(run: Run) -> None:
        run.network.pair()

    async def a_listener(run: Run) -> None:
        run.network.listen()

    async def a_descriptor(run: Run) -> None:
        kept.append(os.open(tmp_path, os.O_RDONLY))

    async def a_file(run: Run) -> None:
        open(os.devnull)  # noqa: SIM115

    async def a_coroutine(run: Run) -> None:
        trio.sleep(1)  # type: ignore[unused-coroutine]

    async def scenario(run: Run, leak) -> None:
        if (await run.victim(trio.sleep, 1)).is_cancelled:
            await leak(run)

    for leak, text in [
        (a_task, "1 tasks were left"),
        (a_stream, "left open: .*client"),
        (a_listener, "left open: .*MemoryListener server"),
        (a_descriptor, "1 file descriptors"),
        (a_file, "ResourceWarning"),
        (a_coroutine, "RuntimeWarning: coroutine 'sleep' was never awaited"),
    ]:
        check(partial(scenario, leak=leak), "leaked", text)
    for descriptor in kept:
        os.close(descriptor)
    leaks._tasks_left.clear()  # they were meant to be left


def test_what_is_raised_where_nobody_can_catch_it() -> None:
    class Careless:
        def __del__(self) -> None:
            raise ValueError("in vain")

    async def scenario(run: Run) -> None:
        await run.victim(trio.sleep, 1)
        cycle: list[Any] = [Careless()]
        cycle.append(cycle)

    check(scenario, "leaked", "unraisable: ValueError..in vain")


# ---- logged, corrupt -------------------------------------------------------------------------


def test_what_is_logged() -> None:
    async def scenario(run: Run) -> None:
        await run.victim(trio.sleep, 1)
        logging.getLogger("trio_wsendpoint").info("quietly")
        logging.getLogger("elsewhere").critical("not ours")
        if run.injection.k == 1:
            logging.getLogger("trio_wsendpoint").warning("loudly")

    check(scenario, "logged", "loudly$|loudly\n")


def test_a_victim_that_tears() -> None:
    async def tear(stream: MemoryStream) -> None:
        for letter in (b"a", b"b"):
            await stream.send_all(letter)

    async def scenario(run: Run) -> None:
        client, server = run.network.pair()
        async with client, server:
            await run.victim(tear, client)
            await client.send_eof()
            assert await server.receive_some() in {b"", b"ab"}, "it is torn"

    check(scenario, "corrupt", "it is torn")


# ---- operations and internal tasks -----------------------------------------------------------


@pytest.mark.parametrize("nonblocking", [False, True])
def test_errors_of_streams(nonblocking: bool) -> None:
    ends: list[tuple[int, str]] = []

    async def talk(client: MemoryStream, server: MemoryStream) -> str:
        assert isinstance(client, NonBlockingMemoryStream) is nonblocking
        try:
            await client.send_all(b"x")
            await server.receive_some()
            await server.send_all(b"y")
            await client.receive_some()
        except trio.BrokenResourceError as error:
            return type(error.__cause__).__name__
        return "fine"

    async def scenario(run: Run) -> None:
        client, server = run.network.pair()
        async with client, server:
            end = await run.victim(talk, client, server)
            assert end.value is not None
            ends.append((run.injection.k, end.value))

    report = cancel_at_every_checkpoint(
        scenario, seeds=[1], inject=["client error", "server error"], nonblocking=nonblocking
    )
    assert report.injections == {"client error": 2, "server error": 2}
    assert ends == [(1, "OSError"), (2, "OSError"), (3, "fine")] * 2


def test_internal_tasks_are_cancelled() -> None:
    ended: set[str] = set()

    async def scenario(run: Run) -> None:
        async with connection_pair(streams=run.network.pair()) as (client, server):
            run.watch(client)

            async def talk() -> None:
                with contextlib.suppress(ConnectionClosed):
                    await client.send("x")
                    await server.receive()
                    await client.ping()
                    await client.aclose()

            await run.victim(talk)
            ended.add(f"{run.injection.kind} {client.is_open}")

    inject = KINDS[4:]
    report = cancel_at_every_checkpoint(
        scenario, seeds=[0], inject=inject, nonblocking=False, keep_going=True
    )
    assert {"reader", "writer", "heartbeat", "closer"} == set(inject)
    assert report.injections.total() > 3
    assert ended


def test_children_count_if_they_are_to() -> None:
    async def work() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(trio.sleep, 1)

    async def scenario(run: Run, children: bool) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 5)
            await run.victim(work, children=children)

    for children, expected in (False, 1), (True, 4):
        report = cancel_at_every_checkpoint(
            partial(scenario, children=children), seeds=[0], inject=["cancel"]
        )
        assert report.injections["cancel"] == expected


# ---- what a scenario is given ------------------------------------------------------------------


def test_a_victim_is_one_and_in_the_main_task_for_an_interrupt() -> None:
    async def two(run: Run) -> None:
        await run.victim(partial(run.victim, trio.sleep, 1))

    check(two, "corrupt", "one at a time")

    async def elsewhere(run: Run) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(run.victim, trio.sleep, 1))

    assert cancel_at_every_checkpoint(elsewhere, inject=["cancel"]).injections["cancel"] == 4
    check(elsewhere, "corrupt", "strikes the main task", inject=["interrupt"])


def test_randomness_and_logs_are_those_of_the_run() -> None:
    seen: dict[tuple[int, int], Any] = {}

    async def scenario(run: Run) -> None:
        assert run.records == []
        client, server = run.network.pair(client=run.faults())
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                async with accept_endpoint(server) as connection:
                    await connection.send("x")

            nursery.start_soon(serve)
            async with connect_endpoint(
                "ws://server/", stream=client, random_bytes=run.random_bytes
            ) as connection:
                await run.victim(connection.receive)
        drawn = (run.random.random(), run.random_bytes(3))
        assert seen.setdefault((run.seed, 0), drawn) == drawn

    cancel_at_every_checkpoint(scenario, seeds=range(2), inject=["cancel"])
    assert len(set(seen.values())) == 2


def test_nothing_of_the_process_is_left_changed() -> None:
    handler = signal.getsignal(signal.SIGINT)
    loggers = [logging.getLogger("trio_wsendpoint"), logging.getLogger("trio")]
    before = [list(logger.handlers) for logger in loggers]
    frozen, filters = gc.get_freeze_count(), list(warnings.filters)
    cancel_at_every_checkpoint(sound)
    assert signal.getsignal(signal.SIGINT) is handler
    assert [logger.handlers for logger in loggers] == before
    assert gc.get_freeze_count() == frozen
    assert list(warnings.filters) == filters


def test_a_report_of_failures() -> None:
    async def scenario(run: Run) -> None:
        end = await run.victim(trio.sleep, 1)
        assert not end.is_cancelled

    report = cancel_at_every_checkpoint(scenario, seeds=range(2), keep_going=True)
    assert isinstance(report, Report)
    assert [(each.seed, each.k) for each in report.failures] == [(0, 1), (1, 1)]
    assert str(report).splitlines()[-1].split() == ["8", "runs", "4", "2", "0", "0", "0", "0"]

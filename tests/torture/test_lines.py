"""A Ctrl-C at some lines of each program; `python -m tests.torture --lines` takes every line."""

from __future__ import annotations

import pytest
import trio

from tests.torture.line_programs import PROGRAMS
from tests.torture.lines import Blow, LineRun, Outcome, interrupt, interrupt_everywhere
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.testing.surroundings import interrupts_allowed, quiet_collector

#: Of so many lines one is struck; the first of a program are all struck.
EVERY = 331
FIRST = 4


@pytest.mark.parametrize(
    ("name", "nonblocking"),
    [pytest.param(name, number % 2 == 0, id=name) for number, name in enumerate(PROGRAMS)],
)
def test_struck_at_some_lines(name: str, nonblocking: bool) -> None:
    outcomes: list[Outcome] = []
    for twice in (False, True):
        outcomes += interrupt_everywhere(
            name, PROGRAMS[name], every=EVERY, twice=twice, nonblocking=nonblocking
        )
    with quiet_collector(), interrupts_allowed():
        for k in range(2, FIRST + 1):
            outcomes.append(interrupt(PROGRAMS[name], Blow(name, k, 0, nonblocking)))
    assert len(outcomes) >= FIRST + 3
    assert [str(outcome) for outcome in outcomes if outcome.faults] == []


def test_a_run_repeats() -> None:
    counts = {interrupt(PROGRAMS["client_talks"], Blow("client_talks", 0)).lines for _ in range(3)}
    assert len(counts) == 1


# ---- what is found -----------------------------------------------------------------------------


def run_lines() -> None:
    """Run some lines of the library."""
    WebSocketURL.parse("ws://example.test/")


def struck(program, k: int = 3, then: int = 0) -> list[str]:
    with quiet_collector(), interrupts_allowed():
        outcome = interrupt(program, Blow("made up", k, then))
    assert len(outcome.struck_at) <= 1 + bool(then)
    return outcome.faults


def test_a_program_that_ends_is_right() -> None:
    async def program(run: LineRun) -> None:
        run.start()
        run_lines()

    assert struck(program) == []
    assert struck(program, k=0) == []
    assert struck(program, then=2) == []


def test_lines_before_the_start_do_not_count() -> None:
    async def program(run: LineRun) -> None:
        run_lines()

    with interrupts_allowed():
        assert interrupt(program, Blow("made up", 0)).lines == 0


def test_a_second_one_comes_while_the_first_is_on_its_way() -> None:
    caught = []

    async def program(run: LineRun) -> None:
        run.start()
        try:
            run_lines()
        except KeyboardInterrupt:
            caught.append(1)
            try:
                run_lines()
            except KeyboardInterrupt:
                caught.append(2)
            raise

    assert struck(program, 3, 2) == []
    assert caught == [1, 2]


def test_one_that_is_swallowed_is_found() -> None:
    async def program(run: LineRun) -> None:
        run.start()
        try:
            run_lines()
        except KeyboardInterrupt:
            return

    assert struck(program) == ["the KeyboardInterrupt is gone"]


def test_another_error_is_found() -> None:
    async def program(run: LineRun) -> None:
        run.start()
        try:
            run_lines()
        except KeyboardInterrupt:
            raise ZeroDivisionError from None

    first, *_ = struck(program)
    assert first.startswith("not a KeyboardInterrupt came out")
    assert "ZeroDivisionError" in first


def test_a_group_is_found() -> None:
    async def program(run: LineRun) -> None:
        run.start()
        async with trio.open_nursery():
            run_lines()

    [fault] = struck(program)
    assert fault.startswith("not a KeyboardInterrupt came out")


def test_a_stream_that_is_left_is_found() -> None:
    async def program(run: LineRun) -> None:
        client, server = run.network.pair()
        run.start()
        run_lines()
        client.close()
        server.close()

    [fault] = struck(program)
    assert fault.startswith("left open: ")
    assert struck(program, k=0) == []


def test_a_hang_is_found() -> None:
    async def program(run: LineRun) -> None:
        run.start()
        try:
            run_lines()
        finally:
            await trio.sleep_forever()

    fault, *_ = struck(program)
    assert fault.startswith("no end after 300 virtual s")
    assert "sleep_forever" in fault


def test_one_that_takes_long_is_found() -> None:
    async def program(run: LineRun) -> None:
        run.start()
        try:
            run_lines()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(100)

    assert struck(program) == ["it took 100 virtual s"]


def test_a_coroutine_that_is_left_is_found() -> None:
    async def program(run: LineRun) -> None:
        run.start()
        waiting = trio.sleep(1)
        run_lines()
        await waiting

    [fault] = struck(program)
    assert "never awaited" in fault


def test_an_error_without_a_ctrl_c_is_the_programs() -> None:
    async def program(run: LineRun) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup, match="nursery"):
        struck(program, k=0)

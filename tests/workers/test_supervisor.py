"""The supervisor's table, with a clock of the test's and no process."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from tests.workers.fleet import PACE, Fleet
from trio_wsendpoint.workers.phases import PARENT_MOVES, WORKER_MOVES, ParentPhase, WorkerPhase
from trio_wsendpoint.workers.places import Member

# ---- the first workers -------------------------------------------------------------------------


def test_all_start_at_once_and_it_serves_when_all_are_ready() -> None:
    fleet = Fleet(3, is_ready=False)
    assert fleet.done == ["start 1", "start 2", "start 3"]
    fleet.ready(2)
    fleet.ready(1)
    assert fleet.phase == "starting"
    fleet.ready(3)
    assert fleet.phase == "serving"
    assert fleet.is_idle


def test_one_of_the_first_that_dies_at_import_is_replaced_with_backoff() -> None:
    fleet = Fleet(2, is_ready=False)
    assert fleet.gone(1) == []
    assert fleet.phase == "starting"
    fleet.ready(2)
    assert fleet.phase == "serving"
    starts = []
    for number in (3, 4, 5, 6, 7, 8, 9):
        starts.append(fleet.supervisor.deadline - fleet.now)
        assert fleet.wait(starts[-1]) == [f"start {number}"]
        fleet.gone(number)
    # It doubles up to the cap; there the client's rule 3 draws from its last quarter.
    assert starts == pytest.approx([0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0])
    assert fleet.phase == "serving"
    assert fleet.phases == {2: "ready"}
    assert fleet.supervisor.deaths == 8
    assert "worker 9 exited with status 1" in (fleet.supervisor.last_failure or "")


def test_it_ends_if_each_of_the_first_has_failed() -> None:
    fleet = Fleet(2, is_ready=False)
    fleet.gone(1, "exited with status 1")
    fleet.gone(2, "was ended by SIGSEGV")
    assert fleet.phase == "over"
    assert fleet.is_idle
    failure = fleet.supervisor.failure or ""
    assert failure.startswith("no worker became ready: worker 2 was ended by SIGSEGV before")


def test_it_ends_if_none_of_the_first_is_ready_in_time() -> None:
    fleet = Fleet(2, is_ready=False)
    assert fleet.wait(PACE.ready - 0.1) == []
    assert fleet.wait(0.2) == ["kill 1", "kill 2"]
    assert fleet.gone(1) == []
    assert fleet.gone(2) == []
    assert fleet.phase == "over"
    assert "was not ready within 60 s" in (fleet.supervisor.failure or "")


# ---- workers that die --------------------------------------------------------------------------


def test_one_that_was_healthy_is_replaced_soon() -> None:
    fleet = Fleet()
    fleet.wait(10)
    fleet.gone(1, "was ended by SIGKILL")
    assert fleet.wait(0.05) == []
    assert fleet.wait(0.06) == ["start 3"]
    fleet.ready(3)
    assert fleet.phases == {2: "ready", 3: "ready"}
    assert fleet.is_idle


def test_one_that_is_ready_and_dies_after_a_second_has_failed() -> None:
    fleet = Fleet(1)
    waits = []
    for number in itertools.count(2):
        fleet.wait(1)
        fleet.gone(number - 1)
        waits.append(fleet.supervisor.deadline - fleet.now)
        if number == 6:
            break
        assert fleet.wait(waits[-1]) == [f"start {number}"]
        fleet.ready(number)
    assert waits == pytest.approx([0.5, 1.0, 2.0, 4.0, 8.0])
    # One that lasts ends the row.
    fleet.wait(8)
    fleet.ready(6)
    fleet.wait(10)
    fleet.gone(6)
    assert fleet.supervisor.deadline - fleet.now == pytest.approx(0.1)


def test_each_place_has_a_row_of_failures_of_its_own() -> None:
    fleet = Fleet(2)
    for number in (1, 3, 4):
        fleet.gone(number)
        fleet.wait(fleet.supervisor.deadline - fleet.now)
    assert fleet.phases == {2: "ready", 5: "starting"}
    fleet.gone(2)
    assert fleet.supervisor.deadline - fleet.now == pytest.approx(0.5)


def test_one_that_is_not_ready_in_time_is_killed_and_replaced() -> None:
    fleet = Fleet()
    fleet.wait(10)
    fleet.gone(1)
    assert fleet.wait(0.1) == ["start 3"]
    assert fleet.wait(60) == ["kill 3"]
    assert fleet.is_idle
    fleet.gone(3, "was ended by SIGKILL")
    assert fleet.wait(0.5) == ["start 4"]


def test_one_that_closes_its_pipe_before_it_is_ready_is_killed_a_second_later() -> None:
    fleet = Fleet()
    fleet.gone(1)
    fleet.wait(0.5)
    assert fleet.useless(3, "has closed its pipe") == []
    assert fleet.wait(0.9) == []
    assert fleet.wait(0.1) == ["kill 3"]
    assert fleet.supervisor.last_failure == "worker 3 has closed its pipe"
    fleet.gone(3)
    assert fleet.wait(1.0) == ["start 4"]


def test_one_that_closes_its_pipe_because_it_ends_is_not_killed() -> None:
    fleet = Fleet(2, is_ready=False)
    fleet.useless(1)
    assert fleet.gone(1, "exited with status 1") == []
    assert not any("closed its pipe" in note for note in fleet.notes)


def test_one_that_closes_its_pipe_and_is_ready_serves_on() -> None:
    fleet = Fleet()
    assert fleet.useless(1) == []
    assert fleet.wait(100) == []
    assert fleet.phases == {1: "ready", 2: "ready"}
    assert sum("has closed its pipe: it serves on" in note for note in fleet.notes) == 1


def test_a_process_that_cannot_be_started_is_tried_again() -> None:
    fleet = Fleet()
    fleet.gone(1)
    assert fleet.wait(0.5) == ["start 3"]
    fleet.gone(3, "could not be started: Resource temporarily unavailable")
    assert fleet.wait(1.0) == ["start 4"]


def test_a_second_ready_changes_nothing() -> None:
    fleet = Fleet()
    assert fleet.ready(1) == []
    assert fleet.phase == "serving"


# ---- a roll ------------------------------------------------------------------------------------


def rolling(count: int = 2) -> Fleet:
    """Return a fleet whose new workers are ready and watched."""
    fleet = Fleet(count)
    assert fleet.roll() == [f"start {count + 1}"]
    for number in range(count + 1, 2 * count):
        assert fleet.ready(number) == [f"start {number + 1}"]
    assert fleet.ready(2 * count) == []
    assert fleet.phase == "settling"
    return fleet


def test_a_roll_starts_one_by_one_and_then_drains_the_old() -> None:
    fleet = rolling()
    assert fleet.wait(0.9) == []
    assert fleet.wait(0.1) == ["stop 1", "stop 2"]
    assert fleet.phase == "retiring"
    assert fleet.phases == {1: "stopping", 2: "stopping", 3: "ready", 4: "ready"}
    fleet.gone(2, "exited with status 0")
    fleet.gone(1, "exited with status 0")
    assert fleet.phase == "serving"
    assert (fleet.supervisor.rolls, fleet.supervisor.deaths) == (1, 0)
    assert fleet.is_idle


@pytest.mark.parametrize("ready_before", [0, 1])
def test_a_roll_stops_if_a_new_one_dies_at_import(ready_before: int) -> None:
    fleet = Fleet()
    fleet.roll()
    if ready_before:
        fleet.ready(3)
    dying = 3 + ready_before
    done = fleet.gone(dying, "exited with status 1")
    assert done == (["stop 3"] if ready_before else [])
    assert {1: "ready", 2: "ready"}.items() <= fleet.phases.items()
    if ready_before:
        assert fleet.phase == "retiring"
        fleet.gone(3)
    assert fleet.phase == "serving"
    assert fleet.wait(1000) == [], "the old ones are complete, and nothing is tried again"
    assert (fleet.supervisor.rolls, fleet.supervisor.failed_rolls) == (0, 1)
    told = fleet.supervisor.last_failure or ""
    assert told.startswith("the roll was stopped, and the old workers serve on: ")
    assert f"worker {dying} exited with status 1 before it was ready" in told
    assert told in fleet.notes


def test_a_roll_stops_if_a_new_one_never_becomes_ready() -> None:
    fleet = Fleet()
    fleet.roll()
    assert fleet.wait(60) == ["kill 3"]
    assert fleet.phase == "retiring"
    fleet.gone(3)
    assert fleet.phase == "serving"
    assert "was not ready within 60 s" in (fleet.supervisor.last_failure or "")
    assert fleet.phases == {1: "ready", 2: "ready"}


def test_a_roll_stops_if_a_new_one_closes_its_pipe() -> None:
    fleet = Fleet()
    fleet.roll()
    fleet.useless(3)
    assert fleet.wait(1) == ["kill 3"]
    assert fleet.supervisor.failed_rolls == 1


def test_a_roll_stops_if_a_new_one_is_ready_and_dies_while_it_is_watched() -> None:
    fleet = rolling()
    fleet.wait(0.5)
    assert fleet.gone(3) == ["stop 4"]
    fleet.gone(4)
    assert fleet.phase == "serving"
    assert fleet.phases == {1: "ready", 2: "ready"}
    assert "before the roll was complete" in (fleet.supervisor.last_failure or "")


def test_a_new_one_that_dies_after_the_roll_is_replaced_as_any() -> None:
    fleet = rolling()
    fleet.wait(1)
    assert fleet.gone(3) == []
    assert fleet.wait(0.5) == ["start 5"]
    assert fleet.supervisor.failed_rolls == 0


def test_another_roll_after_one_that_failed() -> None:
    fleet = Fleet()
    fleet.roll()
    fleet.gone(3)
    assert fleet.roll() == ["start 4"]
    assert fleet.ready(4) == ["start 5"]
    fleet.ready(5)
    assert fleet.wait(1) == ["stop 1", "stop 2"]


@pytest.mark.parametrize("when", ["rolling", "settling", "retiring"])
def test_a_second_roll_is_queued_once(when: str) -> None:
    fleet = Fleet(1)
    fleet.roll()
    if when != "rolling":
        fleet.ready(2)
    if when == "retiring":
        fleet.wait(1)
    assert fleet.phase == when
    for _ in range(5):
        assert fleet.roll() == []
    assert fleet.has_roll_queued()
    if when == "rolling":
        fleet.ready(2)
    fleet.wait(1)
    assert fleet.gone(1) == ["start 3"]
    assert not fleet.has_roll_queued()
    fleet.ready(3)
    fleet.wait(1)
    assert fleet.gone(2) == []
    assert fleet.phase == "serving"
    assert fleet.supervisor.rolls == 2


def test_a_queued_roll_follows_one_that_failed() -> None:
    fleet = Fleet(1)
    fleet.roll()
    fleet.roll()
    assert fleet.gone(2) == ["start 3"]


def test_a_roll_is_queued_while_the_first_start() -> None:
    fleet = Fleet(1, is_ready=False)
    assert fleet.roll() == []
    assert fleet.ready(1) == ["start 2"]
    assert fleet.phase == "rolling"


def test_an_old_one_that_dies_during_a_roll_is_replaced_as_any() -> None:
    fleet = rolling()
    fleet.gone(1)
    assert fleet.wait(0.5) == ["start 5"]
    # By now the new ones have been watched for long enough: the stopgap leaves with the old one.
    assert fleet.wait(0.5) == ["stop 5", "stop 2"]
    fleet.gone(2)
    fleet.gone(5)
    assert fleet.phase == "serving"
    assert fleet.phases == {3: "ready", 4: "ready"}
    assert fleet.is_idle


def test_one_that_dies_just_before_the_roll_is_complete_is_not_replaced_twice() -> None:
    fleet = rolling()
    fleet.wait(0.9)
    fleet.gone(1)
    assert fleet.wait(0.1) == ["stop 2"]
    assert fleet.wait(100) == ["kill 2"]


def test_an_old_one_that_dies_during_a_roll_that_fails_is_replaced() -> None:
    fleet = Fleet()
    fleet.roll()
    fleet.gone(1)
    fleet.gone(3)
    assert fleet.wait(0.5) == ["start 4"]
    fleet.ready(4)
    assert fleet.phases == {2: "ready", 4: "ready"}


def test_an_old_one_that_ignores_sigterm_is_killed_at_the_deadline() -> None:
    fleet = rolling(1)
    assert fleet.wait(1) == ["stop 1"]
    assert fleet.wait(34.9) == []
    assert fleet.wait(0.1) == ["kill 1"]
    assert fleet.wait(1000) == []
    assert fleet.phase == "retiring"
    fleet.gone(1, "was ended by SIGKILL")
    assert fleet.phase == "serving"
    assert fleet.supervisor.deaths == 0


def test_never_more_than_twice_as_many_processes() -> None:
    fleet = Fleet(4)
    most = 0
    for _ in range(20):
        fleet.roll()
        for _ in range(6):
            for number, phase in list(fleet.phases.items()):
                if phase == "starting":
                    fleet.ready(number)
                elif phase == "stopping" and fleet.now % 2 < 1:
                    fleet.gone(number)
            fleet.wait(0.5)
            most = max(most, len(fleet.phases))
    assert most == 8


# ---- the end -----------------------------------------------------------------------------------


def test_it_drains_all_and_ends() -> None:
    fleet = Fleet()
    assert fleet.stop() == ["stop 1", "stop 2"]
    assert fleet.phase == "stopping"
    fleet.gone(1)
    fleet.gone(2)
    assert fleet.phase == "over"
    assert fleet.supervisor.failure is None
    assert fleet.is_idle
    assert fleet.stop() == []


def test_what_does_not_end_is_killed_at_the_deadline() -> None:
    fleet = Fleet()
    fleet.stop()
    fleet.gone(1)
    assert fleet.wait(35) == ["kill 2"]
    assert fleet.wait(1000) == []
    fleet.gone(2, "was ended by SIGKILL")
    assert fleet.phase == "over"


def test_a_second_stop_kills_at_once() -> None:
    fleet = Fleet()
    fleet.stop()
    assert fleet.stop() == ["kill 1", "kill 2"]
    assert fleet.stop() == []
    fleet.gone(1)
    fleet.gone(2)
    assert fleet.phase == "over"


@pytest.mark.parametrize("steps", range(5))
def test_stop_during_a_roll(steps: int) -> None:
    fleet = Fleet()
    fleet.roll()
    fleet.roll()  # and another one is queued
    moves = [lambda: fleet.ready(3), lambda: fleet.ready(4), lambda: fleet.wait(1)]
    moves.append(lambda: fleet.gone(1))
    for move in moves[:steps]:
        move()
    wanted = {number for number, phase in fleet.phases.items() if phase in {"starting", "ready"}}
    assert {int(text.split()[1]) for text in fleet.stop()} == wanted
    assert fleet.roll() == []
    for number in list(fleet.phases):
        assert fleet.gone(number) == []
    assert fleet.phase == "over"
    assert not fleet.has_roll_queued()


def test_nothing_is_started_after_stop() -> None:
    fleet = Fleet()
    fleet.gone(1)  # its back-off runs
    assert fleet.stop() == ["stop 2"]
    assert fleet.wait(10) == []
    fleet.gone(2)
    assert fleet.phase == "over"


def test_stop_while_the_first_start() -> None:
    fleet = Fleet(2, is_ready=False)
    assert fleet.stop() == ["stop 1", "stop 2"]
    assert fleet.ready(1) == [], "it has said so too late"
    fleet.gone(1)
    fleet.gone(2)
    assert fleet.phase == "over"
    assert fleet.supervisor.failure is None


# ---- the tables --------------------------------------------------------------------------------


def test_what_the_tables_do_not_have_is_a_fault() -> None:
    member = Member(1, 0, 0.0, math.inf)
    member.move(WorkerPhase.KILLED, 1.0)
    with pytest.raises(RuntimeError, match="worker 1 cannot go from killed to ready"):
        member.move(WorkerPhase.READY, 2.0)
    assert PARENT_MOVES.keys() == set(ParentPhase)
    assert WORKER_MOVES.keys() == set(WorkerPhase)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_no_worker_is_lost_or_doubled(seed: int) -> None:
    """Random events: the count of living workers is right whenever all is quiet."""
    draw = random.Random(seed)
    count = draw.randint(1, 4)
    fleet = Fleet(count)
    for _ in range(300):
        numbers = list(fleet.phases)
        event = draw.random()
        if event < 0.45 and numbers:
            fleet.ready(draw.choice(numbers))
        elif event < 0.65 and numbers:
            fleet.gone(draw.choice(numbers))
        elif event < 0.7 and numbers:
            fleet.useless(draw.choice(numbers))
        elif event < 0.8:
            fleet.roll()
        else:
            fleet.wait(draw.choice([0.1, 1.0, 40.0]))
        assert len(fleet.phases) <= 2 * count + count  # and those that drain after a failed roll
    for _ in range(200):  # from now on all goes well
        for number, phase in list(fleet.phases.items()):
            if phase == "starting":
                fleet.ready(number)
            elif phase != "ready":
                fleet.gone(number)
        fleet.wait(1.0)
    assert fleet.phase == "serving"
    assert list(fleet.phases.values()) == ["ready"] * count
    places = sorted(member.place for member in fleet.supervisor.members.values())
    assert places == list(range(count))
    fleet.stop()
    for number in list(fleet.phases):
        fleet.gone(number)
    assert fleet.phase == "over"

"""Fails a test that leaves something behind: what `conftest.py` puts around every test.

Looked for after each test, once its garbage has been collected:

* a **descriptor** that was not open before;
* a **connection**: an object of `KINDS` that is still alive, whatever holds it;
* a **task**: one that runs in a `trio.run` when its main task has ended, which can only be a
  system task, for every other ends with its nursery;
* a **warning** that could not be raised where it arose, because a finaliser gave it: a coroutine
  that was not awaited, a socket that was not closed.  pytest makes errors of these; that the
  garbage is collected now makes them errors of the test that left them.

Collecting is cheap because everything that was there before the module's tests is frozen first:
only what they have made themselves is gone through.  A test that has failed is not looked at: its
traceback keeps alive whatever its frames hold.
"""

from __future__ import annotations

import functools
import gc
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_wsendpoint import Connection, EndpointServer

__all__ = ["fail_if_it_leaks", "watch_runs"]

#: Objects that must not outlive the test that made them.
KINDS: tuple[type, ...] = (Connection, EndpointServer)
#: The task that every `trio.run` has beside the main one and its own root.
TRIOS_OWN = "<TrioToken.run_sync_soon task>"
#: Where the system tells which descriptors are open; elsewhere than on Linux none are looked at.
DESCRIPTORS = Path("/proc/self/fd")

_living: weakref.WeakSet[Any] = weakref.WeakSet()
_tasks_left: list[str] = []
_frozen_for: list[object] = []


def _watch_kind(kind: Any) -> None:
    """Note each object of `kind` when it is made."""
    original = kind.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        _living.add(self)
        original(self, *args, **kwargs)

    kind.__init__ = init


def _tasks_below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from _tasks_below(child)


def _note_tasks() -> None:
    """Note the tasks that run beside the current one, which is the main one and has ended."""
    root = trio.lowlevel.current_root_task()
    mine = trio.lowlevel.current_task()
    tasks = _tasks_below(root) if root is not None else ()
    _tasks_left.extend(task.name for task in tasks if task is not mine and task.name != TRIOS_OWN)


def _watched(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def run_and_look(async_fn: Any, *args: Any, **kwargs: Any) -> Any:
        @functools.wraps(async_fn)
        async def main(*args: Any) -> Any:
            try:
                return await async_fn(*args)
            finally:
                _note_tasks()

        return run(main, *args, **kwargs)

    return run_and_look


def watch_runs() -> None:
    """From now on, note what every `trio.run` of this process leaves; to be called once.

    Before the tests are collected, for that is when pytest-trio takes `trio.run`.
    """
    for name in ("run", "start_guest_run"):
        module = trio if name == "run" else trio.lowlevel
        setattr(module, name, _watched(getattr(module, name)))
    for kind in KINDS:
        _watch_kind(kind)


def _descriptors() -> dict[int, str]:
    """Return the open descriptors and what each stands for."""
    found = {}
    for name in os.listdir(DESCRIPTORS) if DESCRIPTORS.exists() else ():
        try:
            found[int(name)] = os.readlink(DESCRIPTORS / name)
        except FileNotFoundError:  # the one that listed the directory
            continue
    return found


def _freeze_what_is_there(module: object) -> None:
    """Exempt what is older than the tests of `module` from the collections to come."""
    if _frozen_for == [module]:
        return
    _frozen_for[:] = [module]
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fail_if_it_leaks(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail the test if it leaves a task, a descriptor, a connection, or a warning unraised."""
    _freeze_what_is_there(request.node.parent)
    _tasks_left.clear()
    open_before = _descriptors()
    alive_before = weakref.WeakSet(_living)
    failures = request.session.testsfailed

    yield

    if request.session.testsfailed > failures:
        return
    for phase in ("setup", "call"):  # the traceback of a logged error holds its frames
        for record in caplog.get_records(phase):
            record.msg, record.args, record.exc_info = record.getMessage(), (), None
    request.node.funcargs.clear()  # pytest-trio's fixtures hold what they have given
    gc.collect()  # a warning that this brings out, pytest raises when this fixture is done
    is_meant = request.node.get_closest_marker("leaves_tasks") is not None
    left = [] if is_meant else [f"a task: {name}" for name in _tasks_left]
    left += [f"a connection: {one!r}" for one in _living if one not in alive_before]
    left += [
        f"a descriptor: {number} -> {target}"
        for number, target in _descriptors().items()
        if open_before.get(number) != target
    ]
    if left:
        pytest.fail("the test has left\n  " + "\n  ".join(left), pytrace=False)

"""One task at a time, and a clear error for the second."""

from __future__ import annotations

import pytest
import trio

from trio_wsendpoint.transport.one_task import OneTask


def test_a_second_task_is_refused_and_the_next_one_is_not() -> None:
    guard = OneTask("sending over this stream")
    with guard:
        with (
            pytest.raises(trio.BusyResourceError, match="another task is sending over this"),
            guard,
        ):
            raise AssertionError("it was let in")
        # The one that was refused has not taken the place of the first.
        with pytest.raises(trio.BusyResourceError), guard:
            raise AssertionError("it was let in")
    with guard:
        pass


def test_an_error_in_the_block_lets_the_next_one_in() -> None:
    guard = OneTask("receiving")
    with pytest.raises(KeyError), guard:
        raise KeyError
    with guard:
        pass


def test_none_enters_after_it_was_closed() -> None:
    guard = OneTask("receiving")
    guard.check()
    with guard:
        guard.close()  # by another task; the one that is inside goes on
    for attempt in (guard.check, guard.__enter__):
        with pytest.raises(trio.ClosedResourceError, match="this stream was closed"):
            attempt()

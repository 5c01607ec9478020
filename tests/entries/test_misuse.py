"""An async context manager says what to write when it is used in any other way."""

from __future__ import annotations

import copy
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Any

import pytest
import trio

from trio_wsendpoint.entries.misuse import AsyncWithOnly


class Opening(AsyncWithOnly, AbstractAsyncContextManager[Any]):
    function = "open_it"
    instead = "`async with open_it() as it:`"

    async def __aexit__(self, *_exc):
        return None


TEXT = r"^open_it\(\) returns an async context manager, .*: write `async with open_it\(\) as it:`$"


async def test_it_can_be_entered():
    made = Opening()
    async with made as entered:
        assert entered is made


async def test_await():
    with pytest.raises(TypeError, match=TEXT):
        await Opening()


async def test_with():
    with pytest.raises(TypeError, match=TEXT), Opening():
        raise AssertionError
    with ExitStack() as stack, pytest.raises(TypeError, match=TEXT):
        stack.enter_context(Opening())


async def test_async_for():
    with pytest.raises(TypeError, match=TEXT):  # noqa: PT012
        async for _ in Opening():
            raise AssertionError


@pytest.mark.parametrize("started", [Opening, Opening()], ids=["the function", "a call of it"])
async def test_start_soon(started):
    with pytest.RaisesGroup(pytest.RaisesExc(TypeError, match=TEXT)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(started)


@pytest.mark.parametrize("started", [Opening, Opening()], ids=["the function", "a call of it"])
def test_run(started):
    with pytest.raises(TypeError, match=TEXT):
        trio.run(started)


def test_it_is_no_coroutine_that_runs():
    for made in (Opening(), Opening()()):
        with pytest.raises(TypeError, match=TEXT):
            made.send(None)
        with pytest.raises(TypeError, match=TEXT):
            made.throw(ValueError())
        made.close()


def test_what_only_its_block_gets():
    with pytest.raises(AttributeError, match=TEXT.replace(".*", "which has no 'port'")):
        getattr(Opening(), "port")  # noqa: B009 - a type checker knows that it is not there
    assert not hasattr(Opening(), "__wrapped__")


def test_it_is_an_object_like_others():
    made = Opening()
    assert repr(made) == "<open_it(...): enter it with `async with`>"
    assert type(copy.copy(made)) is Opening

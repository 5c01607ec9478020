from __future__ import annotations

import contextvars

import pytest
import trio

from trio_wsendpoint.asgi.in_context import await_in_context

VALUE: contextvars.ContextVar[str] = contextvars.ContextVar("VALUE", default="outside")


async def test_the_coroutine_has_its_own_variables_and_its_waits_are_told() -> None:
    seen: list[str] = []

    async def work():
        VALUE.set("inside")
        await trio.lowlevel.checkpoint()
        seen.append(VALUE.get())
        return 7

    result = await await_in_context(
        contextvars.copy_context(), work(), lambda: seen.append(VALUE.get())
    )
    # A checkpoint waits once, or twice.
    assert (result, seen[-1], set(seen[:-1])) == (7, "inside", {"outside"})
    assert VALUE.get() == "outside"


async def test_a_coroutine_that_does_not_wait_is_no_checkpoint() -> None:
    async def work():
        return 7

    with trio.testing.assert_no_checkpoints():
        assert await await_in_context(contextvars.copy_context(), work(), pytest.fail) == 7


async def test_what_it_raises_comes_out() -> None:
    async def work():
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await await_in_context(contextvars.copy_context(), work(), pytest.fail)


async def test_a_cancellation_reaches_it_and_it_may_go_on() -> None:
    seen: list[str] = []

    async def work():
        VALUE.set("inside")
        try:
            await trio.sleep_forever()
        finally:
            seen.append(VALUE.get())
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            seen.append(VALUE.get())

    with trio.CancelScope() as scope:
        scope.cancel()
        await await_in_context(contextvars.copy_context(), work(), lambda: None)
    assert scope.cancelled_caught
    assert seen == ["inside", "inside"]


async def test_it_can_be_closed() -> None:
    seen: list[str] = []

    async def work():
        try:
            await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            seen.append("closed")

    awaitable = await_in_context(contextvars.copy_context(), work(), lambda: None)
    awaitable.send(None)
    awaitable.close()
    assert seen == ["closed"]

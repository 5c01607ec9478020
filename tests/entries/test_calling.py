"""The app's functions are called so that a Ctrl-C may interrupt them, and leaves nothing behind."""

from __future__ import annotations

import functools

import pytest
import trio

from trio_wsendpoint.entries.calling import call_async


async def test_what_it_returns_and_raises_comes_out() -> None:
    async def double(number: int) -> int:
        if not number:
            raise ValueError("on purpose")
        return 2 * number

    assert await call_async("double", double, 2) == 4
    with pytest.raises(ValueError, match="on purpose"):
        await call_async("double", functools.partial(double, 0))


async def test_what_is_awaitable_need_be_no_coroutine() -> None:
    class Later:
        def __await__(self):
            return (yield from trio.sleep(0).__await__())

    assert await call_async("later", Later) is None


async def test_what_is_no_async_function_is_refused_without_its_value() -> None:
    def secret() -> str:
        return "hunter2"

    with pytest.raises(TypeError, match=r"the handler must be an async function: .* returned str$"):
        await call_async("the handler", secret)


async def test_it_is_not_protected_though_its_caller_is() -> None:
    async def is_protected() -> bool:
        return trio.lowlevel.currently_ki_protected()

    @trio.lowlevel.enable_ki_protection
    async def caller() -> object:
        assert trio.lowlevel.currently_ki_protected()
        return await call_async("it", is_protected)

    assert await caller() is False


async def test_a_coroutine_that_is_never_awaited_is_closed(monkeypatch) -> None:
    """A Ctrl-C may come between the call and the first step: here, from what looks at it."""

    async def never() -> None:
        raise AssertionError

    def interrupted(value: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("trio_wsendpoint.entries.calling.inspect.isawaitable", interrupted)
    with pytest.raises(KeyboardInterrupt):
        await call_async("never", never)

"""Awaits a coroutine in a context of its own, and tells each time that it waits."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["await_in_context"]

_T = TypeVar("_T")


@types.coroutine
def await_in_context(
    context: Context, coroutine: Coroutine[Any, Any, _T], on_wait: Callable[[], object]
) -> Generator[Any, Any, _T]:
    """Return what `coroutine` returns, which runs in the calling task, but in `context`.

    So what it sets of context variables is gone at its end.  `on_wait` is called before each of
    its waits, outside of the context; it must raise nothing.
    """
    step: Callable[..., Any] = coroutine.send
    given: object = None
    while True:
        try:
            wait = context.run(step, given)
        except StopIteration as end:
            result: _T = end.value
            return result
        on_wait()
        try:
            given = yield wait
            step = coroutine.send
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's
            given, step = error, coroutine.throw

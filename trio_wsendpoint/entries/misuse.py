"""What an async context manager says when it is used in any other way.

`serve_endpoint`, `accept_endpoint` and `connect_endpoint` return one.  A user who awaits it,
enters it with `with`, starts it as a task, or asks it for what only its block gets, is told what
to write; Python's own texts name a private class, and Trio's say that a function is synchronous.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

__all__ = ["AsyncWithOnly"]


class _NoCoroutine:
    """Has what a coroutine has, and raises `TypeError` where one would run."""

    __slots__ = ()

    function: str
    instead: str

    def _refuse(self, fault: str) -> NoReturn:
        raise TypeError(
            f"{self.function}() returns an async context manager, {fault}: write {self.instead}"
        )

    def __await__(self) -> NoReturn:
        self._refuse("which can neither be awaited nor started as a task")

    def send(self, value: object) -> NoReturn:
        """Refuse to be driven as a coroutine."""
        self.__await__()

    def throw(self, *error: object) -> NoReturn:
        """Refuse as `send`."""
        self.__await__()

    def close(self) -> None:
        """Do nothing: as a coroutine it has never begun."""


class _Called(_NoCoroutine):
    """What calling an `AsyncWithOnly` returns."""

    __slots__ = ("function", "instead")

    def __init__(self, function: str, instead: str) -> None:
        self.function = function
        self.instead = instead


class AsyncWithOnly(_NoCoroutine):
    """A base for an async context manager: every other use raises `TypeError` that explains.

    `function` is the public function that returned it, `instead` is what to write.

    Trio starts any object that has what a coroutine has.  So the task of
    `nursery.start_soon(serve_endpoint, ...)` raises the explanation, as awaiting does.
    """

    __slots__ = ()

    def __call__(self, *arguments: object, **options: object) -> _Called:
        """Return what explains when it is awaited, as the argument of `nursery.start_soon` is.

        Nothing is raised here: Trio would replace a `TypeError` by advice of its own.
        """
        return _Called(self.function, self.instead)

    def __enter__(self) -> NoReturn:
        self._refuse("which `with` cannot enter")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing: `__enter__` has refused."""

    def __aiter__(self) -> NoReturn:
        self._refuse("which `async for` cannot iterate over")

    if not TYPE_CHECKING:  # else a type checker would find no wrong name any more

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"{self.function}() returns an async context manager, which has no {name!a}: "
                f"write {self.instead}"
            )

    def __repr__(self) -> str:
        return f"<{self.function}(...): enter it with `async with`>"

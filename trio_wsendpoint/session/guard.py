"""The one guard of what is the user's and is called in the middle of something."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack

from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.session.signals import Wake

__all__ = ["Guard", "Logger"]

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")
Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


class Guard:
    """Runs the callbacks of one connection, each in a step; what one asks for is done afterwards.

    `wakes`: the bits of `Wake` that `take_wakes` returns next.
    """

    __slots__ = ("_logger", "endpoint", "failure", "is_in_step", "wakes")

    def __init__(self, endpoint: Endpoint, logger: Logger | None) -> None:
        self.endpoint = endpoint
        self._logger = logger or logging.getLogger("trio_wsendpoint")
        self.wakes: int = 0
        # Code of the user's may be running: set by `guard` and `log`, read here and by what drives
        # the session.
        self.is_in_step = False
        # What ended it with 1011: a callback of the user's, or our own code, raised it; set by
        # `fail_internally`, the first time, and read by `outcome`.
        self.failure: Exception | None = None

    def take_wakes(self) -> int:
        """Return the bits of `Wake` that were set since the last call; 0 within a callback."""
        if self.is_in_step:
            return 0
        wakes, self.wakes = self.wakes, 0
        return wakes

    def guard(self, step: Callable[[Unpack[_Args]], _T], *args: *_Args) -> _T | None:
        """Run a step in which callbacks of the user may be called; return its value.

        The one place that guards them.  If one raises, returns None: the connection then ends
        with 1011, and only this one.
        """
        outer, self.is_in_step = self.is_in_step, True
        try:
            return step(*args)
        except Exception as error:  # noqa: BLE001 - the user's, whatever it is
            self.fail_internally(error)
            return None
        finally:
            self.is_in_step = outer

    def fail_internally(self, error: Exception) -> None:
        """End this connection with 1011: a callback of the user's, or our own code, has raised."""
        if self.failure is None:
            self.failure = error
            self.log(logging.ERROR, "the connection fails with an internal error", error=error)
        if self.endpoint.is_open:
            # What a callback raises now is a second error of a connection that ends already.
            with contextlib.suppress(Exception):
                self.endpoint.close(CloseCode.INTERNAL_ERROR)
        self.wakes |= Wake.WRITER | Wake.PHASE

    def log(self, level: int, text: str, *args: object, error: BaseException | None = None) -> None:
        """Write to the log in a step of its own: the logger is the user's, and may raise."""
        outer, self.is_in_step = self.is_in_step, True
        try:
            with contextlib.suppress(Exception):
                self._logger.log(level, text, *args, exc_info=error)
        finally:
            self.is_in_step = outer

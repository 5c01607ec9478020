"""Instruments: objects of the user's that are told what connections do.

`listen` binds what they listen to, once for each connection: a hook that no instrument overrides
is never bound, and where nothing is bound the hot path tests one attribute for None.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence

import trio

from trio_wsendpoint.addressing import Peer
from trio_wsendpoint.connection.closed import is_the_end
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import HandshakeError
from trio_wsendpoint.protocol.frames import Frame
from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.session.statistics import ConnectionStatistics

__all__ = ["HOOKS", "Instrument", "check_instruments", "listen", "tell_handler", "tell_refusal"]


class Instrument:
    """Override what you want to be told of, and pass it in `instruments=[...]`.

    A hook is called in the middle of what it tells of.  It is no async function and must not
    wait: it looks, counts, and returns.  One that raises an `Exception` ends the connection with
    1011, as every callback does; the error is logged once.  A hook that is not overridden costs
    nothing.

    `instruments=` belongs to one server or client; the same instrument may serve many.
    """

    def connection_opened(self, connection: Connection) -> None:
        """Hear that a connection is open, before anything else of it."""

    def connection_closed(self, connection: Connection, statistics: ConnectionStatistics) -> None:
        """Hear that a connection has ended and its stream is closed; nothing more comes of it."""

    def handshake_refused(self, error: HandshakeError, peer: Peer | None) -> None:
        """Hear that an opening handshake has failed with `error`, or a stream was over a limit.

        `error` is a `HandshakeError`: `RequestAnswered` if `process_request` gave another answer.
        `peer`: the other end, as far as it is known by then; None if a client has reached none.
        """

    def frame_sent(self, connection: Connection, frame: Frame, size: int) -> None:
        """Hear that a frame leaves, with `size` bytes of payload."""

    def frame_received(self, connection: Connection, frame: Frame, size: int) -> None:
        """Hear that a frame has come whole, with `size` bytes of payload.

        Of a data frame `frame` has the header only: payloads are joined as they come.
        """

    def message_sent(self, connection: Connection, type: str, size: int) -> None:
        """Hear that a message of `size` bytes, before compression, was committed.

        `type` is "text" or "binary", here and below.
        """

    def message_received(self, connection: Connection, type: str, size: int) -> None:
        """Hear that a message of `size` bytes, inflated, has come whole."""

    def round_trip(self, connection: Connection, seconds: float) -> None:
        """Hear that a `ping()` was answered, after `seconds`."""

    def handler_ended(
        self, connection: Connection, seconds: float, error: Exception | None
    ) -> None:
        """Hear that the handler of a server has ended, after `seconds`, and what it raised.

        `error` is None too if it was cancelled, or raised the end of its own connection.
        """


#: The names of all hooks.
HOOKS = tuple(name for name in vars(Instrument) if not name.startswith("_"))


def check_instruments(instruments: Sequence[Instrument]) -> None:
    """Raise `TypeError` for what is no instrument, or has a hook that could not be called."""
    for instrument in instruments:
        if not isinstance(instrument, Instrument):
            raise TypeError(f"instruments are objects of subclasses of Instrument: {instrument!r}")
        for name in HOOKS:
            if inspect.iscoroutinefunction(getattr(instrument, name)):
                raise TypeError(f"{type(instrument).__name__}.{name} must not be async")


def _overrides(instrument: Instrument, name: str) -> bool:
    hook = getattr(instrument, name)
    return getattr(hook, "__func__", hook) is not getattr(Instrument, name)


class _Hook:
    """One hook of one connection: calls it on each instrument that has it."""

    __slots__ = ("_connection", "_listeners", "_session")

    def __init__(self, connection: Connection, listeners: list[Callable[..., object]]) -> None:
        self._connection = connection
        self._session = connection.tasks.session
        self._listeners = listeners

    def __call__(self, *facts: object) -> None:
        for listener in self._listeners:
            self._session.guard(listener, self._connection, *facts)


def _bind(connection: Connection, instruments: Sequence[Instrument], name: str) -> _Hook | None:
    """Return what to call for the hook `name`; None if no instrument overrides it."""
    listeners = [
        getattr(instrument, name) for instrument in instruments if _overrides(instrument, name)
    ]
    return _Hook(connection, listeners) if listeners else None


def listen(connection: Connection, instruments: Sequence[Instrument]) -> None:
    """Bind what `instruments` listen to, and tell them that the connection is open."""
    tasks = connection.tasks
    connection.endpoint.listen(
        frame_sent=_bind(connection, instruments, "frame_sent"),
        frame_received=_bind(connection, instruments, "frame_received"),
        message_sent=_bind(connection, instruments, "message_sent"),
        message_received=_bind(connection, instruments, "message_received"),
    )
    tasks.session.pings.listen(_bind(connection, instruments, "round_trip"))
    closed = _bind(connection, instruments, "connection_closed")
    if closed is not None:
        tasks.listen_to_end(lambda: closed(connection.statistics()))
    opened = _bind(connection, instruments, "connection_opened")
    if opened is not None:
        opened()
        tasks.act()


def tell_handler(
    connection: Connection, instruments: Sequence[Instrument], raised: BaseException | None
) -> None:
    """Tell the instruments that the handler of a connection has ended, and what it has raised."""
    ended = _bind(connection, instruments, "handler_ended") if instruments else None
    if ended is not None:
        session = connection.tasks.session
        is_failure = isinstance(raised, Exception) and not is_the_end(
            raised, connection.endpoint.closing
        )
        ended(trio.current_time() - session.opened_at, raised if is_failure else None)
        connection.tasks.act()


def tell_refusal(
    instruments: Sequence[Instrument], error: HandshakeError, peer: Peer | None, logger: Logger
) -> None:
    """Tell the instruments that an opening was refused or has failed."""
    for instrument in instruments:
        if _overrides(instrument, "handshake_refused"):
            try:
                instrument.handshake_refused(error, peer)
            except Exception:
                # A logger that raises is the user's as well.
                with contextlib.suppress(Exception):
                    logger.exception("the instrument %s failed", type(instrument).__name__)

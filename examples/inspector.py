"""What the script of a page cannot see of its WebSocket, told over a second one.

A page opens its WebSocket with `?tab=WORD`, and `/inspect?tab=WORD` to be told of it: each line is
an object of JSON.  What the page sends there are commands.  `python examples/demo.py` shows it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress

import trio

from trio_wsendpoint import (
    CloseCause,
    Connection,
    ConnectionClosed,
    ConnectionStatistics,
    Instrument,
    PingTimeout,
)
from trio_wsendpoint.protocol import CloseFrame, Frame

BEAT = 1.0  # seconds between two looks at the queues, and between two pings
KEPT = 1000  # events that wait for a page that does not read; more are dropped, and counted
WE = frozenset(CloseCause) - {CloseCause.PEER, CloseCause.LOST}


class Tab:
    """One page: the connection that it talks over, and what it is told of it."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.dropped = 0
        self._send, self.events = trio.open_memory_channel[str](KEPT)
        self._may_read = trio.Event()
        self._may_read.set()

    def tell(self, kind: str, **facts: object) -> None:
        """Queue an event; it is dropped if too many wait."""
        try:
            self._send.send_nowait(json.dumps({"kind": kind, **facts}))
        except trio.WouldBlock:
            self.dropped += 1

    def read(self, is_on: bool) -> None:
        """Let the handler receive, or not."""
        if is_on:
            self._may_read.set()
        elif self._may_read.is_set():
            self._may_read = trio.Event()

    async def wait_to_read(self) -> None:
        """Wait while the page wants the server to read nothing."""
        await self._may_read.wait()


class Inspector(Instrument):
    """Listens to the connections that name a tab which is being inspected."""

    def __init__(self) -> None:
        self._tabs: dict[str, Tab] = {}

    # ---- what it hears -----------------------------------------------------------------------

    def connection_opened(self, connection: Connection) -> None:
        """Tell what was agreed."""
        if tab := self._tab_of(connection):
            tab.connection = connection
            tab.read(True)
            tab.tell(
                "opened",
                compression=connection.endpoint.extension is not None,
                peer=str(connection.peer.address),
            )

    def connection_closed(self, connection: Connection, statistics: ConnectionStatistics) -> None:
        """Tell who closed, and why."""
        if (tab := self._tab_of(connection)) and tab.connection is connection:
            tab.connection = None
            cause = statistics.close_cause
            by = "you" if cause is CloseCause.PEER else "server" if cause in WE else None
            tab.tell("closed", by=by, code=statistics.close_code, cause=cause and str(cause))

    def frame_sent(self, connection: Connection, frame: Frame, size: int) -> None:
        """Tell of a frame to the page."""
        self._tell_frame(connection, "<", frame, size)

    def frame_received(self, connection: Connection, frame: Frame, size: int) -> None:
        """Tell of a frame from the page."""
        self._tell_frame(connection, ">", frame, size)

    def message_sent(self, connection: Connection, type: str, size: int) -> None:
        """Tell of a whole message to the page."""
        if tab := self._tab_of(connection):
            tab.tell("message", sign="<", type=type, size=size)

    def message_received(self, connection: Connection, type: str, size: int) -> None:
        """Tell of a whole message from the page."""
        if tab := self._tab_of(connection):
            tab.tell("message", sign=">", type=type, size=size)

    def round_trip(self, connection: Connection, seconds: float) -> None:
        """Tell how long a pong took."""
        if tab := self._tab_of(connection):
            tab.tell("round_trip", seconds=seconds)

    def _tell_frame(self, connection: Connection, sign: str, frame: Frame, size: int) -> None:
        if tab := self._tab_of(connection):
            text = str(frame) if isinstance(frame, CloseFrame) else ""
            facts = {"type": frame.type, "fin": frame.fin, "size": size, "text": text}
            tab.tell("frame", sign=sign, compressed=bool(frame.rsv & 0b100), **facts)

    def _tab_of(self, connection: Connection) -> Tab | None:
        if connection.request.path == "/inspect":
            return None
        return self._tabs.get(connection.request.query.get("tab", ""))

    # ---- what the handlers call --------------------------------------------------------------

    async def paced(self, connection: Connection) -> AsyncIterator[str | bytes]:
        """Yield the messages of `connection`, none while its page wants a slow reader."""
        tab = self._tab_of(connection) or Tab()
        while True:
            await tab.wait_to_read()
            try:
                message = await connection.receive()
            except trio.EndOfChannel:
                return
            yield message

    async def inspect(self, connection: Connection) -> None:
        """Be the handler of `/inspect`: tell of one tab, and do what its page asks for."""
        name = connection.request.query.get("tab", "")
        if not name or name in self._tabs:
            await connection.aclose(1008, "name a tab of your own: /inspect?tab=WORD")
            return
        tab = self._tabs[name] = Tab()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, tab, connection)
                nursery.start_soon(_beat, tab)
                async for message in connection:
                    await _obey(tab, message)  # one after the other: none is kept
                nursery.cancel_scope.cancel()
        finally:
            tab.read(True)
            del self._tabs[name]


async def _pass_on(tab: Tab, connection: Connection) -> None:
    with suppress(ConnectionClosed):  # which the handler is told in `receive()`
        async for event in tab.events:
            await connection.send(event)


async def _beat(tab: Tab) -> None:
    """Tell the queues, and ping, once a beat."""
    while True:
        if (connection := tab.connection) is not None:
            told = connection.statistics()
            tab.tell(
                "queues",
                inbox=told.inbox_bytes + connection.endpoint.incoming.held_size,
                queue=told.write_queue_bytes,
                senders=told.tasks_waiting_send,
                dropped=tab.dropped,
            )
            await _ping(connection)
        await trio.sleep(BEAT)


async def _ping(connection: Connection) -> None:
    """Ping, and wait a beat at most; `round_trip` tells what comes of it."""
    with suppress(ConnectionClosed, PingTimeout), trio.move_on_after(BEAT):
        await connection.ping()


async def _obey(tab: Tab, message: str | bytes) -> None:
    """Do one command of the page: what is none is left alone."""
    connection = tab.connection
    try:
        command = json.loads(message)
    except ValueError:
        return
    match command:
        case {"do": "read", "on": bool(is_on)}:
            tab.read(is_on)
        case {"do": "ping"} if connection is not None:
            await _ping(connection)
        case {"do": "cut"} if connection is not None:
            await trio.aclose_forcefully(connection.tasks.stream)
        case {"do": "close", "code": int(code)} if connection is not None and code in {1000, 4000}:
            await connection.aclose(code, "as you wished")
        case _:
            pass

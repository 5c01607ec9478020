"""A network in memory: listeners, connections to them, and a count of what was left open.

Its listeners are for `serve_endpoint(listeners=[...])`; `network.connect_endpoint(url)` is a client
of them.  `open_stream` is for the option of that name, `connect` and `pair` give single streams.
"""

from __future__ import annotations

import errno
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Unpack

import trio
from trio.lowlevel import ParkingLot

from trio_wsendpoint.client.connecting import connect_endpoint
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.testing.faults import Faults
from trio_wsendpoint.testing.flaky import Flaky
from trio_wsendpoint.testing.pipes import Pipe
from trio_wsendpoint.testing.seeds import seeded_bytes
from trio_wsendpoint.testing.streams import (
    MemoryStream,
    NonBlockingMemoryStream,
    os_error,
)

__all__ = ["MemoryListener", "MemoryNetwork", "StreamPair", "memory_stream_pair"]

#: Where a network listens unless it is told otherwise.
DEFAULT = "server"
#: Bytes that are on their way in each direction at most.
CAPACITY = 65536


class StreamPair(NamedTuple):
    """The two ends of one connection."""

    client: MemoryStream
    server: MemoryStream


class MemoryNetwork:
    """Makes connections in memory, and knows which of their ends are open.

    `capacity`: bytes that may be on their way in each direction; `nonblocking`: the form of the
    streams, `NonBlockingMemoryStream` or `MemoryStream`; `client`, `server`: the faults of every
    client's and every server's end, or a `Flaky`, which draws them for each.  Each of these may
    also be given for one connection.
    `on_operation` is called with a stream before each of its operations.
    """

    def __init__(
        self,
        *,
        capacity: int = CAPACITY,
        nonblocking: bool = True,
        client: Faults | Flaky | None = None,
        server: Faults | Flaky | None = None,
        on_operation: Callable[[MemoryStream], object] | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 byte, not {capacity}")
        self._capacity = capacity
        self._nonblocking = nonblocking
        self._client = client
        self._server = server
        self._on_operation = on_operation
        self._listeners: dict[str, MemoryListener] = {}
        self._streams: list[MemoryStream] = []

    def pair(
        self,
        *,
        capacity: int | None = None,
        nonblocking: bool | None = None,
        client: Faults | None = None,
        server: Faults | None = None,
    ) -> StreamPair:
        """Return the two ends of a new connection that no listener has seen.

        Raises `ConnectionRefusedError` if a `Flaky` refuses it.
        """
        capacity = self._capacity if capacity is None else capacity
        nonblocking = self._nonblocking if nonblocking is None else nonblocking
        client = client or _drawn(self._client)
        server = server or _drawn(self._server)
        there, back = Pipe(capacity, client), Pipe(capacity, server)
        form = NonBlockingMemoryStream if nonblocking else MemoryStream
        made = StreamPair(
            form("client", back, there, client, self._on_operation),
            form("server", there, back, server, self._on_operation),
        )
        self._streams = [stream for stream in self._streams if not stream.is_closed]
        self._streams += made
        return made

    def listen(self, address: str = DEFAULT, *, backlog: int = 16) -> MemoryListener:
        """Listen at `address`, which is any text; `backlog`: connections that may wait there.

        Raises `OSError` (`EADDRINUSE`) if another listener is there.
        """
        if address in self._listeners:
            raise os_error(errno.EADDRINUSE)
        listener = MemoryListener(address, backlog, on_close=self._listeners.pop)
        self._listeners[address] = listener
        return listener

    async def connect(
        self,
        address: str = DEFAULT,
        *,
        client: Faults | None = None,
        server: Faults | None = None,
        nonblocking: bool | None = None,
    ) -> MemoryStream:
        """Connect to the listener at `address`, and return the client's end.

        Wait while the backlog is full.

        If cancelled: there is no connection.
        Raises: `ConnectionRefusedError` without a listener there, or if a `Flaky` refuses it.
        """
        await trio.lowlevel.checkpoint()
        while True:
            listener = self._listeners.get(address)
            if listener is None:
                raise os_error(errno.ECONNREFUSED)
            if len(listener.waiting) < listener.backlog:
                pair = self.pair(client=client, server=server, nonblocking=nonblocking)
                listener.put(pair.server)
                return pair.client
            await listener.room.park()

    async def open_stream(self, host: str, port: int) -> MemoryStream:
        """Connect to the listener at `host:port`, else to that at `host`, else to "server".

        For `open_stream=` of `connect_endpoint` and `reconnecting_endpoint`.

        If cancelled: there is no connection.
        Raises: as `connect`.
        """
        names = (f"{host}:{port}", host)
        return await self.connect(next((n for n in names if n in self._listeners), DEFAULT))

    def connect_endpoint(
        self,
        url: str = f"ws://{DEFAULT}/",
        *,
        ssl_context: ssl.SSLContext | None = None,
        **options: Unpack[ConnectOptions],
    ) -> AbstractAsyncContextManager[Connection]:
        """Connect to a server of this network for the length of an `async with` block.

        The URL names the listener as `open_stream` says; all else is as for the function of the
        same name.  By default `random_bytes` are the same in each run.
        """
        options.setdefault("open_stream", self.open_stream)
        options.setdefault("random_bytes", seeded_bytes(len(self._streams)))
        return connect_endpoint(url, ssl_context=ssl_context, **options)

    @property
    def open_streams(self) -> tuple[MemoryStream, ...]:
        """The ends that nobody has closed, those in a backlog included."""
        return tuple(stream for stream in self._streams if not stream.is_closed)

    @property
    def open_listeners(self) -> tuple[MemoryListener, ...]:
        """The listeners that are not closed."""
        return tuple(self._listeners.values())

    def reset(self) -> None:
        """Break every connection."""
        for stream in self.open_streams:
            stream.reset()


def _drawn(faults: Faults | Flaky | None) -> Faults:
    """Return the faults of one connection; raises `ConnectionRefusedError`."""
    drawn = faults.draw() if isinstance(faults, Flaky) else faults or Faults()
    if drawn is None:
        raise os_error(errno.ECONNREFUSED)
    return drawn


class MemoryListener(trio.abc.Listener[MemoryStream]):
    """Accepts connections of a `MemoryNetwork`, in the order in which they were made.

    Any number of tasks may wait in `accept()`.  Closing it resets those that wait in the backlog,
    as the system does, and lets `accept()` raise `trio.ClosedResourceError`.
    """

    def __init__(self, address: str, backlog: int, *, on_close: Callable[[str], object]) -> None:
        if backlog < 1:
            raise ValueError(f"backlog must be at least 1, not {backlog}")
        self.address = address
        self.backlog = backlog
        self.is_closed = False
        self.waiting: deque[MemoryStream] = deque()
        self.room = ParkingLot()
        self._on_close = on_close  # is told the address
        self._arrivals = ParkingLot()

    async def accept(self) -> MemoryStream:
        """Wait for a connection and return the server's end.

        If cancelled: none was accepted.
        Raises: `trio.ClosedResourceError` after `aclose()`.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self.is_closed:
                raise trio.ClosedResourceError("this listener was closed")
            if self.waiting:
                self.room.unpark()
                return self.waiting.popleft()
            await self._arrivals.park()

    def put(self, stream: MemoryStream) -> None:
        """Let `stream` be accepted; the network calls this."""
        self.waiting.append(stream)
        self._arrivals.unpark()

    async def aclose(self) -> None:
        """Stop listening.

        If cancelled: the listener is closed all the same.
        Raises: nothing of its own.
        """
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Stop listening, as `aclose()` does, without a checkpoint."""
        if not self.is_closed:
            self.is_closed = True
            self._on_close(self.address)
            for stream in self.waiting:
                stream.reset()
                stream.close()
            self.waiting.clear()
            self._arrivals.unpark_all()
            self.room.unpark_all()

    def __repr__(self) -> str:
        return f"<MemoryListener {self.address}{' closed' if self.is_closed else ''}>"


def memory_stream_pair(
    *,
    capacity: int = CAPACITY,
    nonblocking: bool = True,
    client: Faults | None = None,
    server: Faults | None = None,
) -> StreamPair:
    """Return two ends of a connection in memory, the client's first: see `MemoryNetwork`."""
    return MemoryNetwork(
        capacity=capacity, nonblocking=nonblocking, client=client, server=server
    ).pair()

"""What two connections talk over: streams of every form, with and without TLS."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass, field
from typing import Any

import trio
import trio.testing

from tests.torture.opening import contexts
from trio_wsendpoint.testing import Faults, MemoryNetwork
from trio_wsendpoint.transport import AcceptedSocket
from trio_wsendpoint.transport.any_tls import over_tls
from trio_wsendpoint.transport.poller import Poller

#: How the bytes go: streams in memory that need not wait, that have to, Trio's own, and sockets.
#: With "poller" both ends wait there: one leads, and the other one follows.
MEMORY = ("non-blocking", "waiting", "mixed", "unbounded")
SOCKETS = ("tcp", "socket pair", "small tcp", "poller")
FORMS = (*MEMORY, *MEMORY, *SOCKETS)
#: Real seconds in which nothing happens before the virtual time jumps.  Where TCP's buffers are
#: small, the system itself waits at times.
QUIET = {"tcp": 0.02, "socket pair": 0.02, "small tcp": 0.4, "poller": 0.02}
#: What can happen to the stream of one side after so many bytes.
BREAKS = ("reset_at", "tear_at", "half_close_at", "stall_at")


@dataclass(slots=True)
class Wire:
    """The way between two sides, drawn from a seed.

    `breaks`: something happens to it that loses bytes.
    """

    form: str
    is_tls: bool
    client: Faults = field(default_factory=Faults)
    server: Faults = field(default_factory=Faults)
    capacity: int = 65536
    own_tls: bool = False
    breaks: bool = False
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    poller: Poller | None = None

    @classmethod
    def draw(cls, draw: random.Random, *, tls: bool) -> Wire:
        """Draw the form, how it chops, and what happens to it."""
        wire = cls(draw.choice(FORMS), is_tls=tls, own_tls=draw.random() < 0.5)
        if wire.form in SOCKETS:
            return wire
        # A record of TLS in pieces of 3 bytes takes long, and shows nothing more.
        sizes = [40, 300, 5000] if tls else [3, 11, 60, 700, 5000]
        wire.capacity = draw.choice([100, 1000, 20_000] if tls else [30, 100, 1000, 20_000])
        given: dict[str, dict[str, Any]] = {"client": {}, "server": {}}
        for options in given.values():
            if draw.random() < 0.1:
                options["slow"] = draw.choice([0.001, 0.01])
            elif draw.random() < 0.7:
                options |= {"chop": draw.choice(sizes), "seed": draw.getrandbits(32)}
        if draw.random() < 0.3 and wire.form != "unbounded":
            wire.breaks = True
            options = given[draw.choice(["client", "server"])]
            if draw.random() < 0.25:
                options["fail_at_operation"] = draw.randint(1, 200)
            else:
                options[draw.choice(BREAKS)] = draw.randint(0, draw.choice([300, 3000, 20_000]))
        if "slow" in given["client"] or "slow" in given["server"]:
            wire.capacity = max(wire.capacity, 1000)
        wire.client, wire.server = Faults(**given["client"]), Faults(**given["server"])
        return wire

    @property
    def is_slow(self) -> bool:
        """Whether reading or writing takes virtual time."""
        return bool(self.client.slow or self.server.slow)

    @property
    def quiet(self) -> float:
        """Real seconds after which the virtual time may jump."""
        return QUIET.get(self.form, 0)

    def connect(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        """Make the two streams, the client's first; TLS of the client is the connection's."""
        client, server = self._make()
        if not self.is_tls:
            return client, server
        context = contexts()[1]
        if self.own_tls:
            return client, over_tls(server, context, server_side=True)
        return client, trio.SSLStream(server, context, server_side=True, https_compatible=True)

    def close(self) -> None:
        """Free what both streams had in common, when both are closed."""
        if self.poller is not None:
            self.poller.close()

    def _make(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        if self.form == "unbounded":
            return trio.testing.memory_stream_pair()
        if self.form not in SOCKETS:
            pairs = [
                self.network.pair(
                    capacity=self.capacity,
                    nonblocking=self.form != "waiting",
                    client=self.client,
                    server=self.server,
                )
            ]
            client, server = pairs[0]
            return client, (Waiting(server) if self.form == "mixed" else server)
        one, other = _tcp_pair() if "tcp" in self.form else socket.socketpair()
        for each in (one, other):
            each.setblocking(False)
            if self.form not in {"tcp", "poller"}:
                for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    each.setsockopt(socket.SOL_SOCKET, option, 1)  # the system takes its least
        if self.form == "poller":
            self.poller = Poller(few=0)
            return AcceptedSocket(one, self.poller), AcceptedSocket(other, self.poller)
        return trio.SocketStream(trio.socket.from_stdlib_socket(one)), AcceptedSocket(other)


class Waiting(trio.abc.HalfCloseableStream):
    """A stream that has to wait, over one that need not."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes = await self._inner.receive_some(max_bytes)
        return data

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]

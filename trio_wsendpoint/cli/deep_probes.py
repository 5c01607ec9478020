"""Probes of a server that open connections of their own: rules, idle time, size, load."""

from __future__ import annotations

import contextlib

import trio

from trio_wsendpoint.cli.findings import Finding, Grade
from trio_wsendpoint.cli.opening import Plan
from trio_wsendpoint.cli.outcome import first_error, outcome_of_end, outcome_of_error
from trio_wsendpoint.cli.telling import milliseconds
from trio_wsendpoint.connection.closed import ConnectionClosed, PingTimeout
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol.frames import BinaryFrame, Frame, TextFrame

__all__ = ["RULES", "probe_idle", "probe_load", "probe_rules", "probe_size"]

#: What a server must refuse, the frame that shows it, the code to close with, and who says so.
RULES: tuple[tuple[str, Frame, int, str], ...] = (
    ("a text that is no UTF-8", TextFrame(b"\xff\xfe"), 1007, "RFC 6455 section 8.1"),
    ("a reserved bit", BinaryFrame(b"x", rsv=0b001), 1002, "RFC 6455 section 5.2"),
)
#: Pings that a server may answer after a frame that it must refuse, before it is left.
PINGS = 5
#: Connections that `probe_load` opens at once.
CROWD = 50


async def probe_rules(plan: Plan) -> Finding:
    """Send frames that a server must refuse, one a connection, and look with what it closes."""
    kept: list[str] = []
    slips: list[str] = []
    for what, frame, code, source in RULES:
        async with plan.open(heartbeat=None) as connection:
            connection.endpoint.send_frame(frame)
            with contextlib.suppress(ConnectionClosed, PingTimeout):
                for _ in range(PINGS):
                    await connection.ping()
                    await trio.sleep(0.1)
        received = connection.endpoint.closing.received
        if received is not None and received.code == code:
            kept.append(f"{what} is refused with {code}")
        else:
            answer = "no Close frame" if received is None else str(received)
            slips.append(f"{what}: {answer}, {source} wants {code}")
    if slips:
        change = "let the server close with the code that the RFC names"
        return Finding(Grade.WARN, "rules", "; ".join(slips), change=change)
    return Finding(Grade.OK, "rules", "; ".join(kept))


async def probe_idle(plan: Plan, seconds: float) -> Finding:
    """Say nothing for `seconds`, and look whether the connection survives."""
    async with plan.open(heartbeat=None) as connection:
        began = trio.current_time()
        with trio.move_on_after(seconds):
            await connection.wait_closed()
            taken = trio.current_time() - began
            outcome = outcome_of_end(connection)
            return Finding(
                Grade.WARN,
                "idle",
                f"ended after {taken:.0f} s of silence: {outcome.line}",
                change=f"ping more often than every {taken:.0f} s: Heartbeat(interval=...)",
            )
        return Finding(Grade.OK, "idle", f"open after {seconds:.0f} s of silence")


async def probe_size(plan: Plan, most: int) -> Finding:
    """Send messages of doubled size, up to `most` bytes, until one ends the connection."""
    taken, size = 0, 1024
    limits = Limits(message_size=2 * most)  # of what comes back from a server that echoes
    while size <= most:
        async with plan.open(heartbeat=None, limits=limits) as connection:
            if not await _takes(connection, size):
                await connection.wait_closed()
                line = outcome_of_end(connection).line
                text = f"{taken:,} B were taken, {size:,} B were not: {line}"
                return Finding(Grade.OK, "size", text)
        taken, size = size, size * 2
    return Finding(Grade.OK, "size", f"{taken:,} B were taken")


async def _takes(connection: Connection, size: int) -> bool:
    """Send a message of `size` bytes; return whether the connection survives it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_discard, connection)
        try:
            await connection.send(bytes(size), compress=False)
            # A ping passes between the fragments of a large message: the last one follows it.
            while connection.statistics().write_queue_bytes:
                await connection.ping()
            await connection.ping()
        except PingTimeout:
            pass  # it is busy with the message
        except ConnectionClosed:
            return False
        finally:
            nursery.cancel_scope.cancel()
    return True


async def _discard(connection: Connection) -> None:
    """Take what comes, so that the peer can go on."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.receive()


async def probe_load(plan: Plan, count: int = CROWD) -> Finding:
    """Hold `count` connections open at once, ping each, and tell how many the server took."""
    times: list[float] = []
    failures: list[str] = []
    are_all_there = trio.Event()

    def note() -> None:
        if len(times) + len(failures) == count:
            are_all_there.set()

    async def one() -> None:
        began = trio.current_time()
        try:
            async with plan.open(heartbeat=None) as connection:
                await connection.ping()
                times.append(trio.current_time() - began)
                note()
                await are_all_there.wait()
        except Exception as error:  # noqa: BLE001 - it is counted, and one of them is told
            failures.append(outcome_of_error(first_error(error)).line or type(error).__name__)
            note()

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    slowest = f", the slowest after {milliseconds(max(times))}" if times else ""
    text = f"{len(times)} of {count} connections at once were answered{slowest}"
    if not failures:
        return Finding(Grade.OK, "load", text)
    change = "look at the limits of the server and of a proxy before it: connections, rates, files"
    return Finding(Grade.WARN, "load", f"{text}; {failures[0]}", change=change)

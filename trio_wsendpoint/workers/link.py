"""A worker's end of the pipe to its parent: it reports, says that it is ready, and asks."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import trio

from trio_wsendpoint.workers.messages import LineReader, encode
from trio_wsendpoint.workers.state import WorkersState
from trio_wsendpoint.workers.sums import Report

__all__ = ["Link"]

#: Seconds between two reports; and of the time that one takes to make, so many times as much.
_INTERVAL = 1.0
_SHARE = 100
#: Seconds that the last one may take.
_LAST = 0.5


class Link:
    """Writes to the parent and reads its answers; `report` returns what is to be reported.

    All writing is one task's, so that a parent that takes nothing holds up no other task.
    """

    def __init__(self, channel: socket.socket, report: Callable[[], Report]) -> None:
        channel.setblocking(False)
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(channel))
        self._report = report
        self._lines: list[bytes] = []  # to be written behind the next report
        self._due = trio.Event()
        self._asked: dict[int, trio.MemorySendChannel[WorkersState]] = {}
        self._questions = 0

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Report and read until cancelled; returns when the pipe is broken, without an error."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read()
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the lifeline ends a worker whose parent is gone

    def say(self, **message: Any) -> None:
        """Write a message soon, behind a fresh report."""
        self._lines.append(encode(message))
        self._due.set()

    async def ask(self) -> WorkersState:
        """Return the parent's state, which has this worker's numbers of now."""
        self._questions += 1
        number = self._questions
        sending, receiving = trio.open_memory_channel[WorkersState](1)
        self._asked[number] = sending
        with sending, receiving:
            try:
                self.say(ask=number)
                return await receiving.receive()
            finally:
                del self._asked[number]

    async def _write(self) -> None:
        while True:
            began = time.perf_counter()
            report = encode({"report": self._report().to_message()})
            wait = max(_INTERVAL, _SHARE * (time.perf_counter() - began))
            lines, self._lines = self._lines, []
            self._due = trio.Event()
            await self._stream.send_all(b"".join([report, *lines]))
            with trio.move_on_after(wait):
                await self._due.wait()

    async def _read(self) -> None:
        reader = LineReader()
        while data := await self._stream.receive_some():
            for message in reader.feed(data):
                asked = self._asked.get(message["answer"])
                if asked is not None:
                    asked.send_nowait(WorkersState.from_message(message["state"]))

    async def finish(self) -> None:
        """Write the last report, shielded, for half a second at most; close the pipe."""
        with trio.move_on_after(_LAST, shield=True), contextlib.suppress(trio.BrokenResourceError):
            await self._stream.send_all(encode({"report": self._report().to_message()}))
        self._stream.socket.close()

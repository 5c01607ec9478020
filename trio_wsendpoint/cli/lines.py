"""Reads what is piped into the command, and makes a message of each line."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Awaitable, Callable

import trio

from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.output import Binary

__all__ = ["Source", "descriptor_source", "read_messages", "to_message"]

#: Returns the next bytes of the input, `b""` at its end.
Source = Callable[[], Awaitable[bytes]]


def descriptor_source(descriptor: int) -> Source:
    """Return a source that reads a file descriptor in a thread; if cancelled, that is left."""

    def read_now() -> bytes:
        try:
            return os.read(descriptor, 65536)
        except OSError:  # closed, or a terminal that has gone: there is nothing more to read
            return b""

    async def read() -> bytes:
        return await trio.to_thread.run_sync(read_now, abandon_on_cancel=True)

    return read


async def read_messages(
    source: Source,
    messages: trio.MemorySendChannel[str | bytes],
    *,
    end: bytes = b"\n",
    binary: Binary | None = None,
) -> None:
    """Send a message for each line of `source`, and close `messages` at its end.

    `end`: what ends a line; the last one may lack it.  `binary`: make binary messages, of lines in
    this form; "raw" takes the bytes as they come.  Raises `UsageFault` for a line that is not in
    that form.  Waits while the receiver takes none.
    """
    number, rest = 0, bytearray()
    async with messages:
        while data := await source():
            if binary == "raw":
                await messages.send(data)
                continue
            rest += data
            *lines, last = bytes(rest).split(end) if end in data else (bytes(rest),)
            for line in lines:
                number += 1
                await messages.send(to_message(line, binary, number))
            rest = bytearray(last)
        if rest:
            await messages.send(to_message(bytes(rest), binary, number + 1))


def to_message(line: bytes, binary: Binary | None, number: int) -> str | bytes:
    """Return the message of a line; raises `UsageFault` that says which line is wrong."""
    if binary in {"text", "raw"}:
        return line
    try:
        if binary == "hex":
            return bytes.fromhex(line.decode("ascii"))
        if binary == "base64":
            return base64.b64decode(line, validate=True)
        return line.decode()
    except (ValueError, binascii.Error):
        form = "UTF-8 (--binary sends bytes)" if binary is None else binary
        raise UsageFault(f"line {number} of the input is not {form}") from None

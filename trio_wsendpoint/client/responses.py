"""Writes a request to a stream and reads the answer, a server's or a proxy's."""

from __future__ import annotations

import contextlib
from typing import cast

import trio

from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.handshake import Response, ResponseReader
from trio_wsendpoint.opening.exchange import CHUNK, lost, send
from trio_wsendpoint.opening.settings import ConnectionSettings

__all__ = ["exchange"]


async def exchange(
    stream: trio.abc.Stream, data: bytes, reader: ResponseReader, settings: ConnectionSettings
) -> Response:
    """Write the request `data` and return the answer; raises `BadResponse`.

    Of a refusal, the body is read for `Timeouts.linger` at most.  The caller keeps the time.
    """
    try:
        await send(stream, data)
    except BadResponse:
        # A server may refuse it, and close, before it has read it all: its answer counts.
        with trio.move_on_after(settings.timeouts.linger), contextlib.suppress(BadResponse):
            return await _read_response(stream, reader, settings)
        raise
    return await _read_response(stream, reader, settings)


async def _read_response(
    stream: trio.abc.Stream, reader: ResponseReader, settings: ConnectionSettings
) -> Response:
    response: Response | None = None
    while response is None and reader.partial() is None:
        data = await _receive(stream, reader)
        response = reader.receive_data(data) if data else reader.receive_eof()
    # Of an answer that is not 101 the body is wanted too: what comes of it, and not for long.
    with trio.move_on_after(settings.timeouts.linger), contextlib.suppress(BadResponse):
        while response is None:
            data = await _receive(stream, reader)
            response = reader.receive_data(data) if data else reader.receive_eof()
    return response or cast("Response", reader.partial())


async def _receive(stream: trio.abc.Stream, reader: ResponseReader) -> bytes:
    try:
        return bytes(await stream.receive_some(CHUNK))
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise reader.cut_short(str(lost(error))) from error

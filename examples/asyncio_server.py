"""A whole connection under asyncio: heartbeat, closing, limits, back-pressure, and no Trio.

Run it: python examples/asyncio_server.py [port]      (an echo; 8765 unless given, 0 for a free one)
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from functools import partial

from trio_wsendpoint import BadRequest, Heartbeat, ServerEndpoint, Timeouts
from trio_wsendpoint.handshake import RequestReader, ServerHandshake, serialize_response
from trio_wsendpoint.session import Ending, Need, Phase, Session, Wish


async def serve(
    heartbeat: Heartbeat, timeouts: Timeouts, reader: StreamReader, writer: StreamWriter
) -> None:
    clock, requests = asyncio.get_running_loop().time, RequestReader()
    try:
        async with asyncio.timeout(timeouts.open):
            while (request := requests.receive_data(await reader.read(4096) or b"\n")) is None:
                pass  # if the bytes have ended, a LF alone is refused
        writer.write(serialize_response(ServerHandshake().answer(request), request))
        endpoint = ServerEndpoint(hold_end=True, max_pings=heartbeat.max_pings)
        session = Session(endpoint, now=clock(), heartbeat=heartbeat, timeouts=timeouts)
        if requests.trailing:
            session.receive_data(requests.trailing, clock())
        writer.transport.set_write_buffer_limits(0)  # drain() waits until the system has all
        while session.phase is not Phase.OVER:
            session.ask(Wish.MESSAGE)
            need = session.advance(clock())
            while session.is_open and (message := session.take(clock())) is not None:
                session.send(message.payload, compress=True)
            with suppress(TimeoutError):
                await step(session, need, reader, writer)
            session.tick(clock())  # no wait is longer than to the next deadline
            await asyncio.sleep(0)  # a peer that always has more starves no other
    except BadRequest as error:
        writer.write(serialize_response(error.response))
    except (OSError, asyncio.CancelledError):
        pass  # it was lost or too slow before it was open; or Ctrl-C, after which nothing runs
    finally:
        writer.close()


async def step(session: Session, need: Need, reader: StreamReader, writer: StreamWriter) -> None:
    clock, transport, outbox = asyncio.get_running_loop().time, writer.transport, session.outbox
    try:
        if not outbox.unsent and (batch := session.next_batch(clock())) is not None:
            writer.writelines([batch] if isinstance(batch, bytes) else batch)
        if outbox.unsent:
            session.note_sent(outbox.unsent - transport.get_write_buffer_size(), clock())
        if session.ending in {Ending.CLOSE, Ending.ABORT}:
            transport.abort()  # in either case asyncio holds nothing more that is to leave
            session.note_closed(clock())
        elif session.ending is Ending.END_OURS:
            writer.write_eof()
            session.note_ours_ended(clock())
        elif not outbox.is_empty or need in {Need.DATA, Need.END}:
            async with asyncio.timeout_at(session.deadline):
                if not outbox.is_empty:
                    return await writer.drain()  # back-pressure: meanwhile nothing is read
                session.receive_data(await reader.read(65536), clock())
    except ConnectionError as error:
        session.lose_writing(error, clock())
        session.lose(error, clock())


async def main(port: int) -> None:
    echo = partial(serve, Heartbeat(), Timeouts())
    async with await asyncio.start_server(echo, "127.0.0.1", port) as server:
        print(f"listening on ws://localhost:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 8765))

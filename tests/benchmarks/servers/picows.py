"""picows on asyncio: callbacks, and no compression.

Binary payloads go back from its own buffer, as in its documentation's echo, without becoming an
object of the application; text is decoded, which the others do.
"""

from __future__ import annotations

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from tests.benchmarks.servers.common import (
    BACKLOG,
    HOST,
    MESSAGE_SIZE,
    Options,
    announce,
    run_asyncio,
)


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            transport.send(WSMsgType.BINARY, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, frame.get_payload_as_utf8_text().encode())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


class SendToAll(WSListener):
    def __init__(self, transports: dict[WSTransport, None]) -> None:
        super().__init__()
        self.transports = transports

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transports[transport] = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        del self.transports[transport]

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            payload = frame.get_payload_as_bytes()
            for one in self.transports:
                one.send(WSMsgType.BINARY, payload)


async def main(options: Options) -> None:
    transports: dict[WSTransport, None] = {}
    server = await ws_create_server(
        lambda _: SendToAll(transports) if options.mode == "broadcast" else Echo(),
        HOST,
        options.port,
        ssl=options.tls,
        backlog=BACKLOG,
        max_frame_size=MESSAGE_SIZE,
    )
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    run_asyncio(main)

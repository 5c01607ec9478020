"""The SYNOPSIS of Net::WebSocket::Endpoint::Server in Python: select(), sockets, and no Trio.

Run it: python examples/select_loop.py [port]      (an echo; 8765 unless given, 0 for a free one)
"""

import select
import socket
import sys
from contextlib import suppress

from trio_wsendpoint.errors import HandshakeError, PeerError
from trio_wsendpoint.handshake import RequestReader, ServerHandshake, serialize_response
from trio_wsendpoint.protocol import Parser, ServerEndpoint


def open_endpoint(sock: socket.socket) -> ServerEndpoint:
    sock.settimeout(1)  # to keep this short, whoever opens a connection has all our attention
    reader = RequestReader()  # is given a byte at a time, so that the frames stay in the socket
    while (request := reader.receive_data(sock.recv(1) or b"\n")) is None:
        pass  # if the bytes have ended, a LF alone is refused
    sock.sendall(serialize_response(ServerHandshake().answer(request), request))
    sock.setblocking(False)
    return ServerEndpoint(parser=Parser(sock.makefile("rb", buffering=0)), out=sock, max_pings=5)


def serve(listener: socket.socket) -> None:
    endpoints: dict[socket.socket, ServerEndpoint] = {}
    while True:
        # Who has not taken our last answer is not read from: that bounds what is queued.
        owed = {sock for sock, one in endpoints.items() if one.get_write_queue_size()}
        readable, writable, _ = select.select({listener, *endpoints} - owed, owed, [], 15)
        if listener in readable:
            sock = listener.accept()[0]
            try:
                endpoints[sock] = open_endpoint(sock)
            except (OSError, HandshakeError):
                sock.close()
        for sock, endpoint in tuple(endpoints.items()):
            with suppress(OSError, PeerError):  # the end of this one: is_closed() tells
                if not readable and not writable:  # timed out, all are silent
                    endpoint.check_heartbeat()
                elif endpoint.get_write_queue_size() and not endpoint.flush_write_queue():
                    pass  # there was not room for all of it
                elif message := endpoint.get_next_message():
                    endpoint.send_message(message.payload)
            if endpoint.is_closed():
                del endpoints[sock]
                with sock, suppress(OSError):
                    sock.settimeout(1)
                    endpoint.flush_write_queue()  # first what is left of a frame partly written
                    while frame := endpoint.shift_write_queue():  # or so, instead of flushing
                        sock.sendall(frame.to_bytes())
                    sock.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    address = ("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8765)
    with suppress(KeyboardInterrupt), socket.create_server(address) as server:
        print(f"listening on ws://localhost:{server.getsockname()[1]}/", flush=True)
        serve(server)

"""Clients at little cost: `python -m tests.fleet.load` holds sockets, and counts what comes.

Each line is a JSON object, and so is each answer: `{"open": n, "port": p, "topic": t, "tls": b}`
opens connections; `{"until": n}` answers when so many bytes of messages have come in all, and
`{"pings": n}` when so many pings were answered.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import sys
from typing import Any

REQUEST = (
    "GET /?topic={} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING, PONG = 0x89, 0x8A


class Load:
    """The sockets, and what has come over them."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.count = self.bytes = self.pings = 0
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def open(self, count: int, port: int, topic: str, is_tls: bool) -> None:
        """Open connections, one after the other."""
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port))
            if is_tls:
                one = self.context.wrap_socket(one)
            one.sendall(REQUEST.format(topic).encode())
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += one.recv(1)
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ)
            self.count += 1

    def turn(self) -> None:
        """Take what has come."""
        for key, _ in self.selector.select(0.1):
            one: Any = key.fileobj
            data = one.recv(1 << 20)
            if not data:
                raise ConnectionError("a server has closed a connection")
            if data[0] == PING:
                payload = data[2 : 2 + data[1]]
                one.sendall(bytes([PONG, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
                self.pings += 1
            else:
                self.bytes += len(data)

    def do(self, command: dict[str, Any]) -> dict[str, int]:
        """Do what a line says, and return the counts."""
        if "open" in command:
            self.open(command["open"], command["port"], command["topic"], command["tls"])
        while self.bytes < command.get("until", 0) or self.pings < command.get("pings", 0):
            self.turn()
        return {"open": self.count, "bytes": self.bytes, "pings": self.pings}


if __name__ == "__main__":
    load = Load()
    for line in sys.stdin:
        print(json.dumps(load.do(json.loads(line))), flush=True)

"""`websockets` reads a stream, with its sans-I/O `Protocol`.

That hands out frames; to join them and to decode texts is left to whoever drives it, and is done
here as its own connections do: a text is judged when its message is complete.
"""

from __future__ import annotations

from collections.abc import Iterable

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

from .outcome import EMPTY_CLOSE, MESSAGE_SIZE, Case, Outcome, scan

__all__ = ["run_websockets"]


class Reader:
    def __init__(self, case: Case) -> None:
        self.protocol = Protocol(SERVER if case.is_server else CLIENT, max_size=MESSAGE_SIZE)
        if case.deflate:
            self.protocol.extensions = [PerMessageDeflate(not case.takeover, False, 15, 15)]
        self.messages: list[str | bytes] = []
        self.pongs: list[bytes] = []
        self.sent: int | None = None
        self.is_text = False
        self.payload = b""

    def receive(self, piece: bytes) -> None:
        self.protocol.receive_data(piece)
        for event in self.protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self.join(event)
        for data in self.protocol.data_to_send():
            self.look_at(data)

    def join(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self.is_text = frame.opcode is Opcode.TEXT
            self.payload = b""
        self.payload += bytes(frame.data)
        if not frame.fin:
            return
        if not self.is_text:
            self.messages.append(self.payload)
            return
        try:
            self.messages.append(self.payload.decode())
        except UnicodeDecodeError:
            self.protocol.fail(1007)

    def look_at(self, data: bytes) -> None:
        for head in scan(data):
            payload = data[head.header_end : head.end]
            if head.is_masked:
                key = data[head.header_end - 4 : head.header_end]
                payload = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
            if head.opcode == Opcode.PONG:
                self.pongs.append(payload)
            else:
                assert head.opcode == Opcode.CLOSE
                self.sent = int.from_bytes(payload[:2], "big") if payload else EMPTY_CLOSE


def run_websockets(case: Case, pieces: Iterable[bytes]) -> Outcome:
    reader = Reader(case)
    read, offset = 0, None
    for piece in pieces:
        read += len(piece)
        reader.receive(piece)
        if reader.sent is not None:
            offset = read
            break
    received = reader.protocol.close_rcvd
    return Outcome(
        tuple(reader.messages),
        tuple(reader.pongs),
        None if received is None else (int(received.code), received.reason),
        reader.sent,
        offset,
    )

"""The protocol itself, without I/O: bytes to frames to messages, the write queue, the closing.

A byte's walk: `Parser` -> `Frame` -> `Endpoint` -> `Defragmenter` -> `Message`; and back:
message -> `Sender` -> `WriteQueue` -> `shift_write_queue()`.  Nothing here imports trio.
"""

from trio_wsendpoint.protocol.closing import CloseCause, Closing, Event, State
from trio_wsendpoint.protocol.defragmenter import Defragmenter
from trio_wsendpoint.protocol.endpoint import ClientEndpoint, Endpoint, Progress, ServerEndpoint
from trio_wsendpoint.protocol.extension import ExtensionNegotiator, MessageExtension
from trio_wsendpoint.protocol.frames import (
    BinaryFrame,
    CloseFrame,
    ContinuationFrame,
    ControlFrame,
    DataFrame,
    Frame,
    PingFrame,
    PongFrame,
    TextFrame,
)
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.opcodes import CloseCode, Opcode
from trio_wsendpoint.protocol.parser import Parser
from trio_wsendpoint.protocol.ping_store import PingStore
from trio_wsendpoint.protocol.shared import SharedMessage
from trio_wsendpoint.protocol.streamer import Streamer, UnfinishedStream
from trio_wsendpoint.protocol.traffic import Traffic

__all__ = [
    "BinaryFrame",
    "ClientEndpoint",
    "CloseCause",
    "CloseCode",
    "CloseFrame",
    "Closing",
    "ContinuationFrame",
    "ControlFrame",
    "DataFrame",
    "Defragmenter",
    "Endpoint",
    "Event",
    "ExtensionNegotiator",
    "Frame",
    "Message",
    "MessageExtension",
    "Opcode",
    "Parser",
    "PingFrame",
    "PingStore",
    "PongFrame",
    "Progress",
    "ServerEndpoint",
    "SharedMessage",
    "State",
    "Streamer",
    "TextFrame",
    "Traffic",
    "UnfinishedStream",
]

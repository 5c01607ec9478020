"""What the tests of the seed's behaviour share: endpoints that are fed, filehandles, a handshake.

Wire bytes are made by `tests.protocol.wire`, which knows nothing of the library's own encoder.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    close_facts,
    close_payload,
    drain,
    drain_bytes,
    facts,
    frame_bytes,
    from_client,
    scalar_xor,
)
from trio_wsendpoint import (
    BadRequest,
    ControlFrame,
    DataFrame,
    Endpoint,
    Message,
    PeerError,
    Request,
    Response,
    ServerEndpoint,
)
from trio_wsendpoint.handshake import ServerHandshake

__all__ = [
    "ACCEPT",
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "KEY",
    "MASK",
    "PING",
    "PONG",
    "TEXT",
    "BlinkFrame",
    "BooyaFrame",
    "Narrow",
    "Written",
    "answer",
    "close_facts",
    "close_payload",
    "drain",
    "drain_bytes",
    "facts",
    "fails",
    "fed",
    "frame_bytes",
    "from_client",
    "fully",
    "opening",
    "refused",
    "scalar_xor",
    "types",
]

#: The key of RFC 6455 section 1.3 and the accept that answers it.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class BooyaFrame(DataFrame):
    """A data frame of an extension."""

    __slots__ = ()
    opcode = 3
    type = "booya"


class BlinkFrame(ControlFrame):
    """A control frame of an extension."""

    __slots__ = ()
    opcode = 11
    type = "blink"


# ---- endpoints -------------------------------------------------------------------------------


def fed(*frames: bytes, endpoint: Endpoint | None = None, **options: Any) -> Endpoint:
    """Return an endpoint (a server's unless one is given) that has been fed the frames."""
    if endpoint is None:
        endpoint = ServerEndpoint(**options)
    for frame in frames:
        endpoint.receive_data(frame)
    return endpoint


def fully(endpoint: Endpoint) -> list[Message]:
    """Return every message that the endpoint has."""
    messages = []
    while endpoint.is_open and (message := endpoint.get_next_message()) is not None:
        messages.append(message)
    return messages


def types(endpoint: Endpoint) -> list[str]:
    """Return the types of the frames that wait to be written, and take them out."""
    return [frame.type for frame in drain(endpoint)]


def fails(endpoint: Endpoint, error_type: type[PeerError], code: int) -> PeerError:
    """Read on until the endpoint fails; check the error, the one Close frame, and the state."""
    with pytest.raises(error_type) as caught:
        fully(endpoint)
    assert type(caught.value) is error_type
    assert caught.value.close_code == code
    assert endpoint.is_closed()
    closes = [frame for frame in drain(endpoint) if frame.type == "close"]
    assert [close_facts(frame)[0] for frame in closes] == [code]
    return caught.value


# ---- filehandles -----------------------------------------------------------------------------


class Written:
    """A blocking filehandle: every write is one entry of `writes`."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        self.writes.append(bytes(data))
        return len(data)


class Narrow:
    """A non-blocking socket that has room for so many bytes."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.data = b""
        self.refused = 0

    def getblocking(self) -> bool:
        return False

    def send(self, data: bytes | memoryview) -> int:
        piece = bytes(data)[: self.room]
        if not piece:
            self.refused += 1
            assert self.refused < 1000, "it is being waited for"
            raise BlockingIOError
        self.data += piece
        self.room -= len(piece)
        return len(piece)


# ---- the handshake ---------------------------------------------------------------------------


def opening(
    *more: tuple[str, str],
    without: str = "",
    method: str = "GET",
    http_version: str = "1.1",
    **changed: str,
) -> Request:
    """Return an opening request; `changed` replaces values, with `_` for `-` in the names."""
    fields = {
        "Host": "example.com",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    swaps = {name.replace("_", "-").lower(): value for name, value in changed.items()}
    items = [
        (name, swaps.get(name.lower(), value)) for name, value in fields.items() if name != without
    ]
    return Request("/", [*items, *more], method=method, http_version=http_version)


def refused(request: Request, **options: Any) -> Response:
    """Return the answer of a server that refuses the request."""
    with pytest.raises(BadRequest) as caught:
        ServerHandshake(**options).answer(request)
    return caught.value.response


def answer(*more: tuple[str, str], status: int = 101, without: str = "") -> Response:
    """Return the server's answer to a client whose key is `KEY`."""
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}
    items = [item for item in fields.items() if item[0] != without]
    return Response(status, [*items, *more])

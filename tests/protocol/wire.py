"""What the tests share: wire bytes made without the library, and ways to look at an endpoint.

`frame_bytes` knows nothing of `Frame.to_bytes`, so that neither can hide a mistake of the other.
"""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from trio_wsendpoint.errors import PeerError
from trio_wsendpoint.protocol import (
    ClientEndpoint,
    CloseFrame,
    Closing,
    ControlFrame,
    DataFrame,
    Endpoint,
    Frame,
    Message,
    ServerEndpoint,
    State,
)

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

#: A mask without any byte twice, so that a wrong offset shows.
MASK = b"\x37\xfa\x21\x3d"


def examples(count: int) -> settings:
    """Return settings under which a run is the same every time, however slow the machine."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def scalar_xor(data: bytes, mask: bytes) -> bytes:
    """Mask one byte at a time, as RFC 6455 section 5.3 writes it down."""
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


def frame_bytes(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"",
    form: int | None = None,
) -> bytes:
    """Return a frame; `form` is the bytes of its length field (1, 3, 9) if not the shortest."""
    size = len(payload)
    if form is None:
        form = 1 if size <= 125 else 3 if size <= 0xFFFF else 9
    high = 0x80 if mask else 0
    head = bytearray([fin << 7 | rsv << 4 | opcode])
    if form == 1:
        head.append(high | size)
    else:
        head.append(high | (126 if form == 3 else 127))
        head += size.to_bytes(form - 1, "big")
    return bytes(head) + mask + (scalar_xor(payload, mask) if mask else payload)


def from_client(opcode: int, payload: bytes = b"", **keywords: Any) -> bytes:
    """Return a frame as a client sends it."""
    return frame_bytes(opcode, payload, mask=MASK, **keywords)


def close_payload(code: int, reason: str = "") -> bytes:
    return code.to_bytes(2, "big") + reason.encode()


def drain(endpoint: Endpoint) -> list[Frame]:
    """Shift all that is queued."""
    frames = []
    while (frame := endpoint.shift_write_queue()) is not None:
        frames.append(frame)
    return frames


def drain_bytes(endpoint: Endpoint) -> bytes:
    return b"".join(frame.to_bytes() for frame in drain(endpoint))


def facts(frames: list[Frame]) -> list[tuple[str, bytes]]:
    """Return type and payload of each frame."""
    return [(frame.type, frame.payload) for frame in frames]


def take(endpoint: Endpoint) -> tuple[list[Message], PeerError | None]:
    """Return the messages that an endpoint has, and the error that ends them, if one does."""
    messages: list[Message] = []
    try:
        while endpoint.is_open and (message := endpoint.get_next_message()) is not None:
            messages.append(message)
    except PeerError as error:
        return messages, error
    return messages, None


def payloads(endpoint: Endpoint) -> list[str | bytes]:
    """Return the payloads of the messages that an endpoint has, none of which may be an error."""
    messages, error = take(endpoint)
    if error is not None:
        raise error
    return [message.payload for message in messages]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut `data` at `places`, taken modulo its length."""
    marks = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(marks)]


def server(**options: Any) -> ServerEndpoint:
    return ServerEndpoint(**options)


def client(**options: Any) -> ClientEndpoint:
    return ClientEndpoint(**options)


# ---- frames of an extension ------------------------------------------------------------------


class ChunkFrame(DataFrame):
    __slots__ = ()
    opcode = 3
    type = "chunk"


class StatusFrame(ControlFrame):
    __slots__ = ()
    opcode = 11
    type = "status"


# ---- strategies ------------------------------------------------------------------------------

cut_places = st.lists(st.integers(0, 1 << 20), max_size=12)
short_text = st.text(max_size=30)
sizes = st.sampled_from([0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 300])
short_bytes = st.one_of(
    st.binary(max_size=20), sizes.map(lambda size: bytes(range(97, 101)) * size)
)
control_bytes = st.binary(max_size=125)
wire_codes = st.one_of(
    st.sampled_from([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]),
    st.integers(3000, 4999),
)
reasons = st.text(max_size=30)


@st.composite
def control_frames(draw: st.DrawFn, mask: bytes) -> bytes:
    return frame_bytes(draw(st.sampled_from([PING, PONG])), draw(control_bytes), mask=mask)


@st.composite
def message_frames(draw: st.DrawFn, mask: bytes) -> list[bytes]:
    """Return the frames of one message, with control frames among them."""
    is_text = draw(st.booleans())
    payload = draw(short_text).encode() if is_text else draw(short_bytes)
    pieces = cut(payload, draw(st.lists(st.integers(0, 1 << 16), max_size=3))) or [b""]
    frames = []
    for place, piece in enumerate(pieces):
        if place:
            frames += draw(st.lists(control_frames(mask), max_size=1))
        opcode = CONTINUATION if place else TEXT if is_text else BINARY
        frames.append(frame_bytes(opcode, piece, fin=place == len(pieces) - 1, mask=mask))
    return frames


@st.composite
def streams(draw: st.DrawFn, mask: bytes = MASK) -> list[bytes]:
    """Return the frames of a valid stream."""
    parts = draw(
        st.lists(
            st.one_of(message_frames(mask), control_frames(mask).map(lambda frame: [frame])),
            max_size=6,
        )
    )
    frames = [frame for part in parts for frame in part]
    if draw(st.booleans()):
        payload = close_payload(draw(wire_codes), draw(reasons))
        frames.append(frame_bytes(CLOSE, payload, mask=mask))
    return frames


def close_facts(frame: Frame | None) -> tuple[int | None, str]:
    assert isinstance(frame, CloseFrame)
    return frame.code, frame.reason


def state_of(subject: Endpoint | Closing) -> State:
    """Return the state now: a type checker does not know that a call may change the attribute."""
    return subject.state

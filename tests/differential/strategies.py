"""Streams for both roles: valid, wrong in a few places, arbitrary; with and without deflate."""

from __future__ import annotations

import zlib

from hypothesis import strategies as st

from tests.protocol.wire import streams

from .outcome import MESSAGE_SIZE, Case
from .spelling import CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, close_payload, frame_bytes

__all__ = ["arbitrary_cases", "deflate_cases", "mutated_cases", "valid_cases"]

#: Characters of every length, whole and broken, and what is not UTF-8 at all.
TEXTS = st.lists(
    st.sampled_from(
        [
            *(character.encode() for character in ("a", "bc", "é", "€", "😀", "\x00")),
            *(b"\xe2\x82", b"\xac", b"\xf0\x9f", b"\x98\x80"),
            *(b"\xed\x9f\xbf", b"\xed\xa0\x80", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"),
            *(b"\xc0\xaf", b"\x80", b"\xff"),
        ]
    ),
    max_size=5,
).map(b"".join)
VALID_TEXTS = st.text(max_size=20).map(str.encode)
CODES = st.one_of(
    st.sampled_from([1000, 1001, 1002, 1007, 1011, 1014, 3000, 4999]),
    st.sampled_from([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]),
    st.integers(0, 65535),
)
SIZES = st.sampled_from(
    [0, 1, 2, 124, 125, 126, 127, 300, MESSAGE_SIZE - 2, MESSAGE_SIZE, MESSAGE_SIZE + 1]
)


@st.composite
def close_frames(draw: st.DrawFn, mask: bytes) -> bytes:
    payload = draw(
        st.one_of(
            st.sampled_from([b"", b"\x03"]),
            st.tuples(CODES, st.one_of(VALID_TEXTS, TEXTS)).map(
                lambda pair: close_payload(pair[0]) + pair[1]
            ),
        )
    )
    return frame_bytes(CLOSE, payload, mask=mask)


@st.composite
def odd_frames(draw: st.DrawFn, mask: bytes) -> bytes:
    """Return a frame that may be wrong in any way."""
    opcode = draw(st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, 8, 9, 9, 10, 3, 7, 11, 15]))
    payload = draw(
        st.one_of(VALID_TEXTS, TEXTS, st.binary(max_size=8), SIZES.map(lambda size: b"x" * size))
    )
    form = draw(st.sampled_from([None] * 7 + [3, 9]))
    if form is None and opcode >= 8 and draw(st.booleans()):
        payload = payload[:125]
    if form == 1 or (form == 3 and len(payload) > 65535):
        form = None
    frame = frame_bytes(
        opcode,
        payload,
        fin=draw(st.sampled_from([True, True, False])),
        rsv=draw(st.sampled_from([0] * 12 + [1, 2, 4, 6])),
        mask=(b"" if mask else MASK) if draw(st.integers(0, 15)) == 0 else mask,
        form=form,
    )
    # One in eight declares another length than it has, a very large one perhaps.
    if draw(st.integers(0, 7)) == 0:
        high = frame[1] & 0x80
        length = draw(st.sampled_from([b"\x05", b"\x7e\x00\x7d", b"\x7e\x7f\xff"]))
        length = draw(
            st.sampled_from([length, b"\x7f" + bytes(7) + b"\x09", b"\x7f\x80" + bytes(7)])
        )
        frame = frame[:1] + bytes([high | length[0]]) + length[1:] + frame[2:]
    return frame


@st.composite
def mutations(draw: st.DrawFn, stream: bytes) -> bytes:
    """Change, take out or put in a few bytes, or cut the stream off."""
    data = bytearray(stream)
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        place = draw(st.integers(0, len(data) - 1))
        how = draw(st.sampled_from(["flip", "set", "delete", "insert", "cut"]))
        if how == "flip":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            data[place] = draw(st.integers(0, 255))
        elif how == "delete":
            del data[place]
        elif how == "insert":
            data.insert(place, draw(st.integers(0, 255)))
        else:
            del data[place:]
    return bytes(data)


@st.composite
def valid_cases(draw: st.DrawFn) -> Case:
    is_server = draw(st.booleans())
    frames = draw(streams(MASK if is_server else b""))
    return Case(b"".join(frames), is_server)


@st.composite
def mutated_cases(draw: st.DrawFn) -> Case:
    is_server = draw(st.booleans())
    mask = MASK if is_server else b""
    parts = draw(
        st.lists(
            st.one_of(streams(mask).map(lambda frames: b"".join(frames[:4])), odd_frames(mask)),
            min_size=1,
            max_size=4,
        )
    )
    stream = b"".join(parts) + draw(st.one_of(st.just(b""), close_frames(mask)))
    if draw(st.booleans()):
        stream = draw(mutations(stream))
    return Case(stream, is_server)


@st.composite
def arbitrary_cases(draw: st.DrawFn) -> Case:
    is_server = draw(st.booleans())
    deflate = draw(st.booleans())
    mask = MASK if is_server else b""
    stream = draw(
        st.one_of(
            st.binary(max_size=60), st.lists(odd_frames(mask), min_size=1, max_size=6).map(b"".join)
        )
    )
    return Case(stream, is_server, deflate, deflate and draw(st.booleans()))


@st.composite
def deflate_cases(draw: st.DrawFn) -> Case:
    """Return messages of which most are compressed, some in fragments with pings between."""
    is_server, takeover = draw(st.booleans()), draw(st.booleans())
    mask = MASK if is_server else b""
    compressor = zlib.compressobj(wbits=-15)
    stream = b""
    for _ in range(draw(st.integers(1, 4))):
        is_text = draw(st.booleans())
        payload = draw(st.one_of(VALID_TEXTS, VALID_TEXTS, TEXTS) if is_text else st.binary())
        payload *= draw(st.sampled_from([1, 1, 3, 100]))
        is_encoded = draw(st.integers(0, 4)) > 0
        if is_encoded:
            if not takeover:
                compressor = zlib.compressobj(wbits=-15)
            payload = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
            payload = payload[:-4] if payload.endswith(b"\x00\x00\xff\xff") else payload + b"\x00"
            if draw(st.integers(0, 3)) == 0:
                payload = draw(mutations(payload))
        marks = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        pieces = [
            payload[start:end]
            for start, end in zip([0, *marks], [*marks, len(payload)], strict=True)
        ]
        for place, piece in enumerate(pieces):
            if place and draw(st.integers(0, 5)) == 0:
                stream += frame_bytes(draw(st.sampled_from([PING, PONG])), b"p", mask=mask)
            stream += frame_bytes(
                CONTINUATION if place else TEXT if is_text else 2,
                piece,
                fin=place == len(pieces) - 1,
                rsv=4 if is_encoded and not place else 0,
                mask=mask,
            )
    if draw(st.booleans()):
        stream += draw(close_frames(mask))
    if draw(st.integers(0, 3)) == 0:
        stream = draw(mutations(stream))
    return Case(stream, is_server, True, takeover)

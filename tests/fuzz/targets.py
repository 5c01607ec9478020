"""What is fuzzed, and what must hold whatever the bytes are.

Each target is a function of `bytes` that returns nothing and raises `Broken` when a promise is
broken: an exception that is not documented, an outcome that depends on how the bytes were cut,
more memory than the input and the limits allow.  The first byte of each input says how to cut.

Run by `run.py` under atheris, and by `test_replay.py` over the corpus.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from trio_wsendpoint import (
    BadRequest,
    BadResponse,
    CloseFrame,
    ControlFrame,
    DataFrame,
    Deflate,
    EndpointClosed,
    HandshakeRefused,
    InvalidPayload,
    Limits,
    Parser,
    PeerError,
    ServerEndpoint,
    State,
)
from trio_wsendpoint.handshake import ClientHandshake, RequestReader, ResponseReader
from trio_wsendpoint.handshake.abnf import format_extensions, parse_extensions
from trio_wsendpoint.handshake.server import ServerHandshake
from trio_wsendpoint.protocol.coding import apply_mask

__all__ = ["TARGETS", "Broken"]

LIMITS = Limits(message_size=4096, fragments=8, fragment_size=512)
MASK = b"\x0f\x1e\x2d\x3c"


class Broken(Exception):
    """A promise of the library does not hold for this input."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise Broken(what)


def cuts(data: bytes, seed: int) -> Iterator[bytes]:
    """Cut `data` into pieces of 1 to 64 bytes, as `seed` says."""
    place = 0
    while place < len(data):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        size = 1 + (seed >> 16) % (64 if seed & 1 else 4)
        yield data[place : place + size]
        place += size


def same_however_cut(data: bytes, outcome: Callable[[Iterator[bytes]], Any]) -> Any:
    """Return the outcome for `data[1:]` in one piece, having compared it with two other cuts."""
    if not data:
        return None
    seed, data = data[0], data[1:]
    whole = outcome(iter([data] if data else []))
    for pieces in (cuts(data, seed), (data[i : i + 1] for i in range(len(data)))):
        other = outcome(pieces)
        expect(whole == other, f"in one piece {whole!r}, cut {other!r}")
    return whole


# ---- the opening -------------------------------------------------------------------------------


def request_head(data: bytes) -> None:
    """An opening request, to its answer."""

    def outcome(pieces: Iterator[bytes]) -> Any:
        reader, request = RequestReader(), None
        try:
            for piece in pieces:
                request = reader.receive_data(piece) or request
            if request is None:
                return "more"
            expect(len(reader.trailing) <= Limits().pipelined, "too much held behind the request")
            handshake = ServerHandshake(subprotocols=["a", "b"], extensions=[Deflate()])
            return handshake.answer(request), handshake.subprotocol, reader.trailing
        except BadRequest as error:
            expect(error.response.status in {400, 403, 405, 414, 426, 431, 505}, "odd status")
            return error.response.status

    same_however_cut(data, outcome)


def response_head(data: bytes) -> None:
    """An answer to our opening request."""

    def outcome(pieces: Iterator[bytes]) -> Any:
        reader, response = ResponseReader(), None
        handshake = ClientHandshake(
            "ws://a.test/",
            subprotocols=["a"],
            extensions=[Deflate()],
            random_bytes=bytes,
        )
        try:
            for piece in pieces:
                response = reader.receive_data(piece) or response
            response = response or reader.receive_eof()
            if response is not None:
                expect(len(response.body) <= 65536, "too much of a body")
                handshake.check(response)
        except HandshakeRefused as error:
            return error.response
        except BadResponse as error:
            return type(error)  # its text quotes what had come, however much that was
        return response, handshake.subprotocol, reader.trailing

    same_however_cut(data, outcome)


def extension_header(data: bytes) -> None:
    """A Sec-WebSocket-Extensions header, to what we make of its offers."""
    text = data.decode("latin-1")
    try:
        offers = parse_extensions(text.split("\n"), limit=32)
    except ValueError:
        return
    spelled = format_extensions(offers)
    expect(parse_extensions([spelled], limit=32) == offers, f"{offers!r} reads back otherwise")
    ours = Deflate(window_bits=10)
    for name, parameters in offers:
        if name == ours.name and (accepted := ours.accept_offer(parameters)) is not None:
            names = [parameter for parameter, _ in accepted[0]]
            expect(len(set(names)) == len(names), "an answer says something twice")
        try:
            ours.accept_answer(parameters)
        except BadResponse:
            pass


# ---- frames ------------------------------------------------------------------------------------


class Odd(DataFrame):
    opcode = 5
    type = "odd"


class OddControl(ControlFrame):
    opcode = 13
    type = "odd_control"


def parser(data: bytes) -> None:
    """Frames, in either direction, with and without extensions."""
    if not data:
        return
    flags, data = data[0], data[1:]

    def outcome(pieces: Iterator[bytes]) -> Any:
        one = Parser(
            masked=(None, True, False, None)[flags & 3],
            rsv=flags >> 2 & 7,
            frame_types=(Odd, OddControl) if flags & 32 else (),
            max_frame_size=2000,
        )
        frames: list[Any] = []
        try:
            for piece in pieces:
                one.receive_data(piece)
                while (frame := one.get_next_frame()) is not None:
                    frames.append(frame)
                expect(one.buffered <= 14 + len(piece), "parsed bytes are kept")
            one.receive_eof()
            while (frame := one.get_next_frame()) is not None:
                frames.append(frame)
        except PeerError as error:
            return frames, type(error), str(error)
        return frames

    frames = same_however_cut(data, outcome)
    if isinstance(frames, list):
        wire = b"".join(frame.to_bytes() for frame in frames)
        expect(wire == data[1:], "frames do not give the bytes back that they were made of")


def inflate(data: bytes) -> None:
    """One compressed message after another, cut at its pieces."""
    limit = 1 << 16

    def outcome(pieces: Iterator[bytes]) -> Any:
        accepted = Deflate(peer_window_bits=15).accept_offer([])
        if accepted is None:
            raise Broken("a plain offer was declined")
        extension, read, known = accepted[1], b"", list(pieces) or [b""]
        try:
            for left, piece in zip(range(len(known) - 1, -1, -1), known, strict=True):
                extension.feed(piece, final=not left)
                while (part := extension.read(4096)) is not None:
                    expect(len(part) <= 4096, "more was read than was asked for")
                    read += part
                    if len(read) > limit:
                        return "refused"
        except InvalidPayload:
            return "refused"
        return read

    result = same_however_cut(data, outcome)
    if isinstance(result, bytes) and data[1:]:
        reference = zlib.decompressobj(-15)
        expected = reference.decompress(data[1:] + b"\x00\x00\xff\xff")
        if not reference.unused_data:  # after a final block zlib stops, and RFC 7692 goes on
            expect(result == expected, "zlib reads it otherwise")


# ---- the endpoint ------------------------------------------------------------------------------


def frame_bytes(first: int, length: int, payload: bytes) -> bytes:
    """Spell a masked frame that may be wrong in any way."""
    if length < 126:
        header = bytes((first, 0x80 | length))
    else:
        header = bytes((first, 0x80 | 126)) + length.to_bytes(2, "big")
    return header + MASK + apply_mask(payload, MASK)


def structured(data: bytes) -> bytes:
    """Turn fuzzed bytes into a stream of frames most of which make sense.

    Each begins with an op: its low bits choose what to spell, the next byte a length.
    """
    firsts = (0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0x41, 0x8B)
    stream, place = bytearray(), 0
    while place + 2 <= len(data):
        op, length = data[place], data[place + 1]
        payload = data[place + 2 : place + 2 + length]
        place += 2 + len(payload)
        kind = op & 15
        if kind >= len(firsts):
            stream += payload  # raw bytes
        elif firsts[kind] == 0x88 and op & 16:
            stream += frame_bytes(0x88, len(payload), b"\x03\xe8" + payload[2:])
        else:
            # One in eight declares more, or less, than there is.
            declared = length if op >> 5 == 7 else len(payload)
            stream += frame_bytes(firsts[kind], declared, payload)
    return bytes(stream)


def endpoint(data: bytes) -> None:
    """A whole server endpoint, from bytes to messages, queue and state."""
    if not data:
        return
    flags, stream = data[0], structured(data[1:])

    def outcome(pieces: Iterator[bytes]) -> Any:
        extension = None
        if flags & 1:
            accepted = Deflate(threshold=0).accept_offer([])
            extension = None if accepted is None else accepted[1]
        one = ServerEndpoint(
            limits=LIMITS,
            extension=extension,
            unrecognized_pong="ignore" if flags & 2 else "close",
            hold_end=bool(flags & 4),
            random_bytes=bytes,
        )
        messages: list[Any] = []
        error: Any = None
        try:
            for piece in pieces:
                one.receive_data(piece)
                while (message := one.get_next_message()) is not None:
                    expect(message.size <= LIMITS.most_in_message, "a message over the limit")
                    messages.append((message.type, message.payload))
                expect(one.incoming.partial_size <= LIMITS.most_in_message, "too much is held")
            one.receive_eof()
            one.get_next_message()
        except EndpointClosed:
            pass
        except PeerError as broken:
            error = type(broken)
        one.release_end()
        queue = []
        while (frame := one.shift_write_queue()) is not None:
            queue.append(frame)
        closes = [frame for frame in queue if isinstance(frame, CloseFrame)]
        expect(len(closes) <= 1, "more than one close frame")
        expect(not closes or queue[-1] is closes[0], "a frame behind the close frame")
        expect(one.state is not State.OPEN or not closes, "closed, and open")
        if flags & 1 and closes and closes[0].code in {1007, 1009}:
            # Where a message is wrong in two ways, zlib may give up before it hands out what
            # shows the other: it drops what a failing step has made.
            return messages, "bad message", queue[:-1], one.state
        return messages, error, queue, one.state, one.closing.code

    same_however_cut(bytes([flags]) + stream, outcome)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (request_head, response_head, extension_header, parser, inflate, endpoint)
}

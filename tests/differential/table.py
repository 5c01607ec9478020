"""Streams made by hand, and what we make of each: rows C44 to C64, and the edges of UTF-8.

`Row.sent` and `Row.offset` are what is promised of us; what the others make of the same stream is
compared like that of any other.
"""

from __future__ import annotations

from dataclasses import dataclass

from .outcome import EMPTY_CLOSE, MESSAGE_SIZE, Case
from .spelling import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    close_payload,
    deflated,
    frame_bytes,
    from_client,
    from_server,
)

__all__ = ["TABLE", "Row"]


@dataclass(frozen=True)
class Row:
    """A stream, the messages that we deliver, the code that we send and the byte that makes us."""

    name: str
    case: Case
    messages: tuple[str | bytes, ...] = ()
    sent: int | None = None
    offset: int | None = None


def ends(name: str, stream: bytes, sent: int, offset: int | None = None, **case: bool) -> Row:
    """Return a row whose stream makes us close; by default its last byte does."""
    return Row(name, Case(stream, **case), (), sent, len(stream) if offset is None else offset)


def delivers(name: str, stream: bytes, *messages: str | bytes, **case: bool) -> Row:
    return Row(name, Case(stream, **case), messages)


def fragments(opcode: int, *pieces: bytes, between: bytes = b"", rsv: int = 0) -> bytes:
    """Return the frames of one message, with other bytes between each two."""
    return between.join(
        from_client(
            CONTINUATION if place else opcode,
            piece,
            fin=place == len(pieces) - 1,
            rsv=0 if place else rsv,
        )
        for place, piece in enumerate(pieces)
    )


HI = from_client(TEXT, b"hi")
PINGED = from_client(PING, b"p")
CLOSED = from_client(CLOSE, close_payload(1000, "bye"))

FRAMES = [
    ends("C44 unmasked to a server", from_server(TEXT, b"hi"), 1002, 2),
    ends("C44 unmasked, 16-bit length", from_server(TEXT, b"h" * 126), 1002, 2),
    ends("C45 masked to a client", HI, 1002, 2, is_server=False),
    ends("C45 masked, 64-bit length", from_client(TEXT, bytes(65536)), 1002, 2, is_server=False),
    *(
        ends(f"C46 RSV {rsv:03b}", from_client(TEXT, b"hi", rsv=rsv), 1002, 1)
        for rsv in range(1, 8)
    ),
    *(
        ends(
            f"C46 RSV {rsv:03b} with deflate",
            from_client(TEXT, b"", rsv=rsv),
            1002,
            1,
            deflate=True,
        )
        for rsv in (1, 2, 3, 5, 6, 7)
    ),
    ends("C46 RSV1 on a ping", from_client(PING, rsv=4), 1002, 1),
    *(
        ends(f"C47 opcode {opcode}", from_client(opcode, b"hi"), 1002, 1)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    ends("C47 opcode 11, fragmented", from_client(11, fin=False), 1002, 1),
    ends("C48 5 bytes in a 16-bit length", from_client(BINARY, b"12345", form=3), 1002, 4),
    ends("C48 125 bytes in a 16-bit length", from_client(BINARY, bytes(125), form=3), 1002, 4),
    ends("C48 5 bytes in a 64-bit length", from_client(BINARY, b"12345", form=9), 1002, 8),
    ends("C48 126 bytes in a 64-bit length", from_client(BINARY, bytes(126), form=9), 1002, 8),
    ends("C48 to a client", from_server(BINARY, b"1", form=3), 1002, 4, is_server=False),
    ends("C49 most significant bit", b"\x82\xff\x80" + bytes(7), 1002, 3),
    ends("C49 all bits", b"\x82\xff" + b"\xff" * 12, 1002, 3),
    ends("C50 2**62 bytes declared", b"\x82\xff\x40" + bytes(7) + MASK, 1009),
    ends("C50 to a client", b"\x82\x7f\x40" + bytes(7), 1009, is_server=False),
    ends("C50 2**62 bytes in a ping", b"\x89\xff\x40" + bytes(7) + MASK, 1002, 2),
    delivers(
        "C50 exactly the limit", from_client(BINARY, bytes(MESSAGE_SIZE)), bytes(MESSAGE_SIZE)
    ),
    ends("C50 one more", from_client(BINARY, bytes(MESSAGE_SIZE + 1)), 1009, 8),
    ends(
        "C50 one more in fragments",
        fragments(BINARY, bytes(MESSAGE_SIZE), b"x"),
        1009,
        8 + MESSAGE_SIZE + 6,
    ),
    delivers(
        "C50 exactly the limit in fragments",
        fragments(BINARY, bytes(MESSAGE_SIZE - 1), b"\0", b""),
        bytes(MESSAGE_SIZE),
    ),
    ends("C51 ping of 126 bytes", from_client(PING, bytes(126)), 1002, 2),
    ends("C51 close of 126 bytes", from_client(CLOSE, bytes(126)), 1002, 2),
    ends("C51 pong of 900 KB", b"\x8a\xff" + (900_000).to_bytes(8, "big"), 1002, 2),
    Row("C51 ping of 125 bytes", Case(from_client(PING, bytes(125)))),
    ends("C52 fragmented ping", b"\x09\x85" + MASK, 1002, 1),
    ends("C52 fragmented close", b"\x08\x80", 1002, 1),
    delivers("C53 pings between", fragments(TEXT, b"a", b"b", b"c", between=PINGED), "abc"),
    delivers("C53 pongs between", fragments(TEXT, b"a", b"b", between=from_client(PONG)), "ab"),
    ends("C54 close between", fragments(TEXT, b"a", b"b", between=CLOSED), 1000, 7 + len(CLOSED)),
    ends("C55 continuation alone", from_client(CONTINUATION), 1002, 1),
    ends("C55 continuation alone, not the last", from_client(CONTINUATION, fin=False), 1002, 1),
    Row("C55 continuation behind a message", Case(HI + fragments(0, b"a")), ("hi",), 1002, 9),
    ends("C55 text inside", from_client(TEXT, b"a", fin=False) + HI, 1002, 8),
    ends("C55 binary inside", from_client(BINARY, fin=False) + from_client(BINARY), 1002, 7),
    ends("C56 close of one byte", from_client(CLOSE, b"\x03"), 1002, 2),
    *(
        ends(f"C57 close {code}", from_client(CLOSE, close_payload(code)), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    *(
        ends(f"C58 close {code}", from_client(CLOSE, close_payload(code)), code)
        for code in (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999)
    ),
    ends("C58 close without code", from_client(CLOSE), EMPTY_CLOSE),
    ends("C58 close with a reason", CLOSED, 1000),
    ends("C58 reason of 123 bytes", from_client(CLOSE, close_payload(1000, "x" * 123)), 1000),
    *(
        ends(f"C59 reason {reason.hex(' ')}", from_client(CLOSE, b"\x03\xe8" + reason), 1007)
        for reason in (b"\xff", b"\xed\xa0\x80", b"\xe2\x82", b"ok\xc0\xaf")
    ),
    ends("C59 wrong code and reason", from_client(CLOSE, b"\x03\xe7\xff"), 1002),
    ends("C64 frames behind a close", CLOSED + HI * 50 + PINGED + CLOSED, 1000, len(CLOSED)),
    ends("C64 junk behind a close", CLOSED + b"\xff" * 500, 1000, len(CLOSED)),
    ends("C64 frames behind a violation", b"\xf1" + HI * 50 + CLOSED, 1002, 1),
    delivers("empty messages", from_client(TEXT) + from_client(BINARY), "", b""),
    delivers("empty fragments", fragments(TEXT, b"", b"", b"a", b"", b""), "a"),
    Row("nothing", Case(b"")),
    Row("half a header", Case(b"\x81")),
    Row("half a mask", Case(HI[:4])),
    Row("half a payload", Case(HI[:-1])),
]

#: Bytes that are not UTF-8, and how many of them show it; None: that they end does.
NOT_UTF8: list[tuple[bytes, int | None]] = [
    (b"\x80", 1),
    (b"\xbf", 1),
    (b"\xc0\xaf", 1),
    (b"\xc1\xbf", 1),
    (b"\xc2\x41", 2),
    (b"\xe0\x80\x80", 2),
    (b"\xe0\x9f\xbf", 2),
    (b"\xe2\x28\xa1", 2),
    (b"\xe2\x82\x28", 3),
    (b"\xed\xa0\x80", 2),
    (b"\xed\xbf\xbf", 2),
    (b"\xf0\x80\x80\x80", 2),
    (b"\xf0\x8f\xbf\xbf", 2),
    (b"\xf0\x9f\x98\x28", 4),
    (b"\xf4\x90\x80\x80", 2),
    (b"\xf5\x80\x80\x80", 1),
    (b"\xf8\x88\x80\x80\x80", 1),
    (b"\xfe", 1),
    (b"\xff", 1),
    (b"\xc3", None),
    (b"\xe2\x82", None),
    (b"\xed", None),
    (b"\xf0\x9f\x98", None),
]
IS_UTF8 = ["\x00", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff"]
IS_UTF8 += ["\U00010000", "\U0010ffff", "\ufeff", "a\u0300", "😀"]

TEXTS = [
    *(delivers(f"text {text!a}", from_client(TEXT, text.encode()), text) for text in IS_UTF8),
    *(
        delivers(
            f"C63 {text!a} byte by byte",
            fragments(TEXT, *(bytes([byte]) for byte in text.encode()), b"", between=PINGED),
            text,
        )
        for text in IS_UTF8
    ),
    *(
        ends(
            f"C61 {data.hex(' ')}",
            from_client(TEXT, b"ok " + data + (b"" if shown is None else b" more")),
            1007,
            None if shown is None else 9 + shown,
        )
        for data, shown in NOT_UTF8
    ),
    *(
        ends(
            f"C62 {data.hex(' ')} in the first fragment",
            from_client(TEXT, b"ok " + data, fin=False),
            1007,
            9 + shown,
        )
        for data, shown in NOT_UTF8
        if shown is not None
    ),
    *(
        ends(
            f"C62 {data.hex(' ')} byte by byte",
            fragments(TEXT, *(bytes([byte]) for byte in data), b"more"),
            1007,
            7 * shown,
        )
        for data, shown in NOT_UTF8
        if shown is not None
    ),
    *(
        ends(
            f"C62 {data.hex(' ')} and then the end",
            fragments(TEXT, data, b""),
            1007,
        )
        for data, shown in NOT_UTF8
        if shown is None
    ),
    ends("C61 to a client", frame_bytes(TEXT, b"\xff"), 1007, is_server=False),
    delivers("binary is not text", from_client(BINARY, b"\xff\xc0"), b"\xff\xc0"),
    Row("text behind a text", Case(HI + from_client(TEXT, b"\xff")), ("hi",), 1007, 15),
]

HELLO = deflated(b"Hello")


def compressed(data: bytes, opcode: int = BINARY) -> bytes:
    return from_client(opcode, data, rsv=4)


def with_takeover() -> bytes:
    """Return messages each of which refers to those before it."""
    # RFC 7692 section 7.2.3.2: the second Hello is a reference to the first.
    return compressed(bytes.fromhex("f248cdc9c90700")) + compressed(bytes.fromhex("f200110000"))


DEFLATE = [
    delivers("7692 7.2.3.1 one block", compressed(HELLO, TEXT), "Hello", deflate=True),
    delivers("7692 7.2.3.2 takeover", with_takeover(), b"Hello", b"Hello", deflate=True),
    delivers(
        "7692 7.2.3.3 a stored block",
        compressed(bytes.fromhex("000500faff48656c6c6f00")),
        b"Hello",
        deflate=True,
    ),
    delivers(
        "7692 7.2.3.4 a final block",
        compressed(bytes.fromhex("f348cdc9c9070000")),
        b"Hello",
        deflate=True,
    ),
    delivers(
        "7692 7.2.3.5 two blocks",
        compressed(bytes.fromhex("f248050000 00ffffcac9c90700")),
        b"Hello",
        deflate=True,
    ),
    delivers("D72 empty message", compressed(b"\x00"), b"", deflate=True),
    delivers("D72 empty payload", compressed(b""), b"", deflate=True),
    delivers("D72 empty payload of a text", compressed(b"", TEXT), "", deflate=True),
    delivers("not compressed", from_client(BINARY, b"Hello"), b"Hello", deflate=True),
    delivers(
        "fragments",
        fragments(TEXT, HELLO[:1], b"", HELLO[1:4], HELLO[4:], b"", rsv=4),
        "Hello",
        deflate=True,
    ),
    delivers(
        "fragments and a ping",
        fragments(TEXT, HELLO[:3], HELLO[3:], between=PINGED, rsv=4),
        "Hello",
        deflate=True,
    ),
    delivers(
        "compressed and not",
        compressed(HELLO) + HI + compressed(HELLO),
        b"Hello",
        "hi",
        b"Hello",
        deflate=True,
    ),
    ends("D70 RSV1 on a ping", from_client(PING, b"p", rsv=4), 1002, 1, deflate=True),
    ends("D70 RSV1 on a close", from_client(CLOSE, rsv=4), 1002, 1, deflate=True),
    ends(
        "D70 RSV1 on a continuation",
        from_client(BINARY, HELLO[:3], rsv=4, fin=False)
        + from_client(CONTINUATION, HELLO[3:], rsv=4),
        1002,
        10,
        deflate=True,
    ),
    ends(
        "D70 RSV1 on a continuation of a plain message",
        from_client(BINARY, b"a", fin=False) + from_client(CONTINUATION, b"b", rsv=4),
        1002,
        8,
        deflate=True,
    ),
    ends("D71 no DEFLATE", compressed(b"\xff\xff\xff"), 1007, 7, deflate=True),
    ends("D71 refers to nothing", compressed(bytes.fromhex("f200110000")), 1007, 9, deflate=True),
    ends("D71 ends inside a block", compressed(HELLO[:3]), 1007, deflate=True),
    ends("C61 compressed", compressed(deflated(b"\xff"), TEXT), 1007, 8, deflate=True),
    delivers(
        "D68 exactly the limit",
        compressed(deflated(bytes(MESSAGE_SIZE))),
        bytes(MESSAGE_SIZE),
        deflate=True,
    ),
    Row(
        "D76 takeover where none was agreed",
        Case(with_takeover(), deflate=True, takeover=False),
        (b"Hello",),
        1007,
        None,
    ),
]

TABLE = [*FRAMES, *TEXTS, *DEFLATE]

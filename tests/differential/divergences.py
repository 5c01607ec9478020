"""Where another implementation may differ from ours, and why: the whole list.

Each `Divergence` has the predicate that recognizes it, which looks at what comes before as well:
all that both did up to that place has to be the same.  `example` is a stream that shows it.
A difference that no entry explains fails the test that finds it.

"Section" is of RFC 6455, unless it is told to be of RFC 7692.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .outcome import MESSAGE_SIZE, NEVER, Case, Head, Outcome
from .spelling import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close_payload,
    deflated,
    from_client,
    from_server,
)

__all__ = ["DIVERGENCES", "Divergence", "Peer", "explain"]

Peer = Literal["websockets", "wsproto"]
Predicate = Callable[[Case, Outcome, Outcome], bool]

#: Where a peer gives up, and with which code.
Place = tuple[int, int]


@dataclass(frozen=True)
class Divergence:
    """One way in which `peer` may differ; `explains(case, ours, theirs)` recognizes it."""

    name: str
    peer: Peer
    reason: str
    example: Case
    explains: Predicate


DIVERGENCES: list[Divergence] = []


def divergence(peer: Peer, name: str, reason: str, example: Case) -> Callable[[Predicate], None]:
    """Return a decorator that puts a predicate on the list."""

    def add(predicate: Predicate) -> None:
        DIVERGENCES.append(Divergence(name, peer, reason, example, predicate))

    return add


def explain(peer: Peer, case: Case, ours: Outcome, theirs: Outcome) -> list[str]:
    """Return the names of the divergences that explain this difference."""
    return [
        one.name for one in DIVERGENCES if one.peer == peer and one.explains(case, ours, theirs)
    ]


# ---- what predicates are made of ---------------------------------------------------------------


def begins(shorter: Outcome, longer: Outcome) -> bool:
    """Whether `longer` went on from where `shorter` was."""
    return (
        longer.messages[: len(shorter.messages)] == shorter.messages
        and longer.pongs[: len(shorter.pongs)] == shorter.pongs
    )


def goes_on(ours: Outcome, theirs: Outcome) -> bool:
    """Whether we gave up, and the peer did the same until then and went on."""
    return (
        ours.offset is not None
        and begins(ours, theirs)
        and (theirs.offset is None or theirs.offset > ours.offset)
    )


def goes_on_or_ends(ours: Outcome, theirs: Outcome) -> bool:
    """Whether `goes_on`, or the peer gave up in the same place with another code."""
    return goes_on(ours, theirs) or (begins(ours, theirs) and theirs.offset == ours.offset)


def gives_up_first(ours: Outcome, theirs: Outcome) -> bool:
    """Whether the peer gave up, and we did the same until then and went on."""
    return (
        theirs.offset is not None
        and begins(theirs, ours)
        and (ours.offset is None or ours.offset > theirs.offset)
    )


def gives_up_at(case: Case, ours: Outcome, theirs: Outcome, *places: Place) -> bool:
    """Whether the peer did as we did, but for the place of the end, which is one of `places`.

    A place behind the end of the stream: it is waiting still.
    """
    if (ours.messages, ours.pongs) != (theirs.messages, theirs.pongs):
        return False
    expected = {place if place[1] <= len(case.stream) else (None, None) for place in places}
    return (theirs.sent, theirs.offset) in expected


def websockets_places(case: Case, head: Head) -> list[Place]:
    """Where `websockets` refuses a frame that we have refused before its payload.

    It reads two bytes, then the length, then all of the payload, then looks at the rest.
    """
    if not head.is_known or head.is_masked is not case.is_server:
        return [(1002, head.start + 2)]
    if head.length is None:
        return [(1002, NEVER)]
    encoded = case.deflate and head.is_encoded
    places = []
    room = MESSAGE_SIZE - (head.message_size if head.in_message else 0)
    if head.length > room or encoded:
        places.append((1009, head.length_end))
    if head.length <= room or encoded:
        places.append((1002, max(head.end, head.header_end)))
        if encoded:
            places.append((1009, head.end))
    return places


def wsproto_places(case: Case, head: Head) -> list[Place]:
    """Where `wsproto` refuses a frame that we have refused before its payload.

    It reads two bytes, then the length, which it looks at together with reserved bits and mask;
    the sequence of frames with the first byte of the payload.
    """
    if (
        not head.is_known
        or (head.is_control and not head.fin)
        or (head.is_control and head.form > 125)
    ):
        return [(1002, head.start + 2)]
    allowed = 4 if case.deflate and head.opcode in {1, 2} else 0
    if head.is_wasteful or head.rsv & ~allowed or head.is_masked is not case.is_server:
        return [(1002, head.length_end)]
    if head.length is not None and head.length >> 63:
        return [(1002, head.length_end)]
    if head.is_out_of_sequence:
        place = head.header_end + bool(head.length)
        # That byte is inflated first.
        return [(1002, place), (1007, place)] if case.deflate else [(1002, place)]
    return [(1002, head.end)]


def refused_by_us(case: Case, ours: Outcome, code: int) -> Head | None:
    """Return the frame in which we gave up with `code`, if we did and not for a Close frame."""
    if ours.sent != code or ours.received is not None:
        return None
    return case.head_at(ours.offset)


def is_cut_short(case: Case, ours: Outcome) -> bool:
    """Whether we refused a compressed message at its end."""
    head = refused_by_us(case, ours, 1007)
    return (
        case.deflate
        and head is not None
        and head.is_encoded
        and head.fin
        and ours.offset == max(head.end, head.header_end)
    )


def differs_behind(case: Case, place: int, ours: Outcome, theirs: Outcome) -> bool:
    """Whether all that came before `place`, where a frame begins, had the same outcome."""
    if place == NEVER or min(ours.offset or NEVER, theirs.offset or NEVER) <= place:
        return False
    before = [head for head in case.heads if head.end <= place]
    messages = sum(not head.is_control and head.fin for head in before)
    pongs = sum(head.opcode == PING for head in before)
    return (
        ours.messages[:messages] == theirs.messages[:messages]
        and ours.pongs[:pongs] == theirs.pongs[:pongs]
    )


def ends_in_surrogate(case: Case, ours: Outcome) -> bool:
    """Whether the last two bytes of text that we read are ED A0-BF, maybe in two frames."""
    text = bytearray()
    inflater = zlib.decompressobj(-15)
    for head in case.heads:
        if head.start >= (ours.offset or 0):
            break
        if head.is_control:
            continue
        if not head.in_message:
            text.clear()
            if not case.takeover:
                inflater = zlib.decompressobj(-15)
        piece = case.payload(head)[: max(0, (ours.offset or 0) - head.header_end)]
        if case.deflate and head.is_encoded:
            try:
                piece = inflater.decompress(piece)
                if head.fin and head.end <= (ours.offset or 0):
                    piece += inflater.decompress(b"\x00\x00\xff\xff")
            except zlib.error:
                return False
        text += piece
    return re.search(rb"\xed[\xa0-\xbf]\Z", text) is not None


# ---- websockets --------------------------------------------------------------------------------


@divergence(
    "websockets",
    "unknown opcode",
    "refused with byte 2; ours at byte 1, which shows it (section 5.2)",
    Case(b"\x83\x80" + bytes(4)),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or head.is_known:
        return False
    return gives_up_at(case, ours, theirs, (1002, head.start + 2))


@divergence(
    "websockets",
    "reserved bits",
    "refused when the payload is there; section 5.2 demands only that the connection is failed",
    Case(from_client(TEXT, b"hi", rsv=2)),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or not head.rsv or ours.offset != head.start + 1:
        return False
    return gives_up_at(case, ours, theirs, *websockets_places(case, head))


@divergence(
    "websockets",
    "fragmented control frame",
    "refused when the payload is there; section 5.5 shows it at byte 1",
    Case(from_client(PING, b"hi", fin=False)),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or not head.is_control or head.fin:
        return False
    return gives_up_at(case, ours, theirs, *websockets_places(case, head))


@divergence(
    "websockets",
    "frame out of sequence",
    "refused when the payload is there; section 5.4 shows it at byte 1",
    Case(from_client(CONTINUATION, b"hi")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or not head.is_out_of_sequence:
        return False
    return gives_up_at(case, ours, theirs, *websockets_places(case, head))


@divergence(
    "websockets",
    "long control frame",
    "refused when the payload is there, or with 1009 by its length; section 5.5 shows it at byte 2",
    Case(from_client(PING, bytes(126))),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or not head.is_control or head.form < 126:
        return False
    return gives_up_at(case, ours, theirs, *websockets_places(case, head))


@divergence(
    "websockets",
    "close frame of one byte",
    "refused when that byte is there; section 5.5.1 shows it at byte 2",
    Case(from_client(CLOSE, b"\x03")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or head.opcode != CLOSE or head.form != 1:
        return False
    return gives_up_at(case, ours, theirs, *websockets_places(case, head))


@divergence(
    "websockets",
    "length not in its shortest form",
    'accepted, against section 5.2: "the minimal number of bytes MUST be used"',
    Case(from_client(TEXT, b"hi", form=3)),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    return head is not None and head.is_wasteful and goes_on(ours, theirs)


@divergence(
    "websockets",
    "most significant bit of a length",
    "refused with 1009, as a large number, when the length is there; section 5.2 shows it at byte "
    "3",
    Case(b"\x82\xff\x80" + bytes(7)),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or head.form != 127 or ours.offset != head.start + 3:
        return False
    return gives_up_at(case, ours, theirs, (1009, head.length_end))


@divergence(
    "websockets",
    "text that is not UTF-8",
    "its connections decode a text when the message is whole; section 8.1 does not say when",
    Case(from_client(TEXT, b"\xc0\xaf and more")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1007)
    if head is None or not head.is_text or theirs.messages != ours.messages:
        return False
    return goes_on(ours, theirs)


@divergence(
    "websockets",
    "close frame inside a fragmented message",
    "refused with 1002; section 5.4: control frames MAY be injected there, a Close frame is one",
    Case(from_client(TEXT, b"a", fin=False) + from_client(CLOSE, close_payload(1000))),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = case.head_at(ours.offset)
    if ours.received is None or head is None or not head.in_message:
        return False
    return theirs.received == ours.received and gives_up_at(case, ours, theirs, (1002, head.end))


@divergence(
    "websockets",
    "control frame counted against the message",
    "refused with 1009 where the message has less room than the control frame has bytes; section "
    "10.4 lets an implementation set limits",
    Case(from_client(BINARY, bytes(MESSAGE_SIZE), fin=False) + from_client(PING, b"hi")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = case.head_at(theirs.offset)
    if theirs.sent != 1009 or head is None or not head.is_control or not head.in_message:
        return False
    return theirs.offset == head.length_end and gives_up_first(ours, theirs)


@divergence(
    "websockets",
    "size told before the mask",
    "refused with the length, 4 bytes before ours, which waits for the mask; section 10.4 does not "
    "say where",
    Case(from_client(BINARY, bytes(MESSAGE_SIZE + 1))),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = case.head_at(theirs.offset)
    if theirs.sent != 1009 or head is None or not head.is_masked or head.is_control:
        return False
    if theirs.offset != head.length_end or head.length is None:
        return False
    has_room = head.message_size + head.length <= MESSAGE_SIZE
    if has_room or not begins(theirs, ours) or theirs.messages != ours.messages:
        return False
    expected = (1009, head.header_end) if head.header_end <= len(case.stream) else (None, None)
    return (ours.sent, ours.offset) == expected


@divergence(
    "websockets",
    "data that does not inflate",
    "refused with 1002 when the frame is whole; RFC 7692 names no code, 1007 is for data that is "
    "not consistent with its type (section 7.4.1)",
    Case(from_client(BINARY, b"\xff\xff\xff", rsv=4), deflate=True),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1007)
    if not case.deflate or head is None or not head.is_encoded:
        return False
    return gives_up_at(
        case, ours, theirs, *((code, head.end) for code in (1002, 1009)), (1009, head.length_end)
    )


#: A stored block of 10 bytes that ends after 5: the 4 bytes of RFC 7692 section 7.2.2 go into it.
CUT_SHORT = b"\x00\x0a\x00\xf5\xff" + b"abcde"


@divergence(
    "websockets",
    "compressed message cut short",
    "delivered as far as it goes; RFC 7692 section 7.2.2 has the receiver inflate it all",
    Case(from_client(BINARY, CUT_SHORT, rsv=4), deflate=True),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return is_cut_short(case, ours) and goes_on(ours, theirs)


@divergence(
    "websockets",
    "compressed message without payload",
    "the 4 octets of RFC 7692 section 7.2.2 are read as the beginning of a block, which spoils the "
    "messages to come; section 7.2.3.6 has a sender write one octet, so we take it for one",
    Case(from_client(BINARY, rsv=4) + from_client(BINARY, deflated(b"hello"), rsv=4), deflate=True),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return differs_behind(case, case.first_empty_message, ours, theirs)


@divergence(
    "websockets",
    "final block",
    "what follows a block with BFINAL=1 is dropped, in all messages to come; RFC 7692 section "
    "7.2.3.4 has such a block followed by others",
    Case(
        from_client(BINARY, deflated(b"first", final=True) + b"\x00", rsv=4)
        + from_client(BINARY, deflated(b"second"), rsv=4),
        deflate=True,
    ),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return differs_behind(case, case.first_final_block, ours, theirs)


#: They go behind the end of a compressed message, and change nothing.
EMPTY_BLOCKS = b"\x00\x00\xff\xff\x00\x00\x00\xff\xff\x00"


@divergence(
    "websockets",
    "inflated size",
    "refused when the frame is whole; section 10.4 lets an implementation set limits",
    Case(
        from_client(BINARY, deflated(bytes(MESSAGE_SIZE + 1)) + EMPTY_BLOCKS, rsv=4),
        deflate=True,
    ),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1009)
    if not case.deflate or head is None or not head.is_encoded:
        return False
    # What zlib holds back of one frame shows with a later one.
    if gives_up_at(case, ours, theirs, (1009, head.length_end)):
        return True
    return (
        goes_on_or_ends(ours, theirs)
        and theirs.messages == ours.messages
        and theirs.sent in {None, 1002, 1009}
    )


@divergence(
    "websockets",
    "wire size of a compressed frame",
    "refused by the limit of the message, though it inflates to less; section 10.4",
    Case(from_client(BINARY, deflated(bytes(10), stored=MESSAGE_SIZE), rsv=4), deflate=True),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = case.head_at(theirs.offset)
    if not case.deflate or theirs.sent != 1009 or head is None or not head.is_encoded:
        return False
    return theirs.offset == head.length_end and gives_up_first(ours, theirs)


MANY = from_client(BINARY, fin=False) + from_client(CONTINUATION, fin=False) * 70


@divergence(
    "websockets",
    "number of fragments",
    "without limit; section 10.4 lets an implementation set limits",
    Case(MANY),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return ours.sent == 1008 and ours.received is None and goes_on(ours, theirs)


@divergence(
    "websockets",
    "wrong close code with a wrong reason",
    "the reason is judged first, 1007; section 7.1.7 leaves the choice",
    Case(from_client(CLOSE, b"\x03\xe7\xff")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or head.opcode != CLOSE or ours.offset != head.end:
        return False
    return gives_up_at(case, ours, theirs, (1007, head.end))


# ---- wsproto -----------------------------------------------------------------------------------


@divergence(
    "wsproto",
    "first byte",
    "an unknown opcode and a fragmented control frame are refused with byte 2 (sections 5.2, 5.5)",
    Case(b"\x09\x80"),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or (head.is_known and (head.fin or not head.is_control)):
        return False
    return gives_up_at(case, ours, theirs, (1002, head.start + 2))


@divergence(
    "wsproto",
    "reserved bits",
    "refused with the length; section 5.2 shows it at byte 1",
    Case(from_client(TEXT, b"hi", rsv=4)),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or not head.rsv or ours.offset != head.start + 1:
        return False
    return gives_up_at(case, ours, theirs, *wsproto_places(case, head))


@divergence(
    "wsproto",
    "mask",
    "a frame that is masked, or is not, is refused with its length; section 5.1 shows it at byte 2",
    Case(from_server(BINARY, bytes(126))),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or head.is_masked is case.is_server or ours.offset != head.start + 2:
        return False
    return gives_up_at(case, ours, theirs, *wsproto_places(case, head))


@divergence(
    "wsproto",
    "length",
    "judged when all of its 8 bytes are there; section 5.2 shows it at the first or the sixth",
    Case(from_client(BINARY, b"hi", form=9)),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or head.form != 127 or ours.offset not in {head.start + 3, head.start + 8}:
        return False
    return gives_up_at(case, ours, theirs, (1002, head.length_end))


@divergence(
    "wsproto",
    "frame out of sequence",
    "refused with the first byte of its payload; section 5.4 shows it at byte 1",
    Case(from_client(CONTINUATION, b"hi")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or not head.is_out_of_sequence:
        return False
    return gives_up_at(case, ours, theirs, *wsproto_places(case, head))


@divergence(
    "wsproto",
    "close frame of one byte",
    "refused when that byte is there; section 5.5.1 shows it at byte 2",
    Case(from_client(CLOSE, b"\x03")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1002)
    if head is None or head.opcode != CLOSE or head.form != 1:
        return False
    return gives_up_at(case, ours, theirs, *wsproto_places(case, head))


@divergence(
    "wsproto",
    "close code 1014",
    "refused; section 7.4.2 leaves 1000-2999 to a registry, which has 1014 (bad gateway)",
    Case(from_client(CLOSE, close_payload(1014))),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = case.head_at(ours.offset)
    if head is None or head.opcode != CLOSE or ours.sent not in {1014, 1007}:
        return False
    is_it = case.payload(head)[:2] == close_payload(1014)
    return is_it and gives_up_at(case, ours, theirs, (1002, head.end))


@divergence(
    "wsproto",
    "message size",
    "without limit; section 10.4 lets an implementation set limits",
    Case(from_client(BINARY, bytes(MESSAGE_SIZE + 1))),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return ours.sent == 1009 and ours.received is None and goes_on(ours, theirs)


@divergence(
    "wsproto",
    "number of fragments",
    "without limit; section 10.4 lets an implementation set limits",
    Case(MANY),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return ours.sent == 1008 and ours.received is None and goes_on(ours, theirs)


@divergence(
    "wsproto",
    "surrogate",
    "ED A0-BF is refused with the byte behind it; section 8.1 (RFC 3629) shows it before",
    Case(from_client(TEXT, b"\xed\xa0\x80")),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    head = refused_by_us(case, ours, 1007)
    if head is None or not head.is_text or ours.messages != theirs.messages:
        return False
    return ends_in_surrogate(case, ours) and goes_on(ours, theirs)


@divergence(
    "wsproto",
    "control frame inside a compressed message",
    "what follows it is taken for uncompressed, against section 5.4",
    Case(
        from_client(BINARY, deflated(b"message")[:3], rsv=4, fin=False)
        + from_client(PING)
        + from_client(CONTINUATION, deflated(b"message")[3:]),
        deflate=True,
    ),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return differs_behind(case, case.first_control_in_encoded, ours, theirs)


@divergence(
    "wsproto",
    "compressed message without payload",
    "the 4 octets of RFC 7692 section 7.2.2 are read as the beginning of a block, which spoils the "
    "messages to come; section 7.2.3.6 has a sender write one octet, so we take it for one",
    Case(from_client(BINARY, rsv=4) + from_client(BINARY, deflated(b"hello"), rsv=4), deflate=True),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return differs_behind(case, case.first_empty_message, ours, theirs)


@divergence(
    "wsproto",
    "final block",
    "what follows a block with BFINAL=1 is dropped, in all messages to come; RFC 7692 section "
    "7.2.3.4 has such a block followed by others",
    Case(
        from_client(BINARY, deflated(b"first", final=True) + b"\x00", rsv=4)
        + from_client(BINARY, deflated(b"second"), rsv=4),
        deflate=True,
    ),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return differs_behind(case, case.first_final_block, ours, theirs)


@divergence(
    "wsproto",
    "compressed message cut short",
    "delivered as far as it goes; RFC 7692 section 7.2.2 has the receiver inflate it all",
    Case(from_client(BINARY, CUT_SHORT, rsv=4), deflate=True),
)
def _(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    return is_cut_short(case, ours) and goes_on(ours, theirs)

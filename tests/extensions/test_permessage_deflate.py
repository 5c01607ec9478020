"""`PerMessageDeflate`: both halves together, over any cut and any sequence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import InvalidPayload
from trio_wsendpoint.extensions import Deflate, DeflateStatistics, PerMessageDeflate

from .helpers import cut, decode, each_engine, engines, made, negotiate, repeatable


def test_rsv_and_threshold():
    extension = made(threshold=128)
    assert extension.rsv == 0b100
    assert not extension.wants("text", 127)
    assert extension.wants("text", 128)
    assert extension.wants("binary", 1 << 30)
    assert made(threshold=0).wants("text", 0)


def test_repr():
    assert repr(made(window_bits=11)).startswith("PerMessageDeflate(Deflate(level=6, window_bits=1")


@each_engine
def test_statistics(engine):
    ours, theirs = made(engine=engine), made(engine=engine)
    assert ours.statistics == DeflateStatistics(
        sent_plain=0, sent_compressed=0, received_compressed=0, received_plain=0
    )
    wire = ours.encode(b"Hello" * 100, final=True)
    assert decode(theirs, wire) == b"Hello" * 100
    assert ours.statistics.sent_plain == theirs.statistics.received_plain == 500
    assert ours.statistics.sent_compressed == theirs.statistics.received_compressed == len(wire)
    assert ours.statistics.received_plain == theirs.statistics.sent_plain == 0


def test_directions_do_not_meet():
    extension = made()
    first = extension.encode(b"Hello", final=False)
    assert decode(extension, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    with pytest.raises(InvalidPayload):
        decode(extension, b"\xff\xff")
    # What the peer does wrong does not stop us from ending our message.
    wire = first + extension.encode(b"", final=True)
    assert decode(made(), wire) == b"Hello"


def test_abandoned():
    ours, theirs = made(), made()
    decode(theirs, ours.encode(b"Hello", final=True))
    ours.encode(b"this never leaves", final=False)
    ours.abandon()
    assert decode(theirs, ours.encode(b"this leaves", final=True)) == b"this leaves"


groups = st.builds(
    Deflate,
    level=st.integers(1, 9),
    window_bits=st.integers(9, 15),
    memory_level=st.integers(1, 9),
    context_takeover=st.booleans(),
    peer_window_bits=st.integers(9, 15),
    peer_context_takeover=st.booleans(),
    engine=engines,
)
# Repetitions, near and far, and noise.
payloads = st.builds(
    lambda octets, times, noise: octets * times + noise + octets,
    st.binary(max_size=40),
    st.sampled_from([1, 2, 50, 2000]),
    st.binary(max_size=600),
)
places = st.lists(st.integers(0, 1 << 20), max_size=5)
steps = st.tuples(
    st.booleans(),  # who sends
    payloads,
    places,  # where the sender cuts it
    places,  # where the wire is cut
    st.sampled_from(["", "sender", "receiver"]),  # who releases, afterwards
    st.booleans(),  # whether each piece is flushed
)


@given(groups, groups, st.lists(steps, max_size=6))
@repeatable
def test_round_trips(client, server, conversation):
    ends = negotiate(client, server)
    for number, payload, sender_cuts, wire_cuts, releasing, flush in conversation:
        send(ends[number], ends[not number], payload, sender_cuts, wire_cuts, flush=flush)
        if releasing:
            ends[number if releasing == "sender" else not number].release()


def send(
    sender: PerMessageDeflate,
    receiver: PerMessageDeflate,
    payload: bytes,
    sender_cuts: list[int],
    wire_cuts: list[int],
    *,
    flush: bool,
) -> None:
    pieces = cut(payload, sender_cuts)
    wire = b""
    for number, piece in enumerate(pieces, 1):
        wire += sender.encode(piece, final=number == len(pieces), flush=flush)
        sender.release()
    assert wire
    assert decode(receiver, *cut(wire, wire_cuts)) == payload


@given(engines, st.lists(st.booleans(), max_size=30))
@repeatable
def test_empty_messages_among_others(engine, empties):
    ours, theirs = made(engine=engine), made(engine=engine)
    for empty in empties:
        payload = b"" if empty else b"Hello"
        wire = ours.encode(payload, final=True)
        assert (wire == b"\x00") == empty
        assert decode(theirs, wire) == payload


@given(engines, st.binary(max_size=100), places)
@repeatable
def test_whatever_comes(engine, wire, cuts):
    extension = made(engine=engine)
    try:
        decode(extension, *cut(wire, cuts))
    except InvalidPayload:
        assert extension.statistics.received_compressed <= len(wire)

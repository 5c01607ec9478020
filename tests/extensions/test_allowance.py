"""`Allowance`: what one peer's compressed messages may cost."""

from __future__ import annotations

import random
import zlib

import pytest

from trio_wsendpoint.errors import PolicyViolation
from trio_wsendpoint.extensions import Deflate, allowance
from trio_wsendpoint.extensions.allowance import BLOCK, END, SAVED, Allowance
from trio_wsendpoint.extensions.engine import load_engine
from trio_wsendpoint.extensions.inflater import Inflater

from .helpers import cut, decode, each_engine, made

MIB = 1024 * 1024


def compressed(data: bytes, level: int = 9) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def final_blocks(count: int) -> bytes:
    return b"\x03\x00" * count + b"\x00"


ZEROS = compressed(bytes(MIB))  # 1 KiB


def inflater(ratio: int | None = 200, engine: str = "zlib") -> Inflater:
    return Inflater(
        load_engine(engine),  # type: ignore[arg-type]
        window_bits=15,
        context_takeover=True,
        max_ratio=ratio,
    )


def taken(tested: Inflater, *wires: bytes, most: int = 100) -> int:
    """Return how many of the messages, sent in turn, `most` in all, are not refused."""
    for number in range(most):
        try:
            decode(tested, wires[number % len(wires)])
        except PolicyViolation:
            return number
    return most


# ---- the account -------------------------------------------------------------------------------


def test_what_is_saved_can_be_spent_once():
    account = Allowance(10)
    account.spend(SAVED, stream_ends=False)
    assert account.settle(0, ends=True)
    account.spend(1, stream_ends=False)
    assert not account.settle(0, ends=True)


def test_input_earns_as_much_as_it_may_inflate_to():
    account = Allowance(10)
    for _ in range(1000):
        account.spend(10 * BLOCK, stream_ends=False)
        assert account.settle(BLOCK, ends=False)
    account.spend(SAVED + 10 * BLOCK, stream_ends=False)
    assert account.settle(BLOCK, ends=False)
    account.spend(10 * BLOCK + 1, stream_ends=False)
    assert not account.settle(BLOCK, ends=False)


def test_no_more_is_saved_than_a_rest_would_save():
    account = Allowance(10)
    assert account.settle(MIB, ends=True)
    account.renew(1000)
    account.spend(SAVED + 1, stream_ends=False)
    assert not account.settle(0, ends=True)


@pytest.mark.parametrize(("seconds", "worth"), [(0, 0), (0.25, SAVED // 4), (1.0, SAVED)])
def test_time_renews(seconds, worth):
    account = Allowance(10)
    account.spend(SAVED, stream_ends=False)
    assert account.settle(0, ends=True)
    account.renew(seconds)
    account.spend(worth, stream_ends=False)
    assert account.settle(0, ends=True)
    account.spend(1, stream_ends=False)
    assert not account.settle(0, ends=True)


def test_the_first_stream_that_ends_in_a_message_is_free():
    account = Allowance(10)
    for _ in range(2 * SAVED // END):
        account.spend(0, stream_ends=True)
        assert account.settle(0, ends=True)
    account.spend(SAVED - END, stream_ends=False)
    account.spend(0, stream_ends=True)
    account.spend(0, stream_ends=True)
    assert account.settle(0, ends=False)
    account.spend(0, stream_ends=True)
    assert not account.settle(0, ends=True)


# ---- messages ----------------------------------------------------------------------------------


@each_engine
def test_messages_that_inflate_a_thousand_times(engine):
    tested = inflater(engine=engine)
    assert taken(tested, ZEROS) == 19  # each spends four fifths of what it is


@each_engine
def test_the_refusal_names_the_limit_and_nothing_follows(engine):
    tested = inflater(77, engine=engine)
    with pytest.raises(PolicyViolation) as caught:
        decode(tested, compressed(bytes(30 * MIB)))
    assert str(caught.value) == (
        "compressed messages that inflate more than 77 times: Deflate.max_ratio is the limit"
    )
    assert caught.value.close_code == 1008
    for call in (lambda: tested.read(1), lambda: tested.feed(b"", final=True)):
        with pytest.raises(PolicyViolation, match=r"77 times: Deflate\.max_ratio"):
            call()


@each_engine
def test_final_blocks_are_paid_for(engine):
    wire = final_blocks(10_000)
    assert taken(inflater(engine=engine), wire) == 2
    assert taken(inflater(None, engine=engine), wire, most=5) == 5


@each_engine
def test_a_large_message_is_refused_before_it_is_whole(engine):
    tested = inflater(engine=engine)
    wire = compressed(bytes(100 * MIB))
    with pytest.raises(PolicyViolation):
        decode(tested, wire)
    assert SAVED < tested.bytes_out < SAVED + 2 * BLOCK * 1032


@each_engine
@pytest.mark.parametrize("seed", range(20))
def test_the_answer_does_not_depend_on_the_pieces(engine, seed, monkeypatch):
    """The same byte of the peer's is refused, however a network cuts it."""
    monkeypatch.setattr(allowance, "SAVED", 128 * 1024)
    rng = random.Random(seed)
    data = b"".join(
        bytes(rng.randrange(200_000)) + rng.randbytes(rng.randrange(30_000)) for _ in range(5)
    )
    wire = compressed(data, level=rng.randrange(1, 10))
    outcomes: set[tuple[int, int]] = set()
    for pieces in (1, 2, 5, 50, 1000):
        tested = inflater(5, engine=engine)
        size = rng.choice([100, 1000, 65536])
        accepted = 0
        try:
            for message in range(10):
                accepted = message
                places = [rng.randrange(len(wire)) for _ in range(pieces - 1)]
                assert len(decode(tested, *cut(wire, places), size=size)) == len(data)
        except PolicyViolation:
            pass
        outcomes.add((accepted, tested.bytes_out))
    assert len(outcomes) == 1
    assert max(outcomes) < (9, 9 * len(data))


@pytest.mark.parametrize("ratio", [None, 1100])
def test_no_bound(ratio):
    assert taken(inflater(ratio), ZEROS) == 100


def records(count: int) -> bytes:
    return b"".join(b'{"id": %d, "status": "ok", "load": 0.0},\n' % n for n in range(count))


#: What honest peers send, by name: messages, which are sent in turn.
HONEST = {
    "a table of JSON": [compressed(records(20_000))],
    "a snapshot that changes little": [compressed(records(250) * 80)],
    "what does not compress": [compressed(random.Random(1).randbytes(100_000))],
    "each message ends its stream": [b"\x4b\x04\x00\x00"],
    "empty messages": [b"\x00", b"", b"\x03\x00\x00"],
    "flushes without data": [b"\x00\x00\x00\xff\xff" * 1000 + b"\x00"],
}


@each_engine
@pytest.mark.parametrize("wires", HONEST.values(), ids=HONEST)
def test_honest_traffic_is_not_refused(engine, wires):
    assert taken(inflater(engine=engine), *wires, most=200) == 200


@each_engine
def test_rare_blank_messages_among_others(engine):
    """Zeros in every fiftieth message: what they overspend, the others and time have saved."""
    wires = [compressed(records(2000))] * 49 + [ZEROS]
    assert taken(inflater(engine=engine), *wires, most=2000) == 2000


def test_a_peer_that_is_slow_is_not_refused():
    extension = made()
    for _ in range(100):
        decode(extension, ZEROS)
        extension.renew(1 / 16)


def test_a_peer_that_was_silent_begins_anew():
    extension = made()
    for _ in range(5):
        for _ in range(19):
            decode(extension, ZEROS)
        extension.release()


# ---- the option --------------------------------------------------------------------------------


def test_both_sides_bound_what_they_receive():
    client, server = Deflate(max_ratio=5), Deflate(max_ratio=None)
    answer, at_server = server.accept_offer(client.offers()[0]) or pytest.fail("declined")
    at_client = client.accept_answer(answer)
    assert at_client.agreed.max_ratio == 5
    assert at_server.agreed.max_ratio is None


@pytest.mark.parametrize("value", [0, -1])
def test_too_small(value):
    with pytest.raises(ValueError, match=r"Deflate\.max_ratio must be at least 1"):
        Deflate(max_ratio=value)


@pytest.mark.parametrize("value", [True, 1.5, "200"])
def test_no_number(value):
    with pytest.raises(TypeError, match=r"Deflate\.max_ratio must be an int"):
        Deflate(max_ratio=value)


def test_no_other_option_may_be_none():
    with pytest.raises(TypeError, match=r"Deflate\.level must be an int"):
        Deflate(level=None)  # type: ignore[arg-type]

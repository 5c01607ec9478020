"""Pieces are joined as they come, and room is made for no more than what has come allows."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from trio_wsendpoint.protocol.joiner import Joiner

from .wire import MASK, scalar_xor


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("sizes", [[5], [1] * 40, [70_000, 1, 200_000, 3], [60_001] * 8])
def test_pieces_are_joined(is_last: bool, sizes: list[int]):
    joiner = Joiner(is_last=is_last)
    payload = noise(sum(sizes))
    for size in sizes:
        piece = payload[joiner.size : joiner.size + size]
        joiner.add(piece, announced=len(payload) - joiner.size - size)
        assert joiner.tail(4) == payload[: joiner.size][-4:]
    assert joiner.size == len(payload)
    assert joiner.take() == payload


def test_masked_pieces():
    joiner = Joiner(is_last=True)
    joiner.add(memoryview(scalar_xor(b"first", MASK)), MASK)
    joiner.add(b" then ")
    joiner.add(scalar_xor(b"last", MASK), MASK)
    assert joiner.take() == b"first then last"


def test_pieces_come_straight_into_the_room():
    payload = noise(700_000)
    wire = scalar_xor(payload, MASK)
    joiner = Joiner(is_last=True)
    joiner.add(wire[:60_000], MASK, announced=len(payload) - 60_000)
    reads = 0
    while joiner.size < len(payload):
        reads += 1
        room = joiner.get_room(len(payload) - joiner.size)
        assert room is not None
        with room:
            size = min(len(room) & ~3, 99_996)  # the mask stays as it is
            room[:size] = wire[joiner.size : joiner.size + size]
        joiner.fill(size, MASK)
    assert joiner.take() == payload
    assert reads < 20


def test_room_that_was_not_filled_is_not_handed_over():
    joiner = Joiner(is_last=True)
    joiner.add(bytes(65536), announced=100_000)
    room = joiner.get_room(100_000)
    assert room is not None
    with room:
        room[:9] = b"not taken"
    assert joiner.take() == bytes(65536)


@pytest.mark.parametrize("come", [1, 1000, 30_000, 60_000, 400_000])
def test_what_is_announced_is_not_believed(come: int):
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        joiner = Joiner(is_last=True)
        joiner.add(bytes(come), announced=1 << 40)
        room = joiner.get_room(1 << 40)
        assert (room is None) is (come < 60_000)
        if room is not None:
            assert len(room) < 4 * come
        assert tracemalloc.get_traced_memory()[0] - before < 6 * come + 150_000
    finally:
        tracemalloc.stop()

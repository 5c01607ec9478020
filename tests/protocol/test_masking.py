"""The XOR, against one that goes byte by byte (E113)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.protocol.coding import apply_mask, rotate_mask

from .wire import MASK, examples, scalar_xor


@pytest.mark.parametrize("mask", [MASK, bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01"])
def test_every_short_length(mask: bytes):
    data = bytes(range(256))
    for size in range(140):
        assert apply_mask(data[:size], mask) == scalar_xor(data[:size], mask)


def test_leading_and_trailing_zeros_stay():
    assert apply_mask(bytes(9), bytes(4)) == bytes(9)
    assert apply_mask(MASK * 2 + MASK[:1], MASK) == bytes(9)


def test_a_mebibyte():
    data = bytes(range(251)) * 4178  # no multiple of four, and not periodic in it
    assert apply_mask(data, MASK) == scalar_xor(data, MASK)


@examples(200)
@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_it_is_its_own_inverse(data: bytes, mask: bytes):
    masked = apply_mask(data, mask)
    assert masked == scalar_xor(data, mask)
    assert apply_mask(masked, mask) == data


@examples(200)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_rotated_mask_goes_on_where_the_first_part_ended(data: bytes, place: int):
    head, tail = data[:place], data[place:]
    whole = apply_mask(head, MASK) + apply_mask(tail, rotate_mask(MASK, len(head)))
    assert whole == scalar_xor(data, MASK)


def test_rotations():
    assert [rotate_mask(b"abcd", count) for count in (0, 1, 2, 3, 4, 5, 1 << 40)] == [
        b"abcd",
        b"bcda",
        b"cdab",
        b"dabc",
        b"abcd",
        b"bcda",
        b"abcd",
    ]

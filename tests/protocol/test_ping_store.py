"""Pings that are told apart, and pongs that are recognised."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from trio_wsendpoint.protocol import PingStore


def fixed(size: int) -> bytes:
    return bytes(range(size))


def test_payloads_are_distinct_numbered_and_8_bytes():
    store = PingStore(fixed)
    payloads = [store.add() for _ in range(1000)]
    assert len(set(payloads)) == 1000
    assert set(map(len, payloads)) == {8}
    assert [int.from_bytes(payload[:4], "big") for payload in payloads] == list(range(1, 1001))


def test_the_secret_is_drawn_with_the_first_ping_only():
    asked: list[int] = []

    def draw(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    store = PingStore(draw)
    assert not store.remove(b"")
    assert asked == []
    store.add()
    store.add()
    assert asked == [16]


def test_a_pong_clears_all_that_are_out():
    store = PingStore(fixed)
    pings = [store.add() for _ in range(3)]
    assert store.get_count() == 3
    assert store.remove(pings[1])
    assert store.get_count() == 0


def test_a_late_pong_is_recognised_and_clears_all_too():
    store = PingStore(fixed)
    first, second = store.add(), store.add()
    store.remove(second)
    store.add()
    assert store.get_count() == 1
    assert store.remove(first)
    assert store.get_count() == 0


def test_clear_counts_all_as_answered_and_keeps_them_recognised():
    store = PingStore(fixed)
    payload = store.add()
    store.clear()
    assert store.get_count() == 0
    assert store.remove(payload)


KNOWN = PingStore(fixed).add()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        KNOWN[:4],
        KNOWN[:7],
        KNOWN[4:],
        KNOWN + b"\0",
        b"\0" + KNOWN,
        KNOWN[:3] + b"\2" + KNOWN[4:],  # the next number under this one's code
        KNOWN[:7] + bytes([KNOWN[7] ^ 1]),
        bytes(8),
        KNOWN * 15,
    ],
)
def test_what_was_not_sent_is_not_recognised(payload: bytes):
    store = PingStore(fixed)
    assert not store.remove(payload)
    assert store.add() == KNOWN
    assert not store.remove(payload)
    assert store.get_count() == 1


def test_a_ping_that_was_not_seen_cannot_be_answered():
    """From all pings before it nothing of the next one's code can be told."""
    store = PingStore(fixed)
    seen = {store.add()[4:] for _ in range(1000)}
    following = store.add()
    assert following[4:] not in seen
    rng = random.Random(8)
    assert not any(store.remove(following[:4] + rng.randbytes(4)) for _ in range(1000))
    assert store.remove(following)


def test_another_stores_ping_is_not_recognised():
    other = PingStore(lambda size: b"\xff" * size)
    store = PingStore(fixed)
    store.add()
    assert not store.remove(other.add())


def test_when_the_numbers_are_used_up_another_secret_is_drawn():
    store: Any = PingStore(os.urandom)
    first = store.add()
    store._sent = store._answered = 2**32 - 1
    last = store.add()
    assert last[:4] == bytes(4)
    assert store.remove(last)
    again = store.add()
    assert again[:4] == first[:4]
    assert again != first
    assert not store.remove(first)
    assert store.remove(again)
    assert store.get_count() == 0

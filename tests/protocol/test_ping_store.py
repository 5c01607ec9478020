"""Pings that are told apart, and pongs that are recognised."""

from __future__ import annotations

import pytest

from trio_wsendpoint.protocol import PingStore


def fixed(size: int) -> bytes:
    return bytes(range(size))


def test_payloads_are_distinct_numbered_and_short():
    store = PingStore(fixed)
    assert store.add() == b"ping #1 (0001020304050607)"
    assert store.add() == b"ping #2 (0001020304050607)"
    payloads = {store.add() for _ in range(1000)}
    assert len(payloads) == 1000
    assert max(map(len, payloads)) <= 40


def test_the_secret_is_drawn_with_the_first_ping_only():
    asked: list[int] = []

    def draw(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    store = PingStore(draw)
    assert asked == []
    store.add()
    store.add()
    assert asked == [8]


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


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hello",
        b"ping",
        b"ping #",
        b"ping #1",
        b"ping #1 ()",
        b"ping #0 (0001020304050607)",
        b"ping #-1 (0001020304050607)",
        b"ping #2 (0001020304050607)",  # not sent yet
        b"ping #01 (0001020304050607)",
        b"ping #1 (0001020304050608)",
        b"ping #1 (0001020304050607) ",
        b"1 (0001020304050607)",
        b"ping #\xb2 (0001020304050607)",
        b"ping #" + b"9" * 118 + b" ",
    ],
)
def test_what_was_not_sent_is_not_recognised(payload: bytes):
    store = PingStore(fixed)
    assert not store.remove(payload)
    store.add()
    assert not store.remove(payload)
    assert store.get_count() == 1


def test_another_stores_ping_is_not_recognised():
    other = PingStore(lambda size: b"\xff" * size)
    store = PingStore(fixed)
    store.add()
    assert not store.remove(other.add())

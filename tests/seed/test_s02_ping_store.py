"""Net::WebSocket's PingStore: the pings that are out."""

from __future__ import annotations

import os

import pytest

from trio_wsendpoint import PingStore, ServerEndpoint

from .helpers import PONG, drain, fed, from_client


@pytest.fixture
def store() -> PingStore:
    return PingStore(lambda size: bytes(range(size)))


def test_add_returns_a_new_text_and_counts_it(store: PingStore):
    texts = [store.add() for _ in range(3)]
    assert len(set(texts)) == 3
    assert store.get_count() == 3


def test_remove_of_a_known_text_clears_all(store: PingStore):
    texts = [store.add() for _ in range(3)]
    assert store.remove(texts[1]) is True
    assert store.get_count() == 0


def test_remove_of_an_unknown_text_changes_nothing(store: PingStore):
    store.add()
    assert store.remove(b"\0\0\0\1") is False
    assert store.get_count() == 1


def number(text: bytes) -> int:
    # Changed: the text is 8 bytes, of which the number is the first four.
    assert len(text) == 8
    return int.from_bytes(text[:4], "big")


def test_the_text_has_a_running_number_from_1(store: PingStore):
    assert [number(store.add()) for _ in range(3)] == [1, 2, 3]


def test_the_number_goes_on_after_a_match(store: PingStore):
    # Improved: it began at 1 again, and texts were distinct by chance alone.
    store.remove(store.add())
    assert number(store.add()) == 2


def test_a_text_fits_a_control_frame_whatever_its_number():
    store = PingStore(os.urandom)
    assert max(len(store.add()) for _ in range(1000)) <= 125


def test_two_stores_have_different_texts():
    assert PingStore(os.urandom).add() != PingStore(os.urandom).add()


def test_a_late_pong_is_not_unrecognised():
    # Decision: we did send it, so the seed's PROTOCOL_ERROR for pongs that we did not is not due.
    endpoint = ServerEndpoint(unrecognized_pong="close")
    texts = [endpoint.ping() for _ in range(3)]
    drain(endpoint)
    for text in (texts[1], texts[0], texts[2]):
        fed(from_client(PONG, text), endpoint=endpoint).get_next_message()
    assert not endpoint.is_closed()
    assert drain(endpoint) == []

"""`Looks`: how often one looks in vain."""

from __future__ import annotations

from trio_wsendpoint.server.looks import DOUBT, LOOKS, Looks


class Stream:
    """Has something as often as it is told; counts how often one has looked."""

    def __init__(self) -> None:
        self.has_data = False
        self.count = 0

    def look(self) -> bool:
        self.count += 1
        return self.has_data


def test_looks_in_vain_become_rare() -> None:
    stream = Stream()
    looks = Looks(stream.look)
    assert not any(looks.try_one(is_last=False) for _ in range(LOOKS))
    assert stream.count == LOOKS
    for _ in range(3):
        before = stream.count
        assert not any(looks.try_one(is_last=False) for _ in range(DOUBT + 1))
        assert stream.count == before + 1


def test_what_is_found_ends_the_doubt() -> None:
    stream = Stream()
    looks = Looks(stream.look)
    for _ in range(LOOKS + DOUBT):
        looks.try_one(is_last=False)
    stream.has_data = True
    assert looks.try_one(is_last=False)
    stream.has_data = False
    before = stream.count
    for _ in range(LOOKS):
        looks.try_one(is_last=False)
    assert stream.count == before + LOOKS


def test_the_last_look_is_not_left_out() -> None:
    stream = Stream()
    looks = Looks(stream.look)
    for _ in range(LOOKS):
        looks.try_one(is_last=False)
    stream.has_data = True
    assert looks.try_one(is_last=True)

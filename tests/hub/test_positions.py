"""Positions: a text for clients, and what a client may send in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.hub import InvalidPosition, Position

TOPICS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)
IDS = st.lists(st.integers(0, 10**19), min_size=1, max_size=3).map(lambda n: "-".join(map(str, n)))


@given(TOPICS, st.from_regex(r"[a-zA-Z0-9_]{1,64}", fullmatch=True), IDS)
def test_its_text_is_read_back(topic: str, epoch: str, number: str) -> None:
    position = Position(topic, epoch, number)
    assert Position.parse(str(position)) == position


@given(st.text(max_size=500))
def test_any_text_is_a_position_or_an_error(text: str) -> None:
    try:
        position = Position.parse(text)
    except InvalidPosition as error:
        told = str(error)
        assert told.isascii()
    else:
        assert str(position) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "e:1", "e:1:", ":1:t", "e::t", "e:x:t", "e:-1:t", "e:1-:t", "e:1-2-3-4:t", "e f:1:t"),
        *("e:" + "9" * 21 + ":t", "e" * 65 + ":1:t", "e:1:" + "t" * 256, "e:1:\ud800"),
        "e:\u0661:t",  # a digit, but not one of ours
    ],
)
def test_no_position(text: str) -> None:
    with pytest.raises(InvalidPosition):
        Position.parse(text)


@pytest.mark.parametrize(
    ("topic", "epoch", "number"), [("", "e", "1"), ("t", "", "1"), ("t", "e", ""), ("t", "e:", "1")]
)
def test_no_parts(topic: str, epoch: str, number: str) -> None:
    with pytest.raises(InvalidPosition):
        Position(topic, epoch, number)


def test_order_is_that_of_numbers() -> None:
    nine, ten = Position("t", "e", "9-9"), Position("t", "e", "10-0")
    assert nine.is_before(ten)
    assert not ten.is_before(nine)
    assert not nine.is_before(nine)
    assert not nine.is_before(Position("t", "f", "10-0"))
    assert not nine.is_before(Position("u", "e", "10-0"))
    assert Position("t", "e", "0-0").is_origin
    assert not nine.is_origin

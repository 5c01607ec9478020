from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.hub import Publication
from trio_wsendpoint.hub.redis.wire import (
    Foreign,
    Names,
    Sent,
    floor_of,
    from_channel,
    from_fields,
    number_of,
    size_of,
    to_channel,
    to_fields,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SENT = st.builds(
    Sent,
    st.builds(Publication, st.just("news"), TEXT | st.binary(), st.none() | TEXT),
    st.just("0123abcd"),
    st.integers(1, 2**63),
)


@given(SENT)
def test_both_ways_lead_back(sent):
    assert from_fields("news", to_fields(sent)) == sent
    assert from_channel("news", to_channel(sent)) == sent


@given(SENT, st.none() | st.sampled_from(["0-0", "1732780000000-3"]))
def test_an_entry_that_was_sent_again_says_so(sent, floor):
    again = replace(sent, floor=floor)
    fields = to_fields(again)
    assert from_fields("news", fields) == sent
    assert floor_of(fields) == floor
    assert number_of(fields) == number_of(to_fields(sent)) is not None


@pytest.mark.parametrize("floor", [b"", b"-", b"1", b"1-0 ", b"(1-0", b"\xff"])
def test_a_floor_of_another_writer_is_none(floor):
    assert floor_of((b"n", b"a 1", b"t", b"", b"r", floor)) is None


@given(st.binary() | SENT.map(lambda sent: to_channel(sent)[:-1]))
def test_no_bytes_of_a_channel_raise_anything_else(data):
    try:
        from_channel("news", data)
    except Foreign:
        pass


@given(st.lists(st.binary()))
def test_no_fields_raise_anything_else(fields):
    try:
        from_fields("news", fields)
    except Foreign:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"1t name 1 -1",
        b"2t name 1 -1\nx",
        b"1t name one -1\nx",
        b"1t name 1 5\nx",
        b"1t name 1 -2\nx",
        b"1t " + b"n" * 65 + b" 1 -1\nx",
        b"1t name 1 -1\n\xff",
    ],
)
def test_what_others_publish_is_told_apart(data):
    assert from_channel("news", b"1t name 1 -1\nx").number == 1
    if data != b"1t name 1 -1":
        with pytest.raises(Foreign):
            from_channel("news", data)


@given(TEXT.filter(bool))
def test_a_key_names_its_topic(topic):
    names = Names("app:1")
    assert names.topic(names.key(topic)) == topic
    assert names.key(topic) != names.epoch


def test_the_size_is_that_of_the_bytes():
    ascii_size, wide = size_of(Publication("t", "ab")), size_of(Publication("t", "aé"))
    assert wide - ascii_size == 1
    assert size_of(Publication("t", b"ab", key="é")) - ascii_size == 2

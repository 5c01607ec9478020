"""The groups of options: what they take, what they refuse, and what they say."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
import re
import sys

import pytest

from trio_wsendpoint import Deflate, Heartbeat, Limits, ServerLimits, Timeouts
from trio_wsendpoint._words import GROUP_WORDS
from trio_wsendpoint.server.settings import ServeSettings

GROUPS = [Deflate, Heartbeat, Limits, ServerLimits, Timeouts]


def refusal_of(group, *arguments, **options):
    with pytest.raises(TypeError) as caught:
        group(*arguments, **options)
    return str(caught.value)


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "option", "expected"),
    [
        (Limits, "max_size", "Limits() has no option 'max_size': write message_size="),
        (Limits, "mesage_size", "Limits() has no option 'mesage_size': is it 'message_size'?"),
        (Timeouts, "open_timeout", "Timeouts() has no option 'open_timeout': write open="),
        (Heartbeat, "ping_interval", "is it 'interval'?"),
        (Heartbeat, "ping_timeout", "write max_pings="),
        (Deflate, "server_max_window_bits", "write window_bits= in a server"),
        (ServerLimits, "max_connections", "write connections="),
        (
            Heartbeat,
            "zzz",
            "Heartbeat() has no option 'zzz': it has interval, max_pings",
        ),
    ],
)
def test_an_unknown_option_is_told_with_what_to_write(group, option, expected):
    assert expected in refusal_of(group, **{option: 1})


def test_every_unknown_option_is_told():
    told = refusal_of(Limits, max_size=1, send_bufer=2, message_size=3)
    assert "'max_size': write message_size=; nor 'send_bufer': is it 'send_buffer'?" in told


@pytest.mark.parametrize("group", GROUPS)
def test_a_value_without_a_name_is_refused(group):
    first = dataclasses.fields(group)[0].name
    expected = f"{group.__name__}() takes keywords only: {group.__name__}({first}=...)"
    assert refusal_of(group, 65536) == expected


@pytest.mark.parametrize("group", GROUPS)
def test_a_changed_copy_is_checked_as_well(group):
    with pytest.raises(TypeError, match="has no option 'zzz'"):
        dataclasses.replace(group(), zzz=1)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_is_a_value(group):
    made = group()
    assert copy.copy(made) == copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
    assert hash(made) == hash(group())
    assert not hasattr(made, "__dict__")
    names = [field.name for field in dataclasses.fields(group)]
    assert list(inspect.signature(group).parameters) == names, "help() shows them"


def test_the_words_of_groups_name_what_there_is():
    by_name = {group.__name__: group for group in GROUPS}
    assert set(GROUP_WORDS) == set(by_name)
    for name, words in GROUP_WORDS.items():
        fields = {field.name for field in dataclasses.fields(by_name[name])}
        assert not fields & set(words), "a word that is an option"
        for advice in words.values():
            outside = re.sub(r"\w+=\w+\(.*?\)", "", advice)
            elsewhere = {field.name for field in dataclasses.fields(ServeSettings)}
            assert set(re.findall(r"(\w+)=", outside)) <= fields | elsewhere, advice


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(Limits)], ids=lambda name: name
)
def test_a_limit_is_a_count(field):
    for value in ("1", 1.5, True):
        assert (
            refusal_of(Limits, **{field: value}) == f"Limits.{field} must be an int, not {value!r}"
        )
    with pytest.raises(ValueError, match=rf"Limits\.{field} must be at least \d+, not -1"):
        Limits(**{field: -1})


def test_which_limits_may_be_none():
    optional = set()
    for field in dataclasses.fields(Limits):
        try:
            Limits(**{field.name: None})  # type: ignore[arg-type]
        except TypeError:
            continue
        optional.add(field.name)
    assert optional == {"message_size", "message_rate"}


def test_no_limit_is_more_than_any_message():
    assert Limits(message_size=None).most_in_message == sys.maxsize
    assert Limits(message_size=0).most_in_message == 0
    assert Limits().most_in_message == Limits().message_size


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Timeouts)])
def test_a_timeout_is_seconds(field):
    assert getattr(Timeouts(**{field: math.inf}), field) == math.inf
    assert f"Timeouts.{field} must be seconds, not None" == refusal_of(Timeouts, **{field: None})
    for value in (0, -1, math.nan):
        with pytest.raises(ValueError, match=rf"Timeouts\.{field} must be more than 0 s"):
            Timeouts(**{field: value})

"""The keywords are written down twice: what may be passed, and what becomes of it."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from trio_wsendpoint.client import settings as client
from trio_wsendpoint.opening import settings as opening
from trio_wsendpoint.server import settings as server

PAIRS = [
    (getattr(settings, name), getattr(settings, name.replace("Options", "Settings")))
    for settings in (opening, server, client)
    for name in settings.__all__
    if name.endswith("Options")
]

#: Those that may also hold what their text stands for.
PARSED = {"address", "proxy"}


def test_there_are_pairs():
    names = {options.__name__ for options, _ in PAIRS}
    assert names >= {"ConnectionOptions", "AcceptOptions", "ServeOptions", "ConnectOptions"}


@pytest.mark.parametrize(("options", "made"), PAIRS)
def test_the_same_fields_of_the_same_types(options, made):
    passed = typing.get_type_hints(options)
    hints = typing.get_type_hints(made)
    kept = {field.name: hints[field.name] for field in dataclasses.fields(made)}
    for name in PARSED & passed.keys():
        assert set(typing.get_args(passed[name])) < set(typing.get_args(kept[name]))
        kept[name] = passed[name]
    assert passed == kept


@pytest.mark.parametrize(("options", "made"), PAIRS)
def test_all_may_be_left_out(options, made):
    assert options.__required_keys__ == frozenset()
    complete = made()
    with pytest.raises(dataclasses.FrozenInstanceError):
        complete.limits = None


@pytest.mark.parametrize(("options", "_made"), PAIRS)
def test_each_is_documented(options, _made):
    text = "".join(base.__doc__ or "" for base, _ in PAIRS)
    for name in options.__annotations__:
        assert f"`{name}`" in text or f", `{name}`" in text, name

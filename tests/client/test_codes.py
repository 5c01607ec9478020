"""The meaning of a service's own close codes."""

from __future__ import annotations

import pytest

from trio_wsendpoint import Codes
from trio_wsendpoint.client.codes import PRESETS


def word(codes, code):
    found = codes.find(code)
    return None if found is None else found[1]


def test_a_code_and_a_range():
    codes = Codes({4000: "later", range(4100, 4200): "busy"})
    assert codes.find(4000) == ("4000", "later")
    assert codes.find(4100) == codes.find(4199) == ("4100-4199", "busy")
    assert [codes.find(code) for code in (4001, 4099, 4200, 1006)] == [None] * 4


def test_what_comes_last_goes_first():
    codes = Codes({range(4000, 5000): "later", 4004: "stop"})
    assert word(codes, 4004) == "stop"
    assert word(codes, 4005) == "later"
    joined = codes | Codes({4004: "busy"}) | Codes({range(4000, 4003): "now"})
    assert [word(joined, code) for code in (4000, 4003, 4004)] == ["now", "later", "busy"]
    # One that is there already moves to the end as well.
    again = Codes({range(4000, 5000): "stop", 4004: "busy"}) | Codes({range(4000, 5000): "later"})
    assert word(again, 4004) == "later"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("discord", {4000: "later", 4004: "stop", 4006: None, 4009: "later", 4014: "stop"}),
        ("centrifugo", {3008: "later", 3500: "stop", 4401: "later", 4500: "stop"}),
        ("pusher", {4001: "stop", 4004: "stop", 4100: "busy", 4200: "now", 4301: None}),
        ("graphql-ws", {1011: "stop", 4401: "stop", 4403: "later", 4500: "stop", 4504: "later"}),
    ],
)
def test_the_presets(service, expected):
    codes = Codes.preset(service)
    assert {code: word(codes, code) for code in expected} == expected


def test_the_services_contradict_each_other():
    words = {service: word(Codes.preset(service), 4004) for service in PRESETS}
    assert words == {
        "discord": "stop",
        "centrifugo": "later",
        "pusher": "stop",
        "graphql-ws": "stop",
    }
    assert word(Codes.preset("discord"), 4001) == "later"
    assert word(Codes.preset("pusher"), 4001) == "stop"


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        ({999: "stop"}, ValueError, "1000 to 4999, not range"),
        ({range(4990, 5001): "stop"}, ValueError, "1000 to 4999"),
        ({range(4000, 4000): "stop"}, ValueError, "1000 to 4999"),
        ({"4000": "stop"}, TypeError, "a close code or a range of them, not '4000'"),
        ({True: "stop"}, TypeError, "not True"),
        ({4000: "never"}, ValueError, "one of busy, later, now, spread, stop, not 'never'"),
    ],
)
def test_what_makes_no_sense(table, error, says):
    with pytest.raises(error, match=says):
        Codes(table)


def test_a_service_without_a_preset():
    with pytest.raises(ValueError, match="discord, centrifugo, pusher, graphql-ws, not 'slack'"):
        Codes.preset("slack")  # type: ignore[arg-type]


def test_its_repr_has_its_rows():
    assert repr(Codes({4000: "later"})) == "<Codes 4000-4000: later>"

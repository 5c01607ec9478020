import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.addressing.forwarded import parse_forwarded


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([""], []),
        ([" \t, ,"], []),
        ([";;"], []),
        (["for=1.2.3.4"], [{"for": "1.2.3.4"}]),
        (["FOR=a;Proto=HTTPS;x=y"], [{"for": "a", "proto": "HTTPS", "x": "y"}]),
        (["for=a, for=b\t,for=c"], [{"for": "a"}, {"for": "b"}, {"for": "c"}]),
        (["for=a", "for=b,"], [{"for": "a"}, {"for": "b"}]),
        ([";for=a;;host=b;"], [{"for": "a", "host": "b"}]),
        (['for="[2001:db8::1]:4711"'], [{"for": "[2001:db8::1]:4711"}]),
        (['for="a,b;c=\\"d\\\\"'], [{"for": 'a,b;c="d\\'}]),
        (['for="";host=a'], [{"for": "", "host": "a"}]),
        (['x="\xe9\t "'], [{"x": "\xe9\t "}]),
    ],
)
def test_what_it_says(values, expected):
    assert parse_forwarded(values) == expected


@pytest.mark.parametrize(
    "value",
    [
        "for",
        "for=",
        "=a",
        "for =a",
        "for= a",
        "for=a; proto=b",
        "for=a ;proto=b",
        "for=a proto=b",
        'for="a"proto=b',
        "for=2001:db8::1",
        "for=[::1]",
        "for=1.2.3.4:80",
        'for="a',
        'for="a\\',
        'for="a\x01"',
        'for=a"b"',
        "for=caf\xe9",
        'for="unfinished, for=10.0.0.1',
    ],
)
def test_what_breaks_the_grammar(value):
    with pytest.raises(ValueError, match="not an element of Forwarded"):
        parse_forwarded([value])
    with pytest.raises(ValueError, match="not an element of Forwarded"):
        parse_forwarded(["for=b", value])


def test_a_parameter_twice():
    with pytest.raises(ValueError, match="two 'for'"):
        parse_forwarded(["for=1.2.3.4;FOR=5.6.7.8"])


@given(st.text(alphabet='for=,; \\"a1.[]:\xe9', max_size=40))
def test_no_other_error_comes(value):
    try:
        elements = parse_forwarded([value])
    except ValueError:
        return
    assert all(element for element in elements)

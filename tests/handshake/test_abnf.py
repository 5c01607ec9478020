import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.abnf import (
    TOKEN,
    TooManyItems,
    format_extensions,
    is_token,
    parse_extensions,
    parse_protocols,
    parse_tokens,
)

from .fakes import check_message

PARSERS = [parse_tokens, parse_protocols, parse_extensions]

tokens = st.text(sorted(TOKEN), min_size=1, max_size=12)


def test_is_token():
    assert is_token("permessage-deflate")
    assert not is_token("")
    assert not is_token("a b")
    assert not is_token("caf\xe9")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([""], []),
        (["a"], ["a"]),
        (["a, b"], ["a", "b"]),
        ([" a\t,\tb "], ["a", "b"]),
        ([",a,, b,"], ["a", "b"]),
        (["keep-alive", "Upgrade"], ["keep-alive", "Upgrade"]),
    ],
)
def test_parse_tokens(values, expected):
    assert parse_tokens(values, limit=8) == expected


@pytest.mark.parametrize("value", ["a b", "a/b", '"a"', "a;b", "\xe9", "a\x0bb", "\xa0a", "\u0130"])
def test_not_tokens(value):
    with pytest.raises(ValueError, match="is not a token"):
        parse_tokens(["ok", value], limit=8)


def test_parse_protocols():
    assert parse_protocols(["HTTP/2.0, websocket", "h2c"], limit=3) == [
        "HTTP/2.0",
        "websocket",
        "h2c",
    ]


@pytest.mark.parametrize("value", ["/1", "a/", "a/b/c", "a b", "\xe9"])
def test_not_protocols(value):
    with pytest.raises(ValueError, match="is not a protocol"):
        parse_protocols([value], limit=3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("foo", [("foo", [])]),
        ("foo; a; b=c", [("foo", [("a", None), ("b", "c")])]),
        ("foo;a=b , bar;c", [("foo", [("a", "b")]), ("bar", [("c", None)])]),
        ('foo; a="b"', [("foo", [("a", "b")])]),
        ('foo; a="\\b\\c"', [("foo", [("a", "bc")])]),
        ("foo; a\t= b", [("foo", [("a", "b")])]),
        ("foo, foo; a", [("foo", []), ("foo", [("a", None)])]),
    ],
)
def test_parse_extensions(value, expected):
    assert parse_extensions([value], limit=8) == expected
    assert parse_extensions(["x", value], limit=9) == [("x", []), *expected]


@pytest.mark.parametrize(
    "value",
    [
        ";",
        "; a",
        "foo;",
        "foo; =b",
        "foo; a=",
        'foo; a=""',
        'foo; a="',
        'foo; a="b',
        'foo; a="b\\"',
        'foo; a="b,c"',
        'foo; a="b;c"',
        'foo; a="b c"',
        'foo; a="b"c"',
        'foo; a="\\""',
        "foo; a=b=c",
        "foo bar",
        "foo; a b",
        "f\xe9",
        "foo; a=\xe9",
    ],
)
def test_not_extensions(value):
    with pytest.raises(ValueError, match=r"is not|has a value|lacks its") as caught:
        parse_extensions([value], limit=8)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("parser", PARSERS)
def test_limit_is_exact(parser):
    assert len(parser(["a, a", "a,"], limit=3)) == 3
    with pytest.raises(TooManyItems, match="more than 3 items"):
        parser(["a, a", "a, , a"], limit=3)


def test_parameters_count_towards_the_limit():
    assert parse_extensions(["a; b; c", "d"], limit=4)
    for values in (["a; b; c", "d; e"], ["a; b; c; d; e"], ["a, b, c, d; e"]):
        with pytest.raises(TooManyItems):
            parse_extensions(values, limit=4)


#: A13.  8,000 characters to the square would be seconds.
HOSTILE = [
    "b" + " " * 8_000 + "x",
    "b" + "\t " * 4_000 + "=x",
    "b" + ";" * 8_000,
    "b;" + "c=" * 4_000,
    'b; c="' + "\\" * 8_000,
    'b; c="' + '\\"' * 4_000 + '"',
    " ," * 4_000 + "\xe9",
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_fail(parser, value):
    with pytest.raises(ValueError):  # noqa: PT011 (which one differs)
        parser([value], limit=32)


@pytest.mark.figure
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_fail_in_linear_time(parser, value):
    def once():
        start = time.perf_counter()
        with pytest.raises(ValueError):  # noqa: PT011 (which one differs)
            parser([value], limit=32)
        return time.perf_counter() - start

    assert min(once() for _ in range(3)) < 0.01


def test_no_line_behind_the_limit_is_looked_at():
    # A14: 120 lines of 4,000 tokens.
    def lines():
        yield ", ".join(["a"] * 4_000)
        raise AssertionError("the first line was over the limit")  # pragma: no cover

    for parser in PARSERS:
        with pytest.raises(TooManyItems):
            parser(lines(), limit=32)


@given(st.lists(st.text() | st.text(' \t,;="\\ab\xe9'), max_size=4), st.sampled_from(PARSERS))
def test_nothing_but_value_error(values, parser):
    try:
        parser(values, limit=8)
    except ValueError as error:
        check_message(error, 300)


@given(
    st.lists(
        st.tuples(tokens, st.lists(st.tuples(tokens, st.none() | tokens), max_size=3)), max_size=4
    )
)
def test_format_and_parse_are_inverse(extensions):
    assert parse_extensions([format_extensions(extensions)], limit=99) == extensions


@given(st.lists(tokens, max_size=8))
def test_tokens_come_back(items):
    assert parse_tokens([", ".join(items)], limit=99) == items


@pytest.mark.parametrize(
    "extension", [("", []), ("a b", []), ("a", [("b c", None)]), ("a", [("b", "c\r\nd")])]
)
def test_format_refuses_what_is_no_token(extension):
    with pytest.raises(ValueError, match="is not a token"):
        format_extensions([extension])

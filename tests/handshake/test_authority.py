import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.authority import parse_authority, parse_port

from .fakes import check_message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", ("example.com", None)),
        ("EXAMPLE.com:8080", ("example.com", 8080)),
        ("example.com:", ("example.com", None)),
        ("a..b", ("a..b", None)),
        ("xn--a", ("xn--a", None)),
        ("a" * 70, ("a" * 70, None)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]", ("::1", None)),
        ("[0:0::1]:80", ("::1", 80)),
        ("[::FFFF:1.2.3.4]:65535", ("::ffff:102:304", 65535)),
    ],
)
def test_good(text, expected):
    host, port = parse_authority(text)
    # How `ipaddress` spells a mapped IPv4 address depends on Python's version.
    assert (host.replace("1.2.3.4", "102:304"), port) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "[::1",
        "[]",
        "[::1]x",
        "[::1]80",
        "[:::1]",
        "[v1.x]",
        "[fe80::1%eth0]",
        "::1",
        "a:b",
        "a:99999",
        "a:65536",
        "a:+80",
        "a:8_0",
        "a:000080",
        "a:\u0661",
        "a b",
        "a/b",
        "u@a",
        "a#b",
        "\xff",
        "a, b:80",
    ],
)
def test_bad(text):
    # A5.
    with pytest.raises(ValueError, match=r"is not|has no|has something"):
        parse_authority(text)


def test_port():
    assert parse_port("") is None
    assert parse_port("00080") == 80


@given(st.text() | st.text("[]:.a1%", max_size=12))
def test_nothing_but_value_error(text):
    try:
        host, port = parse_authority(text)
    except ValueError as error:
        check_message(error)
    else:
        assert host
        assert port is None or 0 <= port <= 65535

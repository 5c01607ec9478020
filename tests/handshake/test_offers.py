import pytest

from trio_wsendpoint.handshake.offers import (
    checked_headers,
    checked_host,
    checked_subprotocols,
)


def test_subprotocols():
    assert checked_subprotocols(["a", "A"]) == ("a", "A")
    assert checked_subprotocols([]) == ()


@pytest.mark.parametrize(
    ("subprotocols", "match"),
    [([""], "''"), (["a", "b c"], "'b c'"), (["a\r\nX: y"], "token"), (["a", "a"], "twice")],
)
def test_bad_subprotocols(subprotocols, match):
    with pytest.raises(ValueError, match=match):
        checked_subprotocols(subprotocols)


def test_a_str_is_no_list():
    with pytest.raises(TypeError, match="not the str 'chat'"):
        checked_subprotocols("chat")


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "Sec-WebSocket-Accept", "mine", "MINE"]
)
def test_reserved_headers(name):
    with pytest.raises(ValueError, match="writes it itself"):
        checked_headers({name: "x"}, {"mine": ""})


def test_other_headers():
    assert checked_headers({"Set-Cookie": "a=b"}, {"mine": ""}).items() == (("Set-Cookie", "a=b"),)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Mine", "yours="),
        ("Sec-WebSocket-Protocol", "subprotocols="),
        ("Sec-WebSocket-Extensions", "deflate="),
    ],
)
def test_what_to_use_instead_of_a_reserved_header(name, instead):
    with pytest.raises(ValueError, match=f"{name.lower()}: .* itself: use {instead}$"):
        checked_headers({name: "x"}, {"mine": "yours="})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("example.com", "example.com"),
        ("Example.com:8443", "Example.com:8443"),
        ("[::1]:80", "[::1]:80"),
        ("stra\xdfe.de:80", "xn--strae-oqa.de:80"),
    ],
)
def test_a_host(text, value):
    assert checked_host(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a/b", "http://a", "a:x", "a:99999", "u@a", "::1", "\xe9:x", "\xe9..b", "a\r\nb"],
)
def test_what_is_no_host(text):
    with pytest.raises(ValueError, match="host_header: "):
        checked_host(text)


def test_a_host_of_a_wrong_type():
    with pytest.raises(TypeError, match="host_header is a str or None, not bytes"):
        checked_host(b"a")  # type: ignore[arg-type]

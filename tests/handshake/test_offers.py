import pytest

from trio_wsendpoint.handshake.offers import checked_headers, checked_subprotocols


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
        checked_headers({name: "x"}, {"mine"})


def test_other_headers():
    assert checked_headers({"Set-Cookie": "a=b"}, {"mine"}).items() == (("Set-Cookie", "a=b"),)

import dataclasses
from http import HTTPStatus

import pytest

from trio_wsendpoint.handshake.http import Headers, Request, Response

# ---- Request -----------------------------------------------------------------------------------


def test_defaults():
    request = Request("/")
    assert request.method == "GET"
    assert request.http_version == "1.1"
    assert request.headers == Headers()
    assert request.host is None
    assert request.origin is None
    assert request.subprotocols == ()
    assert not request.is_upgrade


def test_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Request("/").target = "/x"  # type: ignore[misc]
    assert dataclasses.replace(Request("/"), target="/x") == Request("/x")


def test_repr_hides_credentials():
    request = Request("/chat?token=SECRET", {"Cookie": "SECRET"})
    assert repr(request) == (
        "Request('/chat?token=...', Headers([('Cookie', '...')]), method='GET', http_version='1.1')"
    )
    assert "SECRET" not in repr(Request("http://u:SECRET@h/"))
    response = Response(200, {"Set-Cookie": "SECRET"}, b"SECRET")
    assert repr(response) == "Response(200, Headers([('Set-Cookie', '...')]), <6 bytes>)"


@pytest.mark.parametrize("target", ["/?token=SECRET x", "/?SECRET\n", "http://u:SECRET@h/ "])
def test_a_bad_target_shows_no_secret(target):
    with pytest.raises(ValueError, match="request target") as caught:
        Request(target)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a%20b/c", "/a%20b/c", ""),
        ("/a?b=c?d", "/a", "b=c?d"),
        ("/a?to=http://x/y", "/a", "to=http://x/y"),
        ("http://example.com", "/", ""),
        ("http://example.com?a", "/", "a"),
        ("ws://example.com:80/a?b", "/a", "b"),
        ("*", "*", ""),
        ("//evil/a", "//evil/a", ""),
        ("/://x/a", "/://x/a", ""),
    ],
)
def test_path_and_query(target, path, query):
    request = Request(target)
    assert request.raw_path == path
    assert request.query.raw == query


def test_host_is_that_of_an_absolute_target():
    assert Request("/", {"Host": "good:80"}).host == "good:80"
    assert Request("http://other:8080/x", {"Host": "good"}).host == "other:8080"


def test_a_repeated_host_or_origin_hides_nothing():
    request = Request("/", [("Host", "a"), ("Host", "b"), ("Origin", "x"), ("Origin", "y")])
    assert request.host == "a, b"
    assert request.origin == "x, y"


def test_subprotocols():
    fields = [("Sec-WebSocket-Protocol", "a, b"), ("sec-websocket-protocol", "c")]
    assert Request("/", fields).subprotocols == ("a", "b", "c")
    assert Request("/", {"Sec-WebSocket-Protocol": "a b"}).subprotocols == ()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Upgrade": "WebSocket"}, True),
        ({"Upgrade": "h2c, websocket"}, True),
        ({"Upgrade": "h2c"}, False),
        ({"Upgrade": "websocket2"}, False),
        ({"Upgrade": "web socket"}, False),
        ({"Upgrade": "web socket", "Sec-WebSocket-Key": ""}, True),
        ({"Sec-WebSocket-Key": "x"}, True),
    ],
)
def test_is_upgrade(headers, expected):
    assert Request("/", headers).is_upgrade is expected


@pytest.mark.parametrize("target", ["", "/a b", "/a HTTP/1.1\r\nX: y", "/\xe9", "/\0", "/\x7f"])
def test_bad_targets(target):
    with pytest.raises(ValueError, match="request target"):
        Request(target)


def test_bad_method_and_version():
    with pytest.raises(ValueError, match="method 'G T'"):
        Request("/", method="G T")
    with pytest.raises(ValueError, match="HTTP version"):
        Request("/", http_version="1.1\r\n")


# ---- Response ----------------------------------------------------------------------------------


def test_response_defaults():
    response = Response(204)
    assert response.headers == Headers()
    assert response.body == b""
    assert response.reason_phrase == "No Content"


def test_status_may_be_an_enum_and_becomes_an_int():
    response = Response(HTTPStatus.NOT_FOUND)
    assert response.reason_phrase == "Not Found"
    assert type(response.status) is int


def test_a_str_body_is_utf8_text():
    response = Response(200, [("X", "y")], "\xe9")
    assert response.body == b"\xc3\xa9"
    assert response.headers.items() == (("X", "y"), ("Content-Type", "text/plain; charset=utf-8"))


def test_a_content_type_is_left_alone():
    response = Response(200, {"content-type": "application/json"}, "{}")
    assert response.headers.get_all("Content-Type") == ("application/json",)
    assert Response(200, body=b"x").headers == Headers()


def test_unknown_phrase():
    assert Response(599).reason_phrase == "Unknown"


@pytest.mark.parametrize("status", [99, 600, -1])
def test_status_out_of_range(status):
    with pytest.raises(ValueError, match="100 to 599"):
        Response(status)


@pytest.mark.parametrize("status", ["200", None, True, 200.0])
def test_status_of_a_wrong_type(status):
    with pytest.raises(TypeError, match="status must be an int"):
        Response(status)


@pytest.mark.parametrize("body", [None, bytearray(b"x"), 5])
def test_body_of_a_wrong_type(body):
    with pytest.raises(TypeError, match="body must be str or bytes"):
        Response(200, body=body)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a%20b/c", "/a b/c"),
        ("/caf%C3%A9", "/caf\xe9"),
        ("/a%2Fb", "/a/b"),
        ("/%ff%zz%", "/\ufffd%zz%"),
        ("http://a/b%41?c", "/bA"),
    ],
)
def test_a_path_is_decoded(target, path):
    assert Request(target).path == path


def test_a_query_is_parsed():
    query = Request("/?a=1&b=%C3%A9+x&a=2&c&&=d&%ff=%zz").query
    assert query["a"] == "1"
    assert query.get_all("a") == ("1", "2")
    assert dict(query) == {"a": "1", "b": "\xe9 x", "c": "", "": "d", "\ufffd": "%zz"}
    assert (len(query), query.get("none"), query.get_all("none")) == (5, None, ())
    assert query.raw == "a=1&b=%C3%A9+x&a=2&c&&=d&%ff=%zz"
    assert dict(Request("/").query) == {}
    assert repr(Request("/?token=secret&a").query) == "Query('token=...&...')"


def test_cookies():
    headers = [("Cookie", 'a=1; b="2" ;c; =d; a=3'), ("Cookie", "e = f=g;")]
    assert Request("/", headers).cookies == {"a": "1", "b": '"2"', "e": "f=g"}
    assert Request("/").cookies == {}

import pytest

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http.framing import Framing
from trio_wsendpoint.http.heads import check_opening, parse_head

HOST = "Host: a"


def parse(*lines, first="GET / HTTP/1.1", body_limit=1000):
    head = "\r\n".join([first, *lines, "", ""]).encode("iso-8859-1")
    return parse_head(head, body_limit=body_limit, list_limit=4)


def status_of(*lines, **options):
    with pytest.raises(BadRequest) as caught:
        parse(*lines, **options)
    return caught.value.response.status


def test_a_head():
    head = parse(HOST, "X-Y:  b\xe9 ", "x-y: c", first="POST /a?b HTTP/1.1")
    assert (head.request.method, head.request.target) == ("POST", "/a?b")
    assert head.request.headers.get_all("X-Y") == ("b\xe9", "c")
    assert head.fields == {"host": ["a"], "x-y": ["b\xe9", "c"]}
    assert head.framing == Framing()
    assert head.keeps_alive
    assert not head.expects_continue
    assert not head.is_opening


@pytest.mark.parametrize("method", ["GET", "get", "FOO", "OPTIONS", "DELETE", "HEAD", "M-SEARCH"])
def test_any_method(method):
    assert parse(HOST, first=f"{method} / HTTP/1.1").request.method == method


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_methods_that_are_not_served(method):
    for target in ("a:443", "/", "*"):
        with pytest.raises(BadRequest) as caught:
            parse(HOST, first=f"{method} {target} HTTP/1.1")
        assert caught.value.response.status == 405
        assert "GET" in caught.value.response.headers["Allow"]


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET /", 400),
        ("GET / HTTP/1.1 x", 400),
        ("GET  HTTP/1.1", 400),
        ("GET  / HTTP/1.1", 400),
        ("G@T / HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP", 400),
        ("GET / HTTP/", 400),
        ("GET / HTTP/1.1.1", 400),
        ("GET / HTTP/-1.1", 400),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/11", 505),
        ("GET a HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET /#a HTTP/1.1", 400),
        ("GET ftp://a/ HTTP/1.1", 400),
        ("GET http:///a HTTP/1.1", 400),
        ("GET http://a@b/ HTTP/1.1", 400),
        ("GET http://a:x/ HTTP/1.1", 400),
    ],
)
def test_request_lines_that_are_refused(first, status):
    assert status_of(HOST, first=first) == status


@pytest.mark.parametrize(
    ("target", "host"),
    [("/x", "b"), ("http://a/x", "a"), ("HTTPS://a:1?y", "a:1"), ("ws://[::1]/", "[::1]")],
)
def test_targets(target, host):
    assert parse("Host: b", first=f"GET {target} HTTP/1.1").request.host == host
    assert parse(HOST, first="OPTIONS * HTTP/1.1").request.target == "*"


@pytest.mark.parametrize("lines", [[], [HOST, "Host: a"], ["Host:"], ["Host: a b"], ["Host: a/b"]])
def test_hosts_that_are_refused(lines):
    assert status_of(*lines) == 400


def test_http_1_0():
    head = parse(first="OPTIONS / HTTP/1.0")
    assert (head.request.http_version, head.request.host) == ("1.0", None)
    assert not head.keeps_alive
    assert not parse("Connection: keep-alive", first="GET / HTTP/1.0").keeps_alive
    assert status_of("Host: a b", first="GET / HTTP/1.0") == 400
    assert status_of(HOST, HOST, first="GET / HTTP/1.0") == 400


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Connection: close"], False),
        (["Connection: CLOSE"], False),
        (["Connection: keep-alive", "Connection: close"], False),
        (["Connection: close, keep-alive"], False),
        (["Connection: keep-alive"], True),
        (["Connection: ,"], True),
        (["Upgrade: h2c", "Connection: Upgrade"], False),
        (["Upgrade: h2c"], False),
    ],
)
def test_who_keeps_alive(lines, expected):
    assert parse(HOST, *lines).keeps_alive is expected


def test_a_malformed_connection_header():
    assert status_of(HOST, "Connection: a b") == 400
    assert status_of(HOST, "Connection: a,b,c", "Connection: d,e") == 431


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        ("1.1", ["Expect: 100-continue"], True),
        ("1.1", ["Expect: 100-Continue ,"], True),
        ("1.0", ["Expect: 100-continue"], False),
        ("1.1", ["Expect:"], False),
        ("1.1", [], False),
    ],
)
def test_expectations(version, lines, expected):
    assert parse(HOST, *lines, first=f"GET / HTTP/{version}").expects_continue is expected


@pytest.mark.parametrize("value", ["foo", "100-continue, foo", "100-continue=1"])
def test_expectations_that_are_not_met(value):
    assert status_of(HOST, f"Expect: {value}") == 417


def test_the_framing_is_decided_before_h11_sees_it():
    assert status_of(HOST, "Content-Length: 4", "Transfer-Encoding: chunked") == 400
    assert status_of(HOST, "Transfer-Encoding: chunked", first="POST / HTTP/1.0") == 400
    assert status_of(HOST, "Content-Length: " + "9" * 5000) == 413
    assert parse(HOST, "Transfer_Encoding: chunked").framing == Framing()
    assert parse(HOST, "Content-Length: 007").framing == Framing(length=7)


WEBSOCKET = ["Upgrade: websocket", "Connection: Upgrade"]


def test_what_is_an_opening():
    assert parse(HOST, *WEBSOCKET).is_opening
    assert parse(HOST, "Sec-WebSocket-Key: x").is_opening
    assert not parse(HOST, *WEBSOCKET, first="POST / HTTP/1.1").is_opening
    assert not parse(HOST, "Upgrade: h2c").is_opening


def test_what_an_opening_must_be():
    check_opening(parse(HOST, *WEBSOCKET, "Content-Length: 0"))
    for status, head in (
        (505, parse(HOST, *WEBSOCKET, first="GET / HTTP/1.0")),
        (400, parse(HOST, *WEBSOCKET, "Content-Length: 3")),
        (400, parse(HOST, *WEBSOCKET, "Transfer-Encoding: chunked")),
    ):
        with pytest.raises(BadRequest) as caught:
            check_opening(head)
        assert caught.value.response.status == status

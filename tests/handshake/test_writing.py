import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.http1 import RequestReader, ResponseReader
from trio_wsendpoint.handshake.writing import serialize_request, serialize_response


def test_request():
    request = Request("/a?b", [("Host", "h"), ("X", "\xe9")])
    assert serialize_request(request) == b"GET /a?b HTTP/1.1\r\nHost: h\r\nX: \xe9\r\n\r\n"


def test_a_101_is_its_head_alone():
    response = Response(101, {"Upgrade": "websocket", "Connection": "Upgrade"}, b"body")
    assert serialize_response(response) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )


def test_a24_every_other_answer_closes():
    assert serialize_response(Response(404, {"X": "y"}, b"no")) == (
        b"HTTP/1.1 404 Not Found\r\nX: y\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
    )


@pytest.mark.parametrize("status", [101, 200, 204, 304, 426, 503])
def test_every_answer_has_a_date_if_the_time_is_told(status):
    # RFC 9110 section 5.6.7: the preferred form, in English whatever the locale.
    response = Response(status, {"X": "y"})
    wire = serialize_response(response, now=784111777.9)
    assert wire.count(b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n") == 1
    assert wire == serialize_response(response, now=784111777.0)
    assert wire.replace(b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b"") == (
        serialize_response(response)
    )


@pytest.mark.parametrize("status", [101, 200])
def test_a_date_of_the_apps_own_is_left_alone(status):
    wire = serialize_response(Response(status, {"date": "today"}), now=0)
    assert wire.lower().count(b"date") == 1
    assert b"\r\ndate: today\r\n" in wire


def test_framing_is_ours():
    response = Response(
        599,
        {"Content-Length": "99", "Transfer-Encoding": "chunked", "connection": "Keep-Alive, Close"},
        b"x",
    )
    assert serialize_response(response) == (
        b"HTTP/1.1 599 Unknown\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    )


def test_other_options_of_connection_stay():
    fields = [("Connection", "Upgrade, ,keep-alive"), ("Connection", "X")]
    wire = serialize_response(Response(426, fields))
    assert b"\r\nConnection: Upgrade, X, close\r\n" in wire
    assert wire.count(b"Connection") == 1


@pytest.mark.parametrize("status", [100, 204])
def test_no_content(status):
    wire = serialize_response(Response(status, body=b"x"))
    assert wire.endswith(b"\r\nConnection: close\r\n\r\n")


def test_304_has_the_length_but_no_body():
    wire = serialize_response(Response(304, body=b"x"))
    assert wire.endswith(b"Content-Length: 1\r\n\r\n")


def test_head_gets_no_body():
    wire = serialize_response(Response(200, body=b"x"), Request("/", method="HEAD"))
    assert wire.endswith(b"Content-Length: 1\r\n\r\n")
    wire = serialize_response(Response(200, body=b"x"), Request("/"))
    assert wire.endswith(b"Content-Length: 1\r\n\r\nx")


values = st.text(st.characters(codec="iso-8859-1", exclude_categories=["Cc"]), max_size=9)
fields = st.lists(st.tuples(st.sampled_from(["A", "b", "X-Y"]), values), max_size=6)


@given(fields)
def test_a_request_comes_back(items):
    request = Request("/a?b", [("Host", "h"), *items])
    assert RequestReader().receive_data(serialize_request(request)) == request


@given(fields, st.sampled_from([101, 200, 403, 599]), st.binary(max_size=99))
def test_a_response_comes_back(items, status, body):
    response = Response(status, items, b"" if status == 101 else body)
    read = ResponseReader().receive_data(serialize_response(response))
    assert read is not None
    assert read.status == status
    assert read.body == response.body
    for name in response.headers:
        assert read.headers.get_all(name) == response.headers.get_all(name)

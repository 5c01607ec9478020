"""Section G: requests and answers of plain HTTP, and how long a connection lives."""

from __future__ import annotations

import math

import pytest

from tests.http.wire import Served, connection, phase, request, served
from trio_wsendpoint.handshake import Response
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import (
    BodyCutShort,
    BodyMismatch,
    BodyTooLarge,
    HttpLimits,
    Match,
    Phase,
    Routes,
    answer_without_handler,
)
from trio_wsendpoint.options import Limits

WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade")
OPENING = request(*WEBSOCKET)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = "Expect: 100-continue"


def asked(data, **options):
    """Return a connection with a request in work."""
    http = connection(**options)
    http.receive_data(data, 0)
    assert http.next_request(0) is not None
    return http


def refusal(step, *args):
    with pytest.raises(BadRequest) as caught:
        step(*args)
    return caught.value


def test_g135_http_1_0():
    for first, lines in (("OPTIONS / HTTP/1.0", []), ("GET / HTTP/1.0", ["Connection: close"])):
        result = served(request(*lines, first=first, host=None))
        assert result.statuses == [200]
        assert result.heads[0].request.host is None
        assert result.closes
        assert b"Content-Length: 0" in result.written


def test_g136_http_1_0_is_never_chunked():
    http = asked(request(first="GET / HTTP/1.0"))
    head = http.start(200, {"Transfer-Encoding": "chunked"})
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert http.write(b"abc") + http.finish(0) == b"abc"


def test_g137_http_1_0_is_not_kept():
    result = served(request("Connection: Keep-Alive", first="GET / HTTP/1.0") * 2)
    assert result.statuses == [200]
    assert result.closes


def test_g138_close_wins():
    for lines in (
        ["Connection: close"],
        ["Connection: keep-alive", "Connection: close"],
        ["Connection: close", "Connection: keep-alive"],
        ["Connection: keep-alive, CLOSE"],
    ):
        result = served(request(*lines) + request())
        assert result.statuses == [200]
        assert result.closes


def test_g139_requests_in_one_segment():
    data = b"".join(request(first=f"GET /{number} HTTP/1.1") for number in range(100))
    result = served(data)
    targets = [head.request.target for head in result.heads]
    assert targets == [f"/{number}" for number in range(100)]
    assert result.statuses == [200] * 100
    # While one is in work, what is behind it waits in the socket: no error.
    http = asked(data, limits=Limits(pipelined=100))
    assert not http.wants_data
    assert b"close" not in http.respond(Response(200), 0)
    assert http.wants_data


def test_g140_the_last_request_of_a_connection():
    result = served(request() * 1001)
    assert result.statuses == [200] * 1000
    assert result.written.count(b"Connection: close") == 1
    assert result.closes


def test_g141_an_idle_connection():
    http = asked(request())
    http.respond(Response(200), 100)
    assert http.deadline == 175
    http.expire(175)
    assert phase(http) is Phase.CLOSED


def test_g141_a_request_found_in_the_last_moment_is_served():
    http = asked(request())
    http.respond(Response(200), 100)
    http.receive_data(request(), 175)
    assert http.next_request(175) is not None
    assert http.deadline == math.inf


def test_g142_one_deadline_made_from_the_phase():
    http = asked(request(), http=HttpLimits(handler=20, idle=75))
    assert http.deadline == 20
    http.respond(Response(200), 10)
    assert http.deadline == 85
    http.receive_data(request("Content-Length: 1"), 80)
    http.next_request(80)
    assert http.deadline == 100
    http.ask_for_body(81)
    assert http.deadline == 91
    http.receive_data(b"x", 82)
    http.read_body(82)
    assert http.deadline == 100
    http.start(200)
    assert http.deadline == math.inf
    http.finish(90)
    assert http.deadline == 165
    http.close()
    assert http.deadline == math.inf


def test_g143_an_opening_as_the_second_request():
    result = served(request(first="GET /one HTTP/1.1"))
    http = result.http
    http.receive_data(OPENING + b"\x81\x80abcd", 5)
    head = http.next_request(5)
    assert head is not None
    assert head.is_opening
    answer = Response(101, {"Upgrade": "websocket", "Connection": "Upgrade"})
    assert http.switch(answer).startswith(b"HTTP/1.1 101 ")
    assert (http.trailing, http.deadline, http.wants_data) == (b"\x81\x80abcd", math.inf, False)


def test_g143_an_opening_behind_a_request_in_work():
    http = asked(request() + OPENING)
    assert http.next_request(0) is None
    http.respond(Response(200), 0)
    assert http.next_request(0) is not None
    error = refusal(http.receive_data, b"x" * 5000, 0)  # as A22
    assert error.response.status == 400


def test_g144_a_refused_opening_closes():
    for response in (Response(403), Response(426, {"Upgrade": "websocket"}), Response(200)):
        http = asked(request() + OPENING + request())
        http.respond(Response(200), 0)
        http.next_request(0)
        assert b"Connection: close" in http.respond(response, 0)
        assert http.next_request(0) is None


def test_g145_an_upgrade_on_a_post():
    post = request(*WEBSOCKET, "Content-Length: 3", first="POST / HTTP/1.1", body=b"abc")
    result = served(post + request())
    assert (result.statuses, result.bodies) == ([200], [b"abc"])
    assert not result.heads[0].is_opening
    assert result.closes
    assert answer_without_handler("POST", "/").status == 405


def test_g146_h2c_is_ignored():
    for lines in (
        ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk"),
        ("Upgrade: h2c",),
        ("Upgrade: h2c, foo/1",),
    ):
        result = served(request(*lines) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert result.statuses == [200]
        assert result.closes
        with pytest.raises(RuntimeError, match="only an opening"):
            asked(request(*lines)).switch(Response(101))


def test_g147_connect_and_trace():
    for first in ("CONNECT a:443 HTTP/1.1", "TRACE / HTTP/1.1", "CONNECT / HTTP/1.1"):
        result = served(request(first=first))
        assert (result.statuses, result.heads) == ([405], [])
        assert b"\r\nAllow: GET, " in result.written
        assert result.closes


def test_g148_options_of_everything():
    result = served(request(first="OPTIONS * HTTP/1.1") * 2)
    assert result.statuses == [200, 200]
    assert result.heads[0].request.target == "*"
    answer = answer_without_handler("OPTIONS", "*")
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD")
    assert served(request(first="GET * HTTP/1.1")).statuses == [400]


def test_g149_a_target_in_absolute_form():
    [head] = served(request(first="GET http://a/x?y HTTP/1.1", host="b")).heads
    assert (head.request.host, head.request.path) == ("a", "/x")
    routes = Routes[str, str]()
    routes.add_http("/x", "x")
    assert routes.match_http(head.request) == Match("x", "/x", {})


def test_g150_methods_are_taken_byte_for_byte():
    heads = served(request(first="FOO / HTTP/1.1") + request(first="get / HTTP/1.1")).heads
    assert [head.request.method for head in heads] == ["FOO", "get"]
    for method in ("FOO", "get"):
        answer = answer_without_handler(method, "/")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_g151_a_body_of_any_method():
    for method in ("GET", "HEAD", "DELETE", "FOO"):
        data = request("Content-Length: 3", first=f"{method} / HTTP/1.1", body=b"abc") + request()
        result = served(data)
        assert result.bodies == [b"abc", b""]
        http = asked(data)  # whose app does not look at it
        http.respond(Response(200), 0)
        head = http.next_request(0)
        assert head is not None
        assert head.request.method == "GET"


def test_g152_a_client_that_waits_for_100():
    http = asked(request(EXPECT, "Content-Length: 3"))
    assert http.ask_for_body(0) == CONTINUE
    assert http.ask_for_body(0) == b""
    http = asked(request(EXPECT, "Content-Length: 3"))
    answer = http.respond(Response(200), 0)
    assert CONTINUE not in answer
    assert b"Connection: close" in answer
    assert phase(http) is Phase.LINGERING


def test_g153_no_100_is_due():
    for data in (
        request(EXPECT, "Content-Length: 3", body=b"a"),
        request(EXPECT, "Transfer-Encoding: chunked", body=b"3"),
        request(EXPECT),
        request(EXPECT, "Content-Length: 0"),
        request(EXPECT, "Content-Length: 3", first="POST / HTTP/1.0"),
    ):
        assert asked(data).ask_for_body(0) == b""


def test_g154_an_expectation_that_is_refused():
    for status in (401, 413, 417):
        http = asked(request(EXPECT, "Content-Length: 3"))
        answer = http.respond(Response(status), 0)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"Connection: close" in answer


def test_g155_other_expectations():
    for text in ("foo", "100-continue, foo", "100-continues"):
        result = served(request(f"Expect: {text}"))
        assert result.statuses == [417]
        assert result.closes


def test_g156_an_opening_with_an_expectation():
    http = asked(request(*WEBSOCKET, EXPECT))
    assert http.ask_for_body(0) == b""
    assert b"100 Continue" not in http.switch(Response(101, {"Upgrade": "websocket"}))
    assert served(request(*WEBSOCKET, EXPECT, "Content-Length: 3")).statuses == [400]


def test_g157_an_answer_before_the_body():
    for lines in (["Content-Length: 1000000"], ["Transfer-Encoding: chunked"]):
        http = asked(request(*lines))
        assert b"Connection: close" in http.respond(Response(413), 0)
        assert phase(http) is Phase.LINGERING
        for second in (1, 2, 3, 4):
            http.receive_data(b"x" * 100_000, second)
        assert (http.trailing, http.deadline) == (b"", 5)  # bounded by time, not by bytes
    http = asked(request("Content-Length: 65536"))
    assert b"close" not in http.respond(Response(200), 0)
    http.receive_data(b"x" * 65536 + request(), 1)
    assert http.next_request(1) is not None


def test_g158_a_chunked_body_over_the_limit():
    result = served(
        request("Transfer-Encoding: chunked", body=b"5\r\nabcde\r\n6\r\n"),
        http=HttpLimits(body_size=10),
    )
    assert result.statuses == [413]
    assert result.closes
    assert BodyTooLarge(10).response.status == 413


def test_g159_a_body_that_trickles():
    http = asked(request("Content-Length: 100000"))
    now = 0.0
    while True:
        assert http.ask_for_body(now) == b""
        if http.deadline <= now + 1:
            break
        now += 1
        http.receive_data(b"x", now)
        http.read_body(now)
    assert 10 <= now <= 12
    error = refusal(http.expire, http.deadline)
    answer = http.refuse(error.response, now)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer


def test_g159_a_body_has_a_time_in_all():
    http = asked(
        request("Content-Length: 10000000"), http=HttpLimits(body_size=None, body_time=100)
    )
    for second in range(0, 100, 5):
        http.ask_for_body(second)
        assert http.deadline == (100 if second else 10)
        http.receive_data(b"x" * 60_000, second + 5)
        http.read_body(second + 5)


def test_g160_a_handler_that_fails():
    http = asked(request(), http=HttpLimits(handler=30))
    error = refusal(http.expire, http.deadline)
    assert error.response.status == 503
    assert b"Connection: close" in http.refuse(error.response, 30)
    http = asked(request())
    assert http.refuse(Response(500), 0).startswith(b"HTTP/1.1 500 ")
    http = asked(request())
    http.start(200)
    assert http.refuse(Response(500), 0) == b""  # no last chunk
    assert phase(http) is Phase.CLOSED


def test_g161_head():
    result = served(request(first="HEAD / HTTP/1.1") + request())
    assert result.statuses == [200, 200]
    for response in (Response(200, {"X": "y"}, b"abc"),):
        get, head = (
            asked(request(first=f"{method} / HTTP/1.1")).respond(response, 0)
            for method in ("GET", "HEAD")
        )
        assert get == head + b"abc"
    http = asked(request(first="HEAD / HTTP/1.1"))
    assert b"Transfer-Encoding: chunked" in http.start(200)
    assert http.write(b"abc") + http.finish(0) == b""
    assert phase(http) is Phase.IDLE


def test_g162_answers_without_a_body():
    for status in (204, 304):
        for headers in ({"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}):
            http = asked(request())
            head = http.start(status, headers)
            assert http.write(b"abc") + http.finish(0) == b""
            assert b"Transfer-Encoding" not in head
            is_kept = status == 304 and "Content-Length" in headers
            assert (b"Content-Length" in head) == is_kept


def test_g163_an_iterator_that_yields_less_or_more():
    http = asked(request())
    http.start(200, {"Content-Length": "3"})
    with pytest.raises(BodyMismatch):
        http.write(b"abcd")
    http.write(b"ab")
    with pytest.raises(BodyMismatch):
        http.finish(0)
    assert phase(http) is Phase.CLOSED
    http = asked(request())
    http.start(200)
    assert http.write(b"") == b""  # which would be the last chunk
    with pytest.raises(TypeError):
        http.write("abc")
    http = asked(request())
    with pytest.raises(BodyMismatch):
        http.respond(Response(200, {"Content-Length": "4"}, b"abc"), 0)
    assert http.is_answer_due  # with a 500


def test_g164_what_a_handler_may_not_say():
    for status in (99, 100, 101, 103, 600):
        http = asked(request())
        with pytest.raises(ValueError, match=str(status)):
            http.start(status)
        assert http.is_answer_due
    for headers in ({"X": "a\r\nY: b"}, {"X\r\n": "a"}, {"X": "\x01"}):
        with pytest.raises(ValueError, match="header"):
            asked(request()).start(200, headers)
    http = asked(request())
    head = http.start(200, {"Connection": "keep-alive, close", "Transfer-Encoding": "gzip"})
    assert b"\r\nConnection: close\r\n" in head
    assert b"gzip" not in head


def test_g165_the_end_behind_a_whole_request():
    result = served(request() + request("Content-Length: 3", body=b"abc"))
    result.end()
    assert (result.statuses, result.bodies) == ([200, 200], [b"", b"abc"])
    http = asked(request())
    http.receive_eof()
    assert b"Connection: close" in http.respond(Response(200), 0)
    assert phase(http) is Phase.CLOSED
    http = asked(request("Content-Length: 3"))
    http.receive_eof()
    assert isinstance(refusal(http.read_body, 0), BodyCutShort)


def test_g167_a_server_that_stops():
    # Idle, with a request that crosses our end.
    http = connection()
    http.stop()
    result = Served(http)
    result.receive(request())
    assert result.statuses == [200]
    assert result.closes
    # Half a head: until its deadline.
    http = connection()
    http.receive_data(b"GET /", 0)
    http.next_request(0)
    http.stop()
    assert (phase(http), http.deadline) == (Phase.HEAD, 10)
    # In work: answered with close.
    http = asked(request() * 2)
    http.stop()
    assert b"Connection: close" in http.respond(Response(200), 0)
    # Streaming: to its end, and then no other.
    http = asked(request() * 2)
    http.start(200)
    http.stop()
    assert http.write(b"x") != b""
    http.finish(0)
    head = http.next_request(0)
    assert head is not None
    assert b"Connection: close" in http.respond(Response(200), 0)

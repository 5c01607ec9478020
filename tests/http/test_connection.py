import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_wsendpoint.handshake import Response
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import (
    BodyCutShort,
    BodyMismatch,
    BodyTooLarge,
    HttpConnection,
    HttpLimits,
    OutOfTime,
    Phase,
    WrongOrder,
)
from trio_wsendpoint.options import Limits

from .wire import DATE, WEBSOCKET, Served, connection, phase, request, served

OPENING = request(*WEBSOCKET.decode().split("\r\n")[:2])
OK = b"HTTP/1.1 200 OK\r\n" + DATE


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


# ---- one after the other -------------------------------------------------------------------------


def test_an_exchange():
    http = connection()
    assert (http.phase, http.head, http.requests) == (Phase.IDLE, None, 0)
    assert http.next_request(0) is None
    http.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\n", 0)
    assert http.next_request(0) is None
    assert phase(http) is Phase.HEAD
    http.receive_data(b"Content-Length: 5\r\n\r\nab", 0)
    head = http.next_request(0)
    assert head is not None
    assert http.head is head
    assert (http.phase, http.requests) == (Phase.BODY, 1)
    assert http.next_request(0) is None  # one at a time
    assert (http.ask_for_body(0), http.read_body(0), http.read_body(0)) == (b"", b"ab", None)
    http.receive_data(b"cdeG", 0)
    assert (http.read_body(0), http.read_body(0)) == (b"cde", b"")
    assert phase(http) is Phase.ANSWERING
    assert http.trailing == b"G"
    assert http.start(200, length=2) == OK + b"Content-Length: 2\r\n\r\n"
    assert phase(http) is Phase.STREAMING
    assert (http.write(b"h"), http.write(b"i"), http.finish(0)) == (b"h", b"i", b"")
    assert phase(http) is Phase.IDLE
    assert http.head != head
    http.receive_data(b"ET / HTTP/1.1\r\nHost: a\r\n\r\n", 0)
    assert http.next_request(0) is not None
    assert phase(http) is Phase.ANSWERING
    assert http.respond(Response(204), 0) == b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n"


def test_chunks_out():
    http = asked(request())
    assert http.start(200) == OK + b"Transfer-Encoding: chunked\r\n\r\n"
    assert http.write(b"abc") == b"3\r\nabc\r\n"
    assert http.finish(0) == b"0\r\n\r\n"
    assert phase(http) is Phase.IDLE


@pytest.mark.parametrize("pieces", [1, 7, None])
def test_pipelined_requests(pieces):
    data = (
        request(first="POST / HTTP/1.1", body=b"3\r\nabc\r\n0\r\nA: b\r\n\r\n").replace(
            b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n", 1
        )
        + b"\r\n"
        + request("Content-Length: 2", body=b"de")
        + request("Connection: close")
        + request()
    )
    result = served(data, pieces=pieces)
    assert result.bodies == [b"abc", b"de", b""]
    assert result.statuses == [200, 200, 200]
    assert result.closes
    assert phase(result.http) is Phase.LINGERING


def test_a_blank_line_is_no_request():
    http = connection()
    for data in (b"\r", b"\n"):
        http.receive_data(data, 5)
        assert http.next_request(5) is None
        assert phase(http) is Phase.IDLE
    http.receive_data(b"G", 5)
    http.next_request(5)
    assert phase(http) is Phase.HEAD


@pytest.mark.parametrize(
    "data",
    [
        request("Connection: close"),
        request("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
        request(first="GET / HTTP/1.0"),
        request("Connection: keep-alive", first="GET / HTTP/1.0", host=None),
        request(*WEBSOCKET.decode().split("\r\n")[:2], first="POST / HTTP/1.1"),
    ],
)
def test_what_is_not_kept(data):
    result = served(data)
    assert result.statuses == [200]
    assert result.closes
    result.receive(request())
    assert result.statuses == [200]


def test_how_many_requests_there_may_be():
    result = served(request() * 4, http=HttpLimits(requests=3))
    assert result.statuses == [200] * 3
    assert result.closes


def test_the_app_may_close():
    http = asked(request())
    assert b"Connection: close" in http.respond(Response(200, {"Connection": "close"}), 0)
    assert phase(http) is Phase.LINGERING


def test_a_server_that_stops():
    http = asked(request() * 2)
    http.stop()
    assert http.is_stopping
    assert b"Connection: close" in http.respond(Response(200), 0)
    assert http.next_request(0) is None


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (request("Content-Length: 4", "Transfer-Encoding: chunked"), 400),
        (request("Transfer-Encoding: gzip"), 501),
        (request("Expect: foo"), 417),
        (request(first="TRACE / HTTP/1.1"), 405),
        (request("Content-Length: 2000000"), 413),
        (request("X: " + "a" * 20_000), 431),
        (request(first=f"GET /{'a' * 9000} HTTP/1.1"), 414),
        (request(*WEBSOCKET.decode().split("\r\n")[:2], first="GET / HTTP/1.0"), 505),
    ],
)
def test_heads_that_are_refused(data, status):
    for result in (served(data), served(request() + data), served(data, pieces=1)):
        assert result.statuses[-1] == status
        assert result.closes
        result.receive(request())
        assert result.statuses[-1] == status


def test_the_answer_to_a_refused_head_has_no_body():
    result = served(request("Expect: foo", first="HEAD / HTTP/1.1"))
    head, _, body = result.written.partition(b"\r\n\r\n")
    assert (result.statuses, body) == ([417], b"")
    assert b"Content-Length: " in head


def test_an_answer_that_has_begun_is_cut_off():
    http = asked(request("Content-Length: 3"))
    http.start(200, length=5)
    assert http.refuse(Response(500), 0) == b""
    assert phase(http) is Phase.CLOSED


def test_a_connection_can_be_refused_before_its_request():
    http = connection()
    assert http.refuse(Response(503), 0).startswith(b"HTTP/1.1 503 ")
    assert phase(http) is Phase.LINGERING


def test_bodies_that_are_refused():
    http = asked(request("Transfer-Encoding: chunked", body=b"3\r\nabcX"))
    assert refusal(http.read_body, 0).response.status == 400
    http = asked(request("Transfer-Encoding: chunked", body=b"6\r\n"), http=HttpLimits(body_size=5))
    assert isinstance(refusal(http.read_body, 0), BodyTooLarge)


# ---- bodies --------------------------------------------------------------------------------------


def test_a_100_is_for_those_who_wait():
    http = asked(request("Expect: 100-continue", "Content-Length: 3"))
    assert http.ask_for_body(0) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert http.ask_for_body(0) == b""
    http.receive_data(b"abc", 0)
    assert (http.read_body(0), http.ask_for_body(0)) == (b"abc", b"")
    assert b"close" not in http.respond(Response(200), 0)


@pytest.mark.parametrize(
    "data",
    [
        request("Expect: 100-continue", "Content-Length: 3", body=b"a"),
        request("Expect: 100-continue"),
        request("Expect: 100-continue", "Content-Length: 0"),
        request("Expect: 100-continue", "Content-Length: 3", first="POST / HTTP/1.0"),
        request("Content-Length: 3"),
    ],
)
def test_who_gets_no_100(data):
    http = asked(data)
    assert http.ask_for_body(0) == b""
    while http.read_body(0):
        pass
    assert http.ask_for_body(0) == b""


def test_an_answer_in_place_of_the_100():
    http = asked(request("Expect: 100-continue", "Content-Length: 3"))
    assert b"Connection: close" in http.start(401, length=0)
    assert http.ask_for_body(0) == b""
    http.finish(0)
    assert phase(http) is Phase.LINGERING


def test_a_body_behind_the_answer():
    for body in (b"", b"ab", b"abc"):
        http = asked(request("Content-Length: 3", body=body))
        assert b"close" not in http.respond(Response(200), 0)
        assert phase(http) is Phase.DRAINING
        assert http.wants_data
        with pytest.raises(WrongOrder):
            http.write(b"x")
        http.receive_data(b"abc"[len(body) :] + request(), 0)
        assert http.next_request(0) is not None
        assert http.requests == 2


def test_a_body_behind_the_answer_that_never_comes():
    http = asked(request("Content-Length: 3", body=b"a"))
    http.respond(Response(200), 0)
    assert http.next_request(0) is None
    assert phase(http) is Phase.DRAINING
    http.receive_data(b"b", 0)
    http.receive_eof()
    assert http.next_request(0) is None
    assert phase(http) is Phase.CLOSED


def test_the_end_behind_a_body_behind_the_answer():
    http = asked(request("Content-Length: 3", body=b"abc"))
    http.respond(Response(200), 0)
    http.receive_data(request(), 0)
    http.receive_eof()
    assert http.next_request(0) is not None
    assert b"Connection: close" in http.respond(Response(200), 0)
    assert phase(http) is Phase.CLOSED


@pytest.mark.parametrize(
    "data",
    [
        request("Content-Length: 70000"),
        request("Transfer-Encoding: chunked"),
        request("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
    ],
)
def test_a_body_that_is_not_waited_for(data):
    http = asked(data)
    assert b"Connection: close" in http.respond(Response(413), 0)
    assert phase(http) is Phase.LINGERING
    http.receive_data(b"x" * 100, 0)
    assert http.trailing == b""


def test_a_body_that_is_read_while_the_answer_leaves():
    http = asked(request("Content-Length: 5", body=b"ab"))
    http.start(200)
    assert phase(http) is Phase.EARLY
    assert http.ask_for_body(0) == b""
    assert (http.read_body(0), http.read_body(0)) == (b"ab", None)
    http.receive_data(b"cde", 0)
    assert http.read_body(0) == b"cde"
    assert phase(http) is Phase.STREAMING
    assert http.finish(0) == b"0\r\n\r\n"
    assert phase(http) is Phase.IDLE


# ---- the end of the bytes ------------------------------------------------------------------------


def test_the_end_behind_whole_requests():
    result = served(request() * 3)
    result.end()
    assert (result.statuses, result.http.phase) == ([200] * 3, Phase.CLOSED)
    http = asked(request() * 2)
    http.receive_eof()
    assert not http.wants_data
    assert phase(http) is Phase.ANSWERING
    assert b"close" not in http.respond(Response(200), 0)
    assert http.next_request(0) is not None
    assert b"Connection: close" in http.respond(Response(200), 0)
    assert phase(http) is Phase.CLOSED


def test_the_end_within_a_head():
    for data in (b"", b"GET / HTTP/1.1\r\n"):
        result = served(data)
        result.end()
        assert (result.written, result.http.phase) == (b"", Phase.CLOSED)


def test_the_end_within_a_body():
    for body in (b"ab", b""):
        http = asked(request("Content-Length: 5", body=body))
        assert http.read_body(0) == (body or None)
        http.receive_eof()
        error = refusal(http.read_body, 0)
        assert isinstance(error, BodyCutShort)
        assert http.refuse(error.response, 0).startswith(b"HTTP/1.1 400 ")
        assert phase(http) is Phase.CLOSED


def test_the_end_while_it_lingers():
    result = served(request("Connection: close"))
    assert phase(result.http) is Phase.LINGERING
    result.end()
    assert phase(result.http) is Phase.CLOSED


# ---- how much is read ----------------------------------------------------------------------------


def test_what_is_pipelined_waits():
    http = asked(request(), limits=Limits(pipelined=100))
    assert http.wants_data
    http.receive_data(request() * 5, 0)
    assert not http.wants_data
    http.start(200)
    assert not http.wants_data
    http.finish(0)
    assert http.wants_data


def test_a_body_that_nobody_reads_waits():
    http = asked(request("Content-Length: 1000000"))
    http.receive_data(b"x" * 65535, 0)
    assert http.wants_data
    http.receive_data(b"x", 0)
    assert not http.wants_data
    http.read_body(0)
    assert http.wants_data
    http.close()
    assert not http.wants_data


# ---- openings ------------------------------------------------------------------------------------


def test_an_opening():
    http = asked(request() + OPENING + b"\x81\x80abcd")
    http.respond(Response(200), 0)
    head = http.next_request(0)
    assert head is not None
    assert head.is_opening
    answer = Response(101, {"Upgrade": "websocket", "Connection": "Upgrade"})
    assert http.switch(answer).startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade")
    assert phase(http) is Phase.UPGRADED
    assert http.trailing == b"\x81\x80abcd"
    assert not http.wants_data
    assert http.deadline == math.inf


def test_too_much_behind_an_opening():
    limits = Limits(pipelined=10)
    http = connection(limits=limits)
    http.receive_data(OPENING + b"x" * 11, 0)
    assert refusal(http.next_request, 0).response.status == 400
    http = asked(OPENING + b"x" * 10, limits=limits)
    error = refusal(http.receive_data, b"x", 0)
    assert http.refuse(error.response, 0).startswith(b"HTTP/1.1 400 ")


def test_an_opening_that_is_refused_closes():
    http = asked(OPENING)
    assert b"Connection: close" in http.respond(Response(403), 0)
    http = asked(OPENING)
    answer = Response(426, {"Upgrade": "websocket", "Connection": "Upgrade"})
    assert b"Connection: Upgrade, close" in http.refuse(answer, 0)


def test_only_an_opening_is_switched():
    for http in (connection(), asked(request())):
        with pytest.raises(WrongOrder, match="only an opening"):
            http.switch(Response(101))


# ---- wrong order ---------------------------------------------------------------------------------


def test_steps_in_the_wrong_order():
    http = connection()
    for step in (lambda: http.start(200), lambda: http.write(b""), lambda: http.finish(0)):
        with pytest.raises(WrongOrder):
            step()
    http = asked(request())
    for step in (lambda: http.write(b""), lambda: http.finish(0)):
        with pytest.raises(WrongOrder, match="has not been started"):
            step()
    http.start(200)
    with pytest.raises(WrongOrder, match="no answer can start while the exchange is streaming"):
        http.start(200)


def test_an_answer_that_may_not_go_on_the_wire_changes_nothing():
    http = asked(request())
    for response in (Response(101), Response(200, {"Content-Length": "4"}, b"abc")):
        with pytest.raises(ValueError, match=r"no final one|declared as 4"):
            http.respond(response, 0)
    with pytest.raises(ValueError, match="600"):
        http.start(600)
    assert phase(http) is Phase.ANSWERING
    assert http.respond(Response(500), 0).startswith(b"HTTP/1.1 500 ")


def test_an_answer_that_lacks_bytes_is_cut_off():
    http = asked(request())
    http.start(200, {"Content-Length": "3"})
    assert http.write(b"a") == b"a"
    with pytest.raises(BodyMismatch, match="2 bytes fewer"):
        http.finish(0)
    assert phase(http) is Phase.CLOSED


# ---- deadlines -----------------------------------------------------------------------------------


def test_a_head_that_is_late():
    http = connection(now=100)
    assert http.deadline == 110
    assert refusal(http.expire, 110).response.status == 408
    http.receive_data(b"GET", 105)
    http.next_request(105)
    assert http.deadline == 110
    error = refusal(http.expire, 110)
    assert isinstance(error, OutOfTime)
    assert http.refuse(error.response, 110).startswith(b"HTTP/1.1 408 ")
    assert http.deadline == 112
    http.expire(112)
    assert phase(http) is Phase.CLOSED


def test_a_connection_that_is_idle():
    http = asked(request())
    http.respond(Response(200), 50)
    assert http.deadline == 125
    http.receive_data(b"GET", 120)
    http.next_request(120)
    assert http.deadline == 130
    assert refusal(http.expire, 130).response.status == 408
    http = asked(request())
    http.respond(Response(200), 50)
    http.expire(125)
    assert phase(http) is Phase.CLOSED


def test_a_body_that_is_late():
    http = asked(request("Content-Length: 5"))
    assert http.deadline == math.inf
    http.ask_for_body(1000)
    assert http.deadline == 1010
    http.receive_data(b"a", 1005)
    assert http.read_body(1005) == b"a"
    assert http.deadline == math.inf
    http.ask_for_body(1010)
    assert http.deadline == 1010 + 5 + 1 / 500
    assert refusal(http.expire, http.deadline).response.status == 408


def test_a_body_that_is_late_behind_the_start_of_the_answer():
    http = asked(request("Content-Length: 5"))
    http.start(200)
    http.ask_for_body(0)
    error = refusal(http.expire, http.deadline)
    assert http.refuse(error.response, 10) == b""
    assert phase(http) is Phase.CLOSED


def test_a_handler_that_is_late():
    http = asked(request(), http=HttpLimits(handler=30))
    assert http.deadline == 30
    assert refusal(http.expire, 30).response.status == 503
    http.start(200)
    assert http.deadline == math.inf


def test_a_linger_ends():
    http = asked(request("Connection: close"))
    http.respond(Response(200), 100)
    assert http.deadline == 102
    http.receive_data(b"x", 101)
    assert http.deadline == 103
    http.expire(103)
    assert phase(http) is Phase.CLOSED


def test_a_drain_ends():
    http = asked(request("Content-Length: 5"))
    http.respond(Response(200), 100)
    assert http.deadline == 105
    http.expire(105)
    assert phase(http) is Phase.CLOSED


def test_the_date_is_made_if_none_is_given():
    assert b"Date: " in Served(HttpConnection()).http.refuse(Response(503), 0)


# ---- whatever comes ------------------------------------------------------------------------------

PIECES = [
    b"GET / HTTP/1.1\r\n",
    b"POST /x HTTP/1.1\r\n",
    b"HEAD / HTTP/1.0\r\n",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Upgrade: h2c\r\n",
    b"\r\n",
    b"abc",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"0\r\nA: b\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    request(),
    request("Content-Length: 3", body=b"abc"),
    request("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"),
]


@settings(max_examples=300)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES[-3:])), max_size=12))
def test_the_outcome_does_not_depend_on_the_cuts(pieces):
    data = b"".join(pieces)
    whole, cut = served(data), served(data, pieces=1)
    for result in (whole, cut):
        result.end()
    assert whole.written == cut.written
    assert whole.bodies == cut.bodies
    assert phase(whole.http) is phase(cut.http) is Phase.CLOSED


@given(st.binary(max_size=200))
def test_no_other_error_comes(data):
    for start in (b"", request()[:-2], request("Transfer-Encoding: chunked")):
        result = served(start + data, pieces=13)
        result.end()
        assert phase(result.http) is Phase.CLOSED


def test_a_linger_begins_when_the_answer_has_left():
    http = connection()
    http.receive_data(request("Connection: close"), 0)
    http.next_request(0)
    http.linger(5)  # not yet
    assert http.deadline == math.inf
    http.respond(Response(200), 5)
    assert http.deadline == 7
    http.linger(20)
    assert http.deadline == 22

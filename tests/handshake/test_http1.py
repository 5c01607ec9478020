import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import BadResponse
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.http1 import RequestReader, ResponseReader
from trio_wsendpoint.options import Limits

from .fakes import bytewise, check_message, cut, wire

LIMITS = Limits(head_size=512, header_count=8, pipelined=10)


# ---- requests ----------------------------------------------------------------------------------


def read_request(pieces, limits=LIMITS):
    """The request and what came behind it; or the refusal's status and message."""
    reader = RequestReader(limits)
    request = None
    try:
        for piece in pieces:
            request = reader.receive_data(piece) or request
    except BadRequest as error:
        check_message(error, 300)
        return error.response.status, str(error)
    return request, reader.trailing


def refusal(data, limits=LIMITS):
    status, message = read_request([data], limits)
    assert isinstance(status, int), status
    return status, message


def get(*lines, target=b"/", host=b"Host: a"):
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", host, *lines, b"", b""])


def test_a_request():
    data = get(b"X-Y:  z\xe9 ", b"x-y: 2", target=b"/chat?a=b")
    expected = Request("/chat?a=b", [("Host", "a"), ("X-Y", "z\xe9"), ("x-y", "2")])
    assert read_request([data + b"\x81"]) == (expected, b"\x81")
    assert read_request(bytewise(data + b"\x81")) == (expected, b"\x81")
    request = read_request([data])[0]
    assert request.headers.items() == (("Host", "a"), ("X-Y", "z\xe9"), ("x-y", "2"))
    assert RequestReader().receive_data(data) == expected


def test_it_is_returned_once():
    reader = RequestReader(LIMITS)
    assert reader.receive_data(get()) is not None
    assert reader.receive_data(b"a") is None
    assert reader.receive_data(b"b") is None
    assert reader.trailing == b"ab"


@pytest.mark.parametrize("method", [b"POST", b"get", b"OPTIONS", b"CONNECT", b"X"])
def test_a1_only_get(method):
    data = method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    assert refusal(data) == (405, f"only GET is served, not '{method.decode()}'")
    with pytest.raises(BadRequest) as caught:
        RequestReader(LIMITS).receive_data(data)
    assert caught.value.response.headers["Allow"] == "GET"


@pytest.mark.parametrize("version", [b"1.0", b"1.2", b"2.0", b"2", b"3.0", b"0.9", b"11.1"])
def test_a2_a3_only_http_1_1(version):
    assert refusal(b"GET / HTTP/" + version + b"\r\nUpgrade: websocket\r\n\r\n")[0] == 505


def test_a3_http2_preface():
    assert refusal(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")[0] == 505


@pytest.mark.parametrize(
    "line",
    [
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET / /b HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/x.y",
        b"GET / HTTP/",
        b"GET / XHTTP/1.1",
        b"G:T / HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET a:80 HTTP/1.1",
        b"GET x HTTP/1.1",
        b"GET ftp://a/ HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET http:// HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http://u@a/ HTTP/1.1",
        b"GET http://a:99999/ HTTP/1.1",
    ],
)
def test_malformed_request_lines(line):
    status, message = refusal(line + b"\r\nHost: a\r\n\r\n")
    assert status == 400
    assert message.startswith("bad request: ")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Host: a", b"Host: a"],
        [b"Host:"],
        [b"Host: \xff"],
        [b"Host: a:99999"],
        [b"Host: [::1"],
        [b"Host: a, b"],
        [b"Host: a/b"],
    ],
)
def test_a4_a5_bad_hosts(lines):
    head = b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""])
    assert refusal(head)[0] == 400


@pytest.mark.parametrize("host", [b"xn--a", b"a..b", b"x" * 70, b"[::1]:80", b"a_b:"])
def test_a5_odd_hosts_are_opaque(host):
    assert read_request([get(host=b"Host: " + host)])[0].host == host.decode()


def test_a10_too_many_headers():
    assert refusal(get(*[b"A: b"] * 8))[0] == 431
    assert read_request([get(*[b"A: b"] * 7)])[0].headers.get_all("a") == ("b",) * 7


def test_a15_too_long():
    assert refusal(b"GET /" + b"x" * 600)[0] == 414
    assert refusal(get(b"X: " + b"y" * 600))[0] == 431


@pytest.mark.parametrize(
    "line", [b"X: a\nY: b", b"X: a\rb", b"X: \0", b" folded", b"X : a", b": a", b"X"]
)
def test_a19_nothing_lenient(line):
    assert refusal(get(line))[0] == 400


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5"],
        [b"Content-Length: 00"],
        [b"Content-Length: +0"],
        [b"Content-Length: 0x0"],
        [b"Content-Length:"],
        [b"Content-Length: 0", b"Content-Length: 5"],
        [b"Content-Length: \xb2"],
        [b"Content-Length: " + b"0" * 30],
        [b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Content-Length: 0", b"Transfer-Encoding: chunked"],
    ],
)
def test_a20_no_body(lines):
    assert refusal(get(*lines))[0] == 400


@pytest.mark.parametrize(
    "lines",
    [[b"Content-Length: 0"], [b"Content-Length: 0", b"content-length: 0"], [b"Content-Length:0,0"]],
)
def test_a21_a_length_of_0(lines):
    assert read_request([get(*lines)])[0].headers["Content-Length"] == "0"


def test_a22_pipelined_bytes():
    assert read_request([get() + b"x" * 10])[1] == b"x" * 10
    assert refusal(get() + b"x" * 11) == (
        400,
        "more than 10 bytes behind the request (Limits.pipelined)",
    )
    reader = RequestReader(LIMITS)
    reader.receive_data(get() + b"x" * 9)
    reader.receive_data(b"x")
    with pytest.raises(BadRequest):
        reader.receive_data(b"x")
    assert reader.trailing == b"x" * 10


@pytest.mark.parametrize("scheme", [b"http", b"https", b"ws", b"WSS"])
def test_a27_absolute_form(scheme):
    request = read_request([get(target=scheme + b"://evil:8080/a?b")])[0]
    assert request.path == "/a"
    assert request.query.raw == "b"
    assert request.host == "evil:8080"


@pytest.mark.parametrize("data", [b"\x1b[31m", b"GET /\x1b[31m", b"G\x1bT " + b"x" * 400])
def test_a108_escapes_in_messages(data):
    assert refusal(data)[0] == 400


request_bytes = st.sampled_from(
    [get(), get(b"X: y") + b"tail", get(b"Content-Length: 5"), b"POST / HTTP/1.1\r\n\r\n"]
) | wire(["GET ", "/ ", "HTTP/1.1", "\r\n", "Host: a\r\n", "X: ", "http://", "1", "\0"], 15)


@given(request_bytes, st.lists(st.integers(0, 10**6), max_size=5))
def test_cut_requests(data, cuts):
    expected = read_request([data])
    assert read_request(cut(data, cuts)) == expected
    assert read_request(bytewise(data)) == expected


@given(st.binary() | st.binary().map(get) | st.binary().map(lambda data: get(target=data)))
def test_nothing_but_bad_request(data):
    read_request([data])


# ---- responses ---------------------------------------------------------------------------------


def read_response(pieces, *, eof=False, body_limit=20):
    reader = ResponseReader(LIMITS, body_limit)
    response = None
    try:
        for piece in pieces:
            response = reader.receive_data(piece) or response
        if eof:
            response = reader.receive_eof() or response
    except BadResponse as error:
        check_message(error, 500)
        return str(error).partition(":")[0]
    return response, reader.trailing


def both(data, **options):
    result = read_response([data], **options)
    assert read_response(bytewise(data), **options) == result
    return result


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = Response(101, {"Upgrade": "websocket"})


def test_b39_a_101_and_what_follows():
    assert both(SWITCH) == (SWITCHED, b"")
    assert both(SWITCH + b"\x81\x00") == (SWITCHED, b"\x81\x00")
    assert ResponseReader().receive_data(SWITCH) == SWITCHED


def test_a_101_is_returned_once():
    reader = ResponseReader(LIMITS)
    assert reader.partial() is None
    assert reader.receive_data(SWITCH + b"a") == SWITCHED
    assert reader.receive_data(b"b") is None
    assert reader.receive_eof() is None
    assert reader.trailing == b"ab"
    assert reader.partial() == SWITCHED


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_b40_a_101_has_no_body(line):
    data = SWITCH[:-2] + line + b"\r\n\r\n"
    response, trailing = both(data + b"\x81\x03abc")
    assert response.status == 101
    assert trailing == b"\x81\x03abc"


def test_interim_responses_are_skipped():
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    assert both(interim + SWITCH + b"x") == (SWITCHED, b"x")
    assert both(b"HTTP/1.1 100\r\n\r\n" * 8 + SWITCH) == (SWITCHED, b"")
    assert both(b"HTTP/1.1 100\r\n\r\n" * 9 + SWITCH) == "more than 8 interim responses"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nabcd", b"abc"),
        (b"HTTP/1.1 403\r\ncontent-length: 0\r\n\r\nabcd", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\nabcd", b""),
        (b"HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\nabcd", b""),
        (b"HTTP/1.0 500 \xe9\r\nContent-Length: 1\r\n\r\na", b"a"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 25, b"x" * 20),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 25, b"x" * 20),
    ],
)
def test_b37_bodies(data, body):
    response, trailing = both(data)
    assert response.status == int(data[9:12])
    assert response.body == body
    assert trailing == b""


def test_a_refusal_is_returned_once():
    reader = ResponseReader(LIMITS)
    response = reader.receive_data(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    assert response == Response(403, {"Content-Length": "0"})
    assert reader.receive_data(b"x") is None
    assert reader.receive_eof() is None
    assert reader.partial() == response


@pytest.mark.parametrize(
    "framing", [b"", b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_eof_ends_a_body(framing):
    start = b"3\r\n" if b"chunked" in framing else b""
    data = b"HTTP/1.1 403 No\r\n" + framing + b"\r\n" + start + b"ab"
    assert both(data) == (None, b"")
    response, trailing = both(data, eof=True)
    assert (response.status, response.body, trailing) == (403, b"ab", b"")


def test_partial_is_what_there_is():
    reader = ResponseReader(LIMITS)
    assert reader.receive_data(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n") is None
    assert reader.partial() is None
    assert reader.receive_data(b"\r\nab") is None
    assert reader.partial() == Response(503, {"Content-Length": "9"}, b"ab")
    whole = Response(503, {"Content-Length": "9"}, b"abcdefghi")
    assert reader.receive_data(b"cdefghijk") == whole


def test_eof_before_an_answer():
    with pytest.raises(BadResponse, match=r"^the server closed the connection before answering$"):
        ResponseReader(LIMITS).receive_eof()
    reader = ResponseReader(LIMITS)
    reader.receive_data(b"HTTP/1.1 1")
    with pytest.raises(BadResponse, match=r"after 10 bytes of an answer: 'HTTP/1.1 1'$"):
        reader.receive_eof()
    reader = ResponseReader(LIMITS)
    reader.receive_data(b"HTTP/1.1 100 \r\n\r\n")
    with pytest.raises(BadResponse, match="after 17 bytes"):
        reader.receive_eof()
    reader = ResponseReader(LIMITS)
    reader.receive_data(b"HTTP/1.1 100 \r\n\r\nHTT")
    with pytest.raises(BadResponse, match=r"after 20 bytes of an answer: 'HTT'$"):
        reader.receive_eof()


def test_what_is_not_http_is_shown():
    with pytest.raises(BadResponse, match=r"not good HTTP: an SSH banner: 'SSH-2.0\\x1b\[31m'$"):
        ResponseReader(LIMITS).receive_data(b"SSH-2.0\x1b[31m\r\nmore")
    with pytest.raises(BadResponse, match=r"does not start with HTTP/1: '220 ready\?'$"):
        ResponseReader(LIMITS).receive_data(b"220 ready?\r\n")
    with pytest.raises(BadResponse, match=r"\.\.\.$") as caught:
        ResponseReader(LIMITS).receive_data(b"\x17\x03\x01" * 9_999)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 0x9 OK\r\n\r\n",
        b"HTTP/1.10099 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 600,
    ],
)
def test_bad_answers(data):
    assert both(data) == "the server's answer is not good HTTP"


@pytest.mark.parametrize("status", [b"600", b"999", b"099", b"001", b"000"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_what_is_no_status_is_an_answer_all_the_same(status, version):
    # RFC 9110 section 15: as one of 5xx.
    head = b"HTTP/" + version + b" " + status + b" Denied\r\nRetry-After: 9\r\n"
    response, trailing = both(head + b"Content-Length: 3\r\n\r\nbot")
    assert (response.status, response.body, trailing) == (int(status), b"bot", b"")
    assert response.headers["Retry-After"] == "9"
    assert response.reason_phrase == "Unknown"
    response, _ = both(head + b"\r\nbo", eof=True)
    assert (response.status, response.body) == (int(status), b"bo")


def failure_of(reader, data):
    """The text of what `data`, and then the end of the stream, raises."""
    try:
        reader.receive_data(data)
        reader.receive_eof()
    except BadResponse as error:
        check_message(error)
        return str(error)
    raise AssertionError(data)


@pytest.mark.parametrize(
    ("is_plain", "data", "says"),
    [
        (True, b"", "closed the connection before answering: is it wss://?"),
        (False, b"", "closed the connection before answering"),
        (True, b"\x15\x03\x03", "is not HTTP: the server speaks TLS: is it wss://?"),
        (False, b"\x15\x03\x03", "is not HTTP: the server speaks TLS"),
        (True, b"HTTP", "after 4 bytes of an answer: 'HTTP'"),
        (True, b"SSH-2.0-x\r\n", "an SSH banner: 'SSH-2.0-x'"),
    ],
)
def test_whether_it_may_be_tls(is_plain, data, says):
    reader = ResponseReader(LIMITS, is_plain=is_plain)
    assert failure_of(reader, data).endswith(says)
    assert str(reader.cut_short("it broke")).startswith("it broke")


@pytest.mark.parametrize(
    "line",
    [
        b"GET /?SECRET HTTP/1.1 ",
        b"GET /?SECRET  HTTP/1.1",
        b"GET /?SECRET HTTP/1.1 HTTP/1.1",
        b"GET /?SECRET HTTX/1.1",
        b"GET /?SECRET",
        b"GET ?SECRET HTTP/1.1",
        b"GET x?SECRET HTTP/1.1",
        b"GET /#SECRET HTTP/1.1",
        b"GET /?x=SECRET#x HTTP/1.1",
        b"GET http://u:SECRET@h/ HTTP/1.1",
        b"GET ftp://u:SECRET@h/ HTTP/1.1",
        b"GET u:SECRET@h HTTP/1.1",
        b"POST /?SECRET HTTP/1.1",
        b"POST /?SECRET HTTP/1.0",
    ],
)
def test_a_refused_request_line_shows_no_secret(line):
    status, message = refusal(line + b"\r\nHost: h\r\nCookie: SECRET\r\n\r\n")
    assert status in {400, 405, 505}
    assert "SECRET" not in message
    assert "bytearray" not in message


@pytest.mark.parametrize(
    "lines",
    [
        [b"Host: u:SECRET@h"],
        [b"Host: u:SECRET@h:80"],
        [b"Host: h", b"Cookie: SECRET", b"bad header"],
        [b"Host: h", b"Cookie: SECRET\0"],
        [b"Host: h", b"Cookie: SECRET\n"],
        [b"Host: h", b"Cookie: x", b" SECRET"],
        [b"Host: h", b"Host: h", b"Authorization: SECRET"],
        [b"Authorization: SECRET"],
        [b"Host: h", b"Authorization: SECRET", b"Content-Length: x"],
        [b"Host: h", b"Authorization: SECRET", b"Content-Length: 5"],
        [b"Host: h", b"Cookie: SECRET" * 100],
    ],
)
def test_refused_headers_show_no_secret(lines):
    status, message = refusal(b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""]))
    assert status in {400, 431}
    assert "SECRET" not in message


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nSet-Cookie: SECRET\r\nX y\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: SECRET\0",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: SECRET\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nSet-Cookie: SECRET\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: SECRET",
        b"HTTP/1.1 101 OK\r\nSet-Cookie: SECRET",
        b"Set-Cookie: SECRET\r\n\r\n",
        b"GET /?x=SECRET HTTP/1.1\r\n",  # an echo server
        b"\r\nGET ws://u:SECRET@h/ HTTP/1.1\r\n",
    ],
)
def test_a_bad_answer_shows_no_secret(data):
    message = failure_of(ResponseReader(LIMITS), data)
    assert "SECRET" not in message
    assert "bytearray" not in message


@pytest.mark.parametrize("version", [b"1.0", b"1.2"])
def test_a_101_is_in_http_1_1(version):
    data = SWITCH.replace(b"1.1", version)
    assert both(data).startswith("the server switched protocols in HTTP version")


response_bytes = st.sampled_from(
    [SWITCH + b"tail", b"HTTP/1.1 100 \r\n\r\n" + SWITCH, b"HTTP/1.0 403 x\r\n\r\nbody"]
) | wire(
    ["HTTP/1.1 ", "101", "100", "200 ", "\r\n", "Content-Length: ", "1", "X: ", "\r\n\r\n", "\0"],
    15,
)


@given(response_bytes, st.lists(st.integers(0, 10**6), max_size=5), st.booleans())
def test_cut_responses(data, cuts, eof):
    expected = both(data, eof=eof)
    assert read_response(cut(data, cuts), eof=eof) == expected


@given(st.binary() | st.binary().map(lambda data: b"HTTP/1.1 " + data), st.booleans())
def test_nothing_but_bad_response(data, eof):
    read_response([data], eof=eof)

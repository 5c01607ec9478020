import pytest

from trio_wsendpoint.handshake import Headers, Response
from trio_wsendpoint.http import BodyMismatch, HttpDate, answer_without_handler
from trio_wsendpoint.http.answers import Answer, check_trailers, early_hints


def lines_of(answer):
    head, end = answer.head.split(b"\r\n\r\n")
    assert end == b""
    return head.decode("iso-8859-1").split("\r\n")


def test_the_date_is_made_once_a_second():
    now = [784111777.9]
    date = HttpDate(lambda: now[0])
    assert str(date) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert str(date) is str(date)
    now[0] += 1
    assert str(date) == "Sun, 06 Nov 1994 08:49:38 GMT"
    assert str(HttpDate()).endswith(" GMT")


def test_a_body_of_known_length():
    answer = Answer(200, {"X": "\xe9"}, length=5, date="then")
    assert lines_of(answer) == ["HTTP/1.1 200 OK", "X: \xe9", "Date: then", "Content-Length: 5"]
    assert (answer.closes, answer.is_chunked) == (False, False)
    assert answer.write(b"abc") == b"abc"
    assert answer.write(b"") == b""
    assert answer.write(bytearray(b"d")) + answer.write(memoryview(b"e")) == b"de"
    assert answer.finish() == b""


def test_the_declared_length():
    answer = Answer(200, {"content-length": "003", "Date": "mine"}, date="then")
    assert lines_of(answer) == ["HTTP/1.1 200 OK", "Date: mine", "Content-Length: 3"]
    assert Answer(200, {"Content-Length": "3"}, length=3).write(b"abc") == b"abc"


def test_chunks():
    answer = Answer(200)
    assert lines_of(answer) == ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    assert answer.is_chunked
    assert answer.write(b"abc") == b"3\r\nabc\r\n"
    assert answer.write(b"") == b""
    assert answer.write(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"
    assert answer.finish() == b"0\r\n\r\n"


def test_http_1_0_is_never_chunked():
    answer = Answer(200, {"Transfer-Encoding": "chunked"}, version="1.0")
    assert lines_of(answer) == ["HTTP/1.1 200 OK", "Connection: close"]
    assert (answer.closes, answer.is_chunked) == (True, False)
    assert answer.write(b"abc") + answer.finish() == b"abc"


@pytest.mark.parametrize(
    ("status", "options", "expected"),
    [
        (204, {}, []),
        (204, {"headers": {"Content-Length": "5"}}, []),
        (204, {"headers": {"Transfer-Encoding": "chunked"}, "length": 3}, []),
        (205, {}, ["Content-Length: 0"]),
        (205, {"length": 3}, ["Content-Length: 0"]),
        (304, {"length": 0}, []),
        (304, {"headers": {"Content-Length": "5"}}, ["Content-Length: 5"]),
        (200, {"method": "HEAD", "length": 5}, ["Content-Length: 5"]),
        (200, {"method": "HEAD", "headers": {"Content-Length": "5"}, "length": 0},
         ["Content-Length: 5"]),
        (200, {"method": "HEAD"}, ["Transfer-Encoding: chunked"]),
        (200, {"method": "HEAD", "version": "1.0"}, []),
    ],
)  # fmt: skip
def test_answers_without_a_body(status, options, expected):
    answer = Answer(status, **options)
    assert lines_of(answer)[1:] == expected
    assert answer.write(b"abc") == b""
    assert answer.finish() == b""
    assert not answer.closes


@pytest.mark.parametrize(
    ("headers", "close", "expected"),
    [
        ([], False, []),
        ([], True, ["Connection: close"]),
        ([("Connection", "Close")], False, ["Connection: close"]),
        ([("Connection", "keep-alive, x")], False, ["Connection: x"]),
        ([("Connection", "Upgrade"), ("connection", ", ")], True, ["Connection: Upgrade, close"]),
        ([("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x"), ("Trailer", "A")], False, []),
        ([("Upgrade", "websocket")], False, ["Upgrade: websocket"]),
    ],
)
def test_what_is_between_the_hops(headers, close, expected):
    answer = Answer(200, headers, length=0, close=close)
    assert lines_of(answer)[1:] == sorted(
        [*expected, "Content-Length: 0"], key=lambda line: line.startswith("Conn")
    )
    assert answer.closes is any("close" in line for line in expected)


def test_the_reason_is_ours():
    assert lines_of(Answer(404, length=0))[0] == "HTTP/1.1 404 Not Found"
    assert lines_of(Answer(299, length=0))[0] == "HTTP/1.1 299 Unknown"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"status": 99}, ValueError),
        ({"status": 100}, ValueError),
        ({"status": 101}, ValueError),
        ({"status": 103}, ValueError),
        ({"status": 600}, ValueError),
        ({"status": True}, TypeError),
        ({"status": "200"}, TypeError),
        ({"headers": {"X": "a\r\nY: b"}}, ValueError),
        ({"headers": {"X Y": "a"}}, ValueError),
        ({"headers": {"Content-Length": "-1"}}, ValueError),
        ({"headers": {"Content-Length": "9" * 19}}, ValueError),
        ({"headers": [("Content-Length", "1"), ("content-length", "1")]}, ValueError),
        ({"headers": {"Content-Length": "4"}, "length": 3}, BodyMismatch),
    ],
)
def test_what_may_not_go_on_the_wire(options, error):
    with pytest.raises(error):
        Answer(**{"status": 200} | options)


def test_a_body_of_another_length_than_declared():
    answer = Answer(200, length=3)
    with pytest.raises(BodyMismatch, match="1 bytes more than declared"):
        answer.write(b"abcd")
    answer.write(b"a")
    with pytest.raises(BodyMismatch, match="2 bytes fewer than declared"):
        answer.finish()


def test_a_body_that_is_no_bytes():
    with pytest.raises(TypeError, match="is bytes, not str"):
        Answer(200).write("abc")  # type: ignore[arg-type]


def test_without_a_handler():
    for method in ("GET", "HEAD"):
        response = answer_without_handler(method, "/x")
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
    assert answer_without_handler("OPTIONS", "*") == Response(204, {"Allow": "GET, HEAD"})
    for method, target in (("POST", "/"), ("OPTIONS", "/"), ("get", "/")):
        response = answer_without_handler(method, target)
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_trailers_follow_chunks_alone() -> None:
    trailers = Headers({"X-Sum": "1"})
    assert Answer(200).finish(trailers) == b"0\r\nX-Sum: 1\r\n\r\n"
    assert Answer(200, length=0).finish(trailers) == b""
    assert Answer(200, method="HEAD").finish(trailers) == b""


def test_what_may_not_be_a_trailer() -> None:
    check_trailers(Headers({"X-Sum": "1"}))
    for name in ("Transfer-Encoding", "content-length", "Set-Cookie", "Trailer"):
        with pytest.raises(ValueError, match="may not be a trailer"):
            check_trailers(Headers({name: "1"}))


def test_early_hints() -> None:
    hints = early_hints(["</a>; rel=preload", "</b>"])
    assert hints == b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>\r\n\r\n"
    with pytest.raises(ValueError, match="Link"):
        early_hints(["a\nb"])

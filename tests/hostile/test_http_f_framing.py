"""Section F: framing and smuggling, in plain HTTP.

Each input is given as a whole, in pieces, and behind a good request of the same connection.
"""

from __future__ import annotations

import pytest

from tests.http.wire import request, served
from trio_wsendpoint.http import HttpLimits, Phase

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


def post(*lines, body=b"", first="POST / HTTP/1.1"):
    return request(*lines, first=first, body=body)


def chunked(body):
    return post(CHUNKED, body=body)


def check(status, *inputs, http=None):
    """Each input gets `status`, which closes, and nothing behind it is served."""
    for data in inputs:
        whole = data + SMUGGLED
        for result, before in (
            (served(whole, http=http), []),
            (served(whole, http=http, pieces=1), []),
            (served(request() + whole, http=http, pieces=7), [200]),
        ):
            assert result.statuses == [*before, status], data
            assert result.closes, data
            assert all(head.request.target == "/" for head in result.heads), data


def check_served(data, bodies):
    """The bodies are as they are told, however they are cut."""
    for pieces in (None, 1, 7):
        result = served(data, pieces=pieces)
        assert result.bodies == bodies
        assert result.statuses == [200] * len(bodies)
        assert not result.closes
        assert result.http.phase is Phase.IDLE


def test_f117_both_lengths_and_chunks():
    body = b"0\r\n\r\n"
    check(
        400,
        post("Content-Length: 4", CHUNKED, body=body),
        post(CHUNKED, "Content-Length: 4", body=body),
        post(CHUNKED, "Content-Length: 5", body=body, first="POST / HTTP/1.0"),
        request(CHUNKED, "Content-Length: 5", body=body),
    )


def test_f118_content_length_twice():
    check(
        400,
        post("Content-Length: 3", "Content-Length: 3", body=b"abc"),
        post("Content-Length: 3", "content-length: 4", body=b"abc"),
        post("Content-Length: 3, 3", body=b"abc"),
        post("Content-Length: 3,4", body=b"abc"),
    )


def test_f119_content_length_that_is_no_number():
    texts = ["+3", "-3", "0x3", "3,", "", "\xb3", "3_0", "3.0", "3 3", "3;a", '"3"', "0b1", "1e1"]
    check(400, *(post(f"Content-Length: {text}", body=b"abc") for text in texts))
    check_served(post("Content-Length: 003", body=b"abc") + request(), [b"abc", b""])


def test_f120_content_length_over_the_limit():
    http = HttpLimits(body_size=10)
    for text in ("11", "9" * 20, "9" * 5000):
        check(413, post(f"Content-Length: {text}"), http=http)
        check(413, post(f"Content-Length: {text}", "Expect: 100-continue"), http=http)
    check(413, post("Content-Length: " + "9" * 20), http=HttpLimits(body_size=None))


def test_f121_other_transfer_codings():
    codings = ["xchunked", "gzip, chunked", '"chunked"', "chunked,", "", "identity", "chunked x"]
    check(501, *(post(f"Transfer-Encoding: {coding}") for coding in codings))
    check(501, post(CHUNKED, CHUNKED), post(CHUNKED, "Transfer-Encoding: identity"))


def test_f122_chunks_in_http_1_0():
    first = "POST / HTTP/1.0"
    check(
        400,
        post(CHUNKED, body=b"0\r\n\r\n", first=first),
        post("Transfer-Encoding: x", first=first),
    )


def test_f123_every_head_is_checked_alike_and_trailers_are():
    bad = [b"X: a\n", b"X : a\r\n", b" X: a\r\n", b"X: a\r\n b\r\n", b"X: \0\r\n", b"X: a\rb\r\n"]
    bad += [b"X\r\n", b": a\r\n", b"X(: a\r\n", b"X: \x7f\r\n"]
    for line in bad:
        check(400, request()[:-2] + line + b"\r\n", chunked(b"0\r\n" + line + b"\r\n"))
    result = served(request() * 3 + request()[:-2] + b"X: \0\r\n\r\n" + SMUGGLED)
    assert result.statuses == [200, 200, 200, 400]


def test_f124_an_underscore_is_no_hyphen():
    result = served(
        post("Transfer_Encoding: chunked", "Content_Length: 3", "X_Forwarded_For: 1.2.3.4")
        + request()
    )
    assert result.bodies == [b"", b""]
    headers = result.heads[0].request.headers
    assert "X-Forwarded-For" not in headers
    assert headers["X_Forwarded_For"] == "1.2.3.4"


def test_f125_an_empty_line_before_a_request():
    for data in (b"\r\n" + request() * 2, post("Content-Length: 3", body=b"abc\r\n") + request()):
        result = served(data, pieces=1)
        assert result.statuses == [200, 200]
    check(400, b"\r\n\r\n" + request(), b"\n" + request(), b"\r" + request())


def test_f126_chunk_lines():
    lines = [b"3\n", b"3;a\nb\r\n", b" 3\r\n", b"+3\r\n", b"0x3\r\n", b"3_0\r\n", b"\r\n"]
    lines += [b"3 ;a\r\n", b"3\t\r\n", b"-3\r\n", b"\xb3\r\n", b"3,3\r\n", b"3;\r\n", b"3  \r\n"]
    check(400, *(chunked(line + b"abc\r\n0\r\n\r\n") for line in lines))
    check(400, *(chunked(b"1\r\na\r\n" + line + b"abc\r\n0\r\n\r\n") for line in lines))


def test_f127_chunk_extensions():
    bad = [b"a\x01", b"a\rb", b"a\0", b"a\x7f", b"a" * 256, b"a=" + b"b" * 300, b'a="b\x01"']
    check(400, *(chunked(b"3;" + extension + b"\r\nabc\r\n0\r\n\r\n") for extension in bad))
    # Bounded in all, though each is short.
    check(
        400, chunked(b"1;a=" + b"b" * 100 + b"\r\nx\r\n" + (b"1;" + b"a" * 99 + b"\r\nx\r\n") * 40)
    )
    check_served(chunked(b'3;a;b=c;d="e f"\r\nabc\r\n0;x=y\r\n\r\n') + request(), [b"abc", b""])


def test_f128_chunk_sizes():
    check(400, chunked(b"0" * 16 + b"3\r\nabc\r\n0\r\n\r\n"), chunked(b"f" * 17 + b"\r\n"))
    http = HttpLimits(body_size=10)
    check(413, chunked(b"f" * 16 + b"\r\n"), chunked(b"b\r\n"), http=http)
    check(413, chunked(b"5\r\nabcde\r\n6\r\n"), http=http)  # before the data
    check(413, chunked(b"f" * 16 + b"\r\n"), http=None)


def test_f129_what_is_behind_the_data_of_a_chunk():
    check(
        400,
        *(chunked(b"3\r\nabc" + end) for end in (b"XX", b"\n", b"\rX", b"\r\r\n", b"0\r\n\r\n")),
    )


def test_f130_chunks_of_one_byte():
    result = served(chunked(b"1\r\nx\r\n" * 40_000), pieces=65536)
    assert result.statuses == [400]
    assert result.closes
    # And a body in small, honest pieces is none of that.
    body = b"40\r\n" + b"x" * 64 + b"\r\n"
    result = served(chunked(body * 10_000 + b"0\r\n\r\n"), pieces=65536)
    assert result.statuses == [200]


def test_f130_a_step_takes_64_chunks():
    http = served(post()).http
    http.receive_data(chunked(b"1\r\nx\r\n" * 1000), 0)
    assert http.next_request(0) is not None
    assert http.read_body(0) == b"x" * 64


def test_f131_trailers_are_dropped():
    trailers = b"Host: evil\r\nAuthorization: Basic eDp5\r\nX-Forwarded-For: 6.6.6.6\r\n"
    data = chunked(b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n") + request()
    check_served(data, [b"abc", b""])
    head = served(data).heads[0]
    assert head.request.host == "a"
    assert set(head.fields) == {"host", "transfer-encoding"}
    assert set(head.request.headers) == {"host", "transfer-encoding"}
    check(431, chunked(b"0\r\n" + b"X: aaaaaaaaaaaaaa\r\n" * 270 + b"\r\n"))
    check(431, chunked(b"0\r\nX: " + b"a" * 5000 + b"\r\n\r\n"))


def test_f132_no_empty_line_behind_the_last_chunk():
    check(400, chunked(b"3\r\nabc\r\n0\r\n") + request())


@pytest.mark.parametrize(
    "data",
    [
        post("Content-Length: 5", body=b"ab"),
        post("Content-Length: 5"),
        chunked(b"2\r\nab\r\n"),
        chunked(b"5\r\nab"),
        chunked(b"2\r\nab\r\n0\r\n"),
        chunked(b"2\r\nab\r\n0\r\nX: y\r\n"),
        chunked(b""),
    ],
)
def test_f133_a_body_that_is_cut_short(data):
    for pieces in (None, 1):
        result = served(data, pieces=pieces)
        assert (result.statuses, result.bodies) == ([], [])
        result.end()
        assert (result.statuses, result.bodies) == ([400], [])
        assert result.http.phase is Phase.CLOSED


def test_f134_cut_at_every_place():
    for body in (
        post("Content-Length: 3", body=b"abc"),
        chunked(b"2;x\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n"),
    ):
        data = body + request(first="GET /next HTTP/1.1")
        for at in range(len(data)):
            result = served(data[:at])
            result.receive(data[at:])
            assert result.bodies == [b"abc", b""]
            assert result.heads[1].request.target == "/next"

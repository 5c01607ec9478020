"""The checks of heads and the reader of bodies, held to h11 where h11 is right.

What ours takes, h11 takes, and understands in the same way.  What h11 refuses, ours refuses.
Where ours refuses what h11 takes, the reason is one of those in `STRICTER`.
"""

from __future__ import annotations

import re
from collections import Counter

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import HttpConnection, HttpLimits
from trio_wsendpoint.options import Limits

#: What h11 takes and ours does not, on purpose: the beginnings of our reasons.
STRICTER = {
    "both framings": "both Content-Length and Transfer-Encoding",
    "two lengths": "more than one Content-Length",
    "one length, listed twice": "Content-Length '3, 3' is no number",
    "chunks in HTTP/1.0": "Transfer-Encoding in HTTP/1.0",
    "line ends": "a bare LF",
    "folded lines": "a folded header line",
    "control characters": r"the byte b'\\x(01|7f)' in (the|a) (?!chunk)",
    "control characters in chunk lines": "the byte b'.*' in a chunk line",
    "version": r"only HTTP/1\.0 and 1\.1",
    "target": "the target '",
    "host": "'.*' (has no host|is not the name of a host|is not a port)",
    "method": "(CONNECT|TRACE) is not served",
    "expectation": "the expectation '",
    "chunk extensions": "the chunk line b'",
    "a bare CR in a chunk line": "a bare CR in a chunk line",
    "line ends of trailers": "bad trailers: (a bare LF|a bare CR)",
    "trailers": "bad trailers: the byte",
    "size": "a body of more than 1000 bytes",
    "openings with a body": "a GET with a body opens no WebSocket",
    "openings in HTTP/1.0": r"a WebSocket is opened in HTTP/1\.1, not in 1\.0",
    "options of Connection": "Connection: '",
}

FIRST = [
    "GET / HTTP/1.1",
    "POST /a?b HTTP/1.1",
    "POST / HTTP/1.0",
    "get /%41 HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "GET http://b:1/x HTTP/1.1",
    "CONNECT a:1 HTTP/1.1",
    "TRACE / HTTP/1.1",
    "GET /#x HTTP/1.1",
    "GET a HTTP/1.1",
    "GET / HTTP/1.2",
    "GET / HTTP/2.0",
    "G(T / HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET /",
    "GET / http/1.1",
    "",
    " GET / HTTP/1.1",
    "GET /\xe9 HTTP/1.1",
    "GET /\t HTTP/1.1",
]
LINES = [
    "Host: a",
    "Host: a:80",
    "host:b",
    "Host:",
    "Host: a b",
    "Host: a:x",
    "X: y",
    "X:\t y \t",
    "X: \xe9",
    "X: \x01",
    "X: \0",
    "X",
    ": y",
    "X : y",
    " X: y",
    "X:",
    "Content-Length: 3",
    "Content-Length: 003",
    "Content-Length: 0",
    "Content-Length: 3, 3",
    "Content-Length: +3",
    "Content-Length: 3,",
    "Content-Length: ",
    "Content-Length: 0x3",
    "Content-Length: 4",
    "Content-Length: \xb3",
    "Content-Length: 10000",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked ",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding:",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: a b",
    "Connection: keep-alive",
    "Expect: 100-continue",
    "Expect: foo",
    "Upgrade: h2c",
    "Upgrade: websocket",
]
BODIES = [
    b"abc",
    b"ab",
    b"",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n",
    b"3\r\nabcX\r\n0\r\n\r\n",
    b"3;a=b\r\nabc\r\n00\r\nA: b\r\n\r\n",
    b"3;\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b" 3\r\nabc\r\n0\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"3_0\r\n",
    b"g\r\n",
    b"3\nabc\n0\n\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    b"\r\n",
    b"3 ;a\r\nabc\r\n0\r\n\r\n",
    b"B\r\n01234567890\r\n0\r\n\r\n",
    b"0\r\nA: b\nC: d\r\n\r\n",
    b"0\r\nA\r\n\r\n",
    b"0\r\nA : b\r\n\r\n",
    b"0\r\nA: \x01\r\n\r\n",
    b"0\r\n\n",
    b"0\r\nGET / HTTP/1.1\r\n\r\n",
    b"fff\r\n",
    b'3;"\r\nabc\r\n0\r\n\r\n',
]


def ours(data, size):
    """Return what was understood, `None` if it is not complete, or the reason of a refusal."""
    http = HttpConnection(limits=Limits(head_size=4096), http=HttpLimits(body_size=1000))
    head, body = None, b""
    try:
        for at in range(0, len(data), size):
            http.receive_data(data[at : at + size], 0)
            head = head or http.next_request(0)
            while head is not None and (found := http.read_body(0)):
                body += found
    except BadRequest as error:
        return str(error)
    if head is None or http.read_body(0) is None:
        return None
    request = head.request
    items = [(name.lower(), value) for name, value in request.headers.items()]
    return request.method, request.target, request.http_version, items, body, http.trailing


def theirs(data, size):
    """Return the same as `ours`, of h11."""
    connection = h11.Connection(h11.SERVER)
    request, body = None, b""
    try:
        for at in range(0, len(data), size):
            connection.receive_data(data[at : at + size])
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
    except h11.RemoteProtocolError as error:
        return str(error)
    assert isinstance(request, h11.Request)
    fields = [request.method, request.target, request.http_version]
    items = [(name.decode("ascii"), value.decode("iso-8859-1")) for name, value in request.headers]
    return (*(field.decode("ascii") for field in fields), items, body, connection.trailing_data[0])


def kind_of(data, size):
    """Compare the two, and return the kind of difference; "" if there is none."""
    found, expected = ours(data, size), theirs(data, size)
    assert ours(data, len(data)) == found, "it depends on how the bytes were cut"
    if isinstance(found, tuple):
        assert found == expected
        return ""
    if found is None:
        # Empty lines before a request are passed over (RFC 9112 section 2.2); h11 refuses two.
        assert expected is None or not data.strip(b"\r\n")
        return ""
    if not isinstance(expected, tuple):
        return ""  # h11 refuses it as well, or cannot tell yet
    ours_says = found.removeprefix("bad request: ")
    kinds = [kind for kind, reason in STRICTER.items() if re.match(reason, ours_says)]
    assert len(kinds) == 1, f"h11 takes {data!r}: {found}"
    return kinds[0]


def join(first, lines, body, end="\r\n", behind=b""):
    return end.join([first, *lines, "", ""]).encode("iso-8859-1") + body + behind


@settings(max_examples=1500)
@given(
    st.one_of(st.sampled_from(FIRST[:4]), st.sampled_from(FIRST)),
    st.lists(st.one_of(st.sampled_from(LINES[6:8]), st.sampled_from(LINES)), max_size=4),
    st.sampled_from(BODIES),
    st.sampled_from([b"", b"G"]),
    st.integers(min_value=1, max_value=40),
    st.booleans(),
)
def test_whole_requests(first, lines, body, behind, size, has_host):
    hosts = ["Host: a"] if has_host else []
    kind_of(join(first, [*hosts, *lines], body, behind=behind), size)


@settings(max_examples=500)
@given(st.data())
def test_single_bytes_changed(data):
    line = data.draw(st.sampled_from(["Content-Length: 3", "Transfer-Encoding: chunked"]))
    body = b"abc" if "Length" in line else b"3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n"
    whole = bytearray(join("POST / HTTP/1.1", ["Host: a", line], body))
    at = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
    whole[at] = data.draw(st.sampled_from(b'\0\x01\t\n\r 03;:,"\\aZ\x7f\xe9'))
    kind_of(bytes(whole), data.draw(st.sampled_from([1, 7, 1000])))


CHUNKED = "Transfer-Encoding: chunked"
SIMPLE = ("POST / HTTP/1.1", ["Host: a"])
EXAMPLES = {
    "both framings": join(*SIMPLE, b"").replace(
        b"\r\n\r\n", b"\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "two lengths": join("POST / HTTP/1.1", ["Host: a", *["Content-Length: 3"] * 2], b"abc"),
    "one length, listed twice": join(
        "POST / HTTP/1.1", ["Host: a", "Content-Length: 3, 3"], b"abc"
    ),
    "chunks in HTTP/1.0": join("POST / HTTP/1.0", ["Host: a", CHUNKED], b"0\r\n\r\n"),
    "line ends": join(*SIMPLE, b"", end="\n"),
    "folded lines": join("GET / HTTP/1.1", ["Host: a", "X: y", " z"], b""),
    "control characters": join("GET / HTTP/1.1", ["Host: a", "X: \x01"], b""),
    "control characters in chunk lines": join(
        "POST / HTTP/1.1", ["Host: a", CHUNKED], b"0;a\0\r\n\r\n"
    ),
    "version": join("GET / HTTP/1.2", ["Host: a"], b""),
    "target": join("GET /#x HTTP/1.1", ["Host: a"], b""),
    "host": join("GET / HTTP/1.1", ["Host: a b"], b""),
    "method": join("TRACE / HTTP/1.1", ["Host: a"], b""),
    "expectation": join("GET / HTTP/1.1", ["Host: a", "Expect: foo"], b""),
    "chunk extensions": join("POST / HTTP/1.1", ["Host: a", CHUNKED], b"3;\r\nabc\r\n0\r\n\r\n"),
    "a bare CR in a chunk line": join("POST / HTTP/1.1", ["Host: a", CHUNKED], b"0;a\rb\r\n\r\n"),
    "line ends of trailers": join("POST / HTTP/1.1", ["Host: a", CHUNKED], b"0\r\nA: b\n\r\n"),
    "trailers": join("POST / HTTP/1.1", ["Host: a", CHUNKED], b"0\r\nA: \x01\r\n\r\n"),
    "size": join(
        "POST / HTTP/1.1", ["Host: a", CHUNKED], b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
    ),
    "openings with a body": join(
        "GET / HTTP/1.1", ["Host: a", "Upgrade: websocket", "Content-Length: 1"], b"a"
    ),
    "openings in HTTP/1.0": join("GET / HTTP/1.0", ["Upgrade: websocket"], b""),
    "options of Connection": join("GET / HTTP/1.1", ["Host: a", "Connection: a b"], b""),
}


@pytest.mark.parametrize("kind", STRICTER)
def test_each_difference_is_one(kind):
    assert kind_of(EXAMPLES[kind], 1000) == kind


def test_the_generator_reaches_both_sides():
    """Every first line, header line and body is taken somewhere, or refused by both."""
    outcomes = Counter(
        type(ours(join(first, ["Host: a", line], body), 1000)).__name__
        for first in FIRST[:2]
        for line in LINES
        for body in BODIES
    )
    assert min(outcomes[name] for name in ("tuple", "str", "NoneType")) > 20

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.head import BadHead, HeadReader
from trio_wsendpoint.options import Limits

from .fakes import bytewise, cut, wire

SMALL = Limits(head_size=128, header_count=3)
REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\nX-Y:\tb \xe9\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 \xe9\t!\r\nX: y\r\n\r\n"


def outcome(pieces, limits=SMALL, start="request"):
    """Everything that may not depend on where the bytes were cut."""
    reader = HeadReader(limits, start=start)
    head = None
    try:
        for piece in pieces:
            head = reader.receive_data(piece) or head
            assert len(reader.held) <= limits.head_size
    except BadHead as error:
        return error.status, str(error)
    return head, reader.trailing, reader.complete


def refused_at(data, limits=SMALL, start="request"):
    """Return the status, and how many bytes it took."""
    reader = HeadReader(limits, start=start)
    for count, piece in enumerate(bytewise(data), 1):
        try:
            assert reader.receive_data(piece) is None
        except BadHead as error:
            return error.status, count
    return None


def test_a_whole_head():
    reader = HeadReader(SMALL)
    assert reader.receive_data(REQUEST + b"behind") == REQUEST
    assert reader.trailing == b"behind"
    assert reader.receive_data(b" it") is None
    assert reader.trailing == b"behind it"


def test_in_bytes():
    assert outcome(bytewise(REQUEST + b"tail")) == (REQUEST, b"tail", True)
    assert outcome(bytewise(RESPONSE + b"tail"), start="response") == (RESPONSE, b"tail", True)


def test_held_tells_what_came():
    reader = HeadReader(SMALL)
    assert reader.receive_data(b"") is None
    assert reader.receive_data(b"GET /") is None
    assert reader.held == b"GET /"
    with pytest.raises(BadHead):
        reader.receive_data(b"x\ny")
    assert reader.held == b"GET /x\ny"


def test_one_empty_line_may_come_first():
    assert outcome([b"\r\n" + REQUEST]) == (REQUEST, b"", True)
    # Two may be those of a PROXY protocol header, which the next byte tells.
    assert refused_at(b"\r\n\r\n") is None
    assert refused_at(b"\r\n\r\nG") == (400, 5)
    assert outcome([b"\r\n\r\nG"]) == (400, "an empty line where the message should start")
    assert refused_at(b"\rG") == (400, 2)
    assert refused_at(b"\r\n", start="response") == (400, 1)


NOT_READ = ": it is not read here (proxy_protocol=True reads it)"


@pytest.mark.parametrize(
    ("before", "bad"),
    [
        (b"", b"\n"),
        (b"", b"\x16"),  # a TLS greeting
        (b"", b" "),
        (b"", b":"),
        (b"", b"\xe9"),
        (b"GET /", b"\xff"),
        (b"GET /", b"\t"),
        (b"GET /", b"\0"),
        (b"GET / HTTP/1.1", b"\n"),
        (b"GET / HTTP/1.1\r", b"X"),
        (b"GET / HTTP/1.1\r", b"\r"),
        (b"GET / HTTP/1.1\r\n", b"\n"),
        (b"GET / HTTP/1.1\r\n", b" "),
        (b"GET / HTTP/1.1\r\n", b"\t"),
        (b"GET / HTTP/1.1\r\n", b":"),
        (b"GET / HTTP/1.1\r\n", b"\0"),
        (b"GET / HTTP/1.1\r\nX", b" "),
        (b"GET / HTTP/1.1\r\nX", b"\r"),
        (b"GET / HTTP/1.1\r\nX", b"\n"),
        (b"GET / HTTP/1.1\r\nX", b"\xe9"),
        (b"GET / HTTP/1.1\r\nX:", b"\n"),
        (b"GET / HTTP/1.1\r\nX: y", b"\n"),
        (b"GET / HTTP/1.1\r\nX: y", b"\0"),
        (b"GET / HTTP/1.1\r\nX: y", b"\x7f"),
        (b"GET / HTTP/1.1\r\nX: y\r", b"\0"),
        (b"GET / HTTP/1.1\r\nX: y\r\n", b" "),
        (b"GET / HTTP/1.1\r\nX: y\r\n\r", b"X"),
    ],
)
def test_the_earliest_byte_that_shows_it(before, bad):
    # A19.
    assert refused_at(before) is None
    assert refused_at(before + bad) == (400, len(before) + 1)
    assert outcome([before + bad + b" and more"])[0] == 400


@pytest.mark.parametrize(
    ("start", "first", "status", "name"),
    [
        ("request", b"\x16", 400, "a TLS hello: this port speaks no TLS"),
        ("request", b"\x15", 400, "a TLS hello: this port speaks no TLS"),
        (
            "request",
            b"PROXY ",
            400,
            f"a PROXY protocol header (version 1){NOT_READ}",
        ),
        (
            "request",
            b"\r\n\r\n\0\r\nQUIT\n",
            400,
            f"a PROXY protocol header (version 2){NOT_READ}",
        ),
        ("request", b"SSH-", 400, "an SSH banner"),
        ("request", b"PRI * HTTP/2", 505, "an HTTP/2 preface: only HTTP/1.1 is served"),
        ("response", b"\x16", 400, "the server speaks TLS"),
        ("response", b"\x15", 400, "the server speaks TLS"),
        ("response", b"SSH-", 400, "an SSH banner"),
        ("response", b"\0\0\x12\4\0\0\0\0\0", 400, "the server speaks HTTP/2"),
        ("response", b"\0\0\0\4\0\0\0\0\0", 400, "the server speaks HTTP/2"),
    ],
)
def test_another_protocol_is_called_what_it_is(start, first, status, name):
    assert refused_at(first[:-1], start=start) is None
    assert refused_at(first, start=start) == (status, len(first))
    assert outcome([first + b" and more" * 99], start=start) == (status, name)
    reader = HeadReader(SMALL, start=start)
    for count, piece in enumerate(bytewise(first[:-1]), 1):
        assert reader.receive_data(piece) is None
        assert reader.held == first[:count]
    with pytest.raises(BadHead):
        reader.receive_data(first[-1:])
    assert reader.held == first
    # What it may not become any more is as it would be without.
    assert outcome(bytewise(first[:-1] + b"?\n"), start=start)[1] != name


@pytest.mark.parametrize("method", [b"P", b"PR", b"PROXY", b"PRI", b"S", b"SSH", b"PUT", b"SEARCH"])
def test_a_method_that_starts_like_another_protocol(method):
    head = method + b"/ / HTTP/1.1\r\n\r\n"
    assert outcome(bytewise(head)) == outcome([head]) == (head, b"", True)


@pytest.mark.parametrize("answer", [b"SSX", b"\0\0\1", b"HTTP/2", b"HTTP:", b"ICY", b"http/1.1"])
def test_what_is_no_answer_in_http(answer):
    assert outcome([answer], start="response") == (400, "it does not start with HTTP/1")
    assert outcome(bytewise(answer), start="response") == (400, "it does not start with HTTP/1")


def test_status_line_bytes():
    assert outcome([b"HTTP/1.1 200 \0"], start="response")[0] == 400
    assert outcome([b"HTT\r\n"], start="response") == (None, b"", False)


def test_head_size_is_exact():
    head = REQUEST[:-2] + b"Z: " + b"z" * (128 - len(REQUEST) - 5) + b"\r\n\r\n"
    assert len(head) == 128
    assert outcome([head + b"tail"]) == (head, b"tail", True)
    over = head.replace(b"Z: ", b"Z: z")
    assert refused_at(over) == (431, 128)
    assert outcome([over]) == (431, "a head of more than 128 bytes (Limits.head_size)")


def test_a_request_line_has_half_of_it():
    line = b"GET /" + b"x" * (63 - 14) + b" HTTP/1.1"
    assert len(line) == 63
    assert outcome([line + b"\r\n\r\n"]) == (line + b"\r\n\r\n", b"", True)
    assert refused_at(line + b"1\r\n\r\n") == (414, 64)
    says = "a request line of 64 bytes or more (half of Limits.head_size)"
    assert outcome([line + b"1\r\n\r\n"]) == (414, says)


def test_a_status_line_has_all_of_it():
    head = b"HTTP/1.1 200 " + b"x" * 111 + b"\r\n\r\n"
    assert len(head) == 128
    assert outcome([head], start="response") == (head, b"", True)
    assert refused_at(head.replace(b"x", b"xx", 1), start="response") == (431, 128)
    assert refused_at(b"HTTP/1.1 200 " + b"x" * 999, start="response") == (431, 128)


def test_header_count_is_exact():
    three = b"GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\n"
    assert outcome([three + b"\r\n"]) == (three + b"\r\n", b"", True)
    assert refused_at(three + b"D:\r\n\r\n") == (431, len(three) + 1)
    assert outcome([three + b"D:\r\n\r\n"]) == (431, "more than 3 headers (Limits.header_count)")


def test_what_is_too_long_is_never_held():
    # A15, A16: a megabyte at once, or in legal headers.
    reader = HeadReader(SMALL)
    with pytest.raises(BadHead):
        reader.receive_data(b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000)
    assert len(reader.held) == 128
    many = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200_000
    says = "a head of more than 16384 bytes (Limits.head_size)"
    assert outcome([many], Limits(header_count=10**6)) == (431, says)


@pytest.mark.figure
def test_time_is_linear_byte_by_byte():
    # Twice the bytes take about twice the time: four times would be quadratic.
    def seconds(size):
        pieces = bytewise(b"GET / HTTP/1.1\r\nX: " + b"y" * size)
        best = 9.9
        for _ in range(3):
            reader = HeadReader(Limits(head_size=10**6))
            start = time.perf_counter()
            for piece in pieces:
                reader.receive_data(piece)
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(60_000) < 10 * seconds(15_000)


PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n"
SETTINGS = b"\0\0\6\4" + b"\0" * 5
STRANGERS = [b"\x16\3\1", b"PROXY TCP4", b"SSH-2", b"PRI * HTTP/2.0", PROXY_2, SETTINGS]
heads = st.sampled_from([REQUEST, RESPONSE, b"\r\n" + REQUEST + b"tail", *STRANGERS]) | wire(
    [
        *("PRI ", "SSH", "\r\n\r\n\0", "GET /", "HTTP/1.", "A", ": "),
        *("\r\n", "\r", "\n", " ", "x" * 30, "\xe9", "\0"),
    ],
    20,
)


@given(
    st.binary(max_size=30) | heads | st.tuples(heads, heads).map(b"".join),
    st.sampled_from(["request", "response"]),
    st.lists(st.integers(0, 10**6), max_size=5),
)
def test_cuts_make_no_difference(data, start, cuts):
    expected = outcome([data], start=start)
    assert outcome(cut(data, cuts), start=start) == expected
    assert outcome(bytewise(data), start=start) == expected


@given(st.binary(), st.sampled_from(["request", "response"]))
def test_nothing_but_bad_head(data, start):
    result = outcome([data], start=start)
    if result[0] in {400, 414, 431, 505}:
        assert result[1].isascii()

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.body import BodyReader

from .fakes import cut, wire


def read(pieces, *, chunked=False, length=None, limit=100):
    reader = BodyReader(chunked=chunked, length=length, limit=limit)
    for piece in pieces:
        assert reader.receive_data(piece) is reader.complete
    return reader.body, reader.complete


def test_by_length():
    assert read([b"abc", b"defg"], length=5) == (b"abcde", True)
    assert read([b"abc"], length=5) == (b"abc", False)
    assert read([], length=0) == (b"", True)


def test_by_eof():
    assert read([b"abc", b"", b"d"]) == (b"abcd", False)


def test_the_limit():
    assert read([b"x" * 99]) == (b"x" * 99, False)
    assert read([b"x" * 99, b"yz"]) == (b"x" * 99 + b"y", True)
    assert read([b"x" * 101], length=10**20) == (b"x" * 100, True)
    assert read([b"C8\r\n" + b"x" * 200], chunked=True) == (b"x" * 100, True)
    assert read([], limit=0) == (b"", True)


@pytest.mark.parametrize(
    "wire",
    [
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"3;a=b\r\nabc\r\n02 ;c\r\nde\r\n000\r\nTrailer: x\r\n\r\n",
        b"5 \r\nabcde\r\n0\r\n",
    ],
)
def test_chunks(wire):
    assert read([wire], chunked=True) == (b"abcde", True)
    # The length is not looked at beside chunks (RFC 9112 section 6.3, item 3).
    assert read([wire], chunked=True, length=1) == (b"abcde", True)


@pytest.mark.parametrize(
    "wire",
    [
        b"3\r\nabcX\r\n2\r\nde",
        b"3\r\nabc\n2\r\nde",
        b"3\r\nabc\r\n2\nde",
        b"3\r\nabc\r\nx\r\nde",
        b"3\r\nabc\r\n-2\r\nde",
        b"3\r\nabc\r\n+2\r\nde",
        b"3\r\nabc\r\n0x2\r\nde",
        b"3\r\nabc\r\n;\r\nde",
        b"3\r\nabc\r\n\r\nde",
        b"3\r\nabc\r\n2;" + b"x" * 300 + b"\r\nde",
        b"3\r\nabc" + b"x" * 300,
    ],
)
def test_a_broken_body_ends_where_it_breaks(wire):
    assert read([wire], chunked=True) == (b"abc", True)
    assert read([wire[at : at + 1] for at in range(len(wire))], chunked=True) == (b"abc", True)


def test_the_longest_line_is_exact():
    line = b"1;" + b"x" * 252 + b"\r\n"
    assert len(line) == 256
    assert read([line + b"a\r\n"], chunked=True) == (b"a", False)
    assert read([b"1" + line + b"a\r\n"], chunked=True) == (b"", True)


HOSTILE = (b"1;" + b" " * 200 + b"\r\na\r\n") * 5_000


def test_hostile_extensions_are_read():
    assert read([HOSTILE], chunked=True, limit=5_000) == (b"a" * 5_000, True)


@pytest.mark.figure
def test_hostile_extensions_take_linear_time():
    start = time.perf_counter()
    read([HOSTILE], chunked=True, limit=5_000)
    assert time.perf_counter() - start < 1


@given(
    st.binary(max_size=20) | wire(["0", "1", "a", ";", "\r\n", "\n", "x" * 90], 20),
    st.booleans(),
    st.none() | st.integers(0, 20),
    st.lists(st.integers(0, 10**6), max_size=5),
    st.integers(0, 20),
)
def test_cuts_make_no_difference(wire, chunked, length, cuts, limit):
    def once(pieces):
        return read(pieces, chunked=chunked, length=length, limit=limit)

    assert once(cut(wire, cuts)) == once([wire])
    assert once([wire[at : at + 1] for at in range(len(wire))]) == once([wire])


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
def test_chunks_come_back(chunks):
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert read([wire], chunked=True, limit=9_999) == (b"".join(chunks), True)

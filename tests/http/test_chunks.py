from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import BodyTooLarge
from trio_wsendpoint.http.chunks import MAX_CHUNKS, ChunkReader


def read(pieces, *, limit=1000, header_count=8):
    """Return data, what is behind the body (None if it is not complete), in the same breath."""
    reader = ChunkReader(limit=limit, header_count=header_count)
    buffer = bytearray()
    data = b""
    for piece in pieces:
        buffer += piece
        while found := reader.read(buffer):
            data += found
    return data, bytes(buffer) if reader.complete else None


def outcome(pieces, **options):
    """Return what `read` does, or the status and what is wrong."""
    try:
        return read(pieces, **options)
    except BadRequest as error:
        return error.response.status, str(error)


def both_ways(data, **options):
    """Return the outcome, which is the same for a whole and for bytes."""
    whole = outcome([data], **options)
    assert outcome([bytes([byte]) for byte in data], **options) == whole
    return whole


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"0003\r\nabc\r\nA\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n\r\n",
         b"abc012345678901234567890"),
        (b"3\r\n\r\n\0\r\n0\r\n\r\n", b"\r\n\0"),
        (b'3;a\r\nabc\r\n0;b=c;d="e;\\"\xe9";f\r\n\r\n', b"abc"),
        (b"3; a = b\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"0\r\nA: b\r\nHost: x\r\nAuthorization:\r\n\r\n", b""),
    ],
)  # fmt: skip
def test_bodies(body, expected):
    assert both_ways(body + b"GET /") == (expected, b"GET /")


@pytest.mark.parametrize(
    "line",
    [
        b"3\n", b"3;a\nb\r\n", b" 3\r\n", b"+3\r\n", b"-3\r\n", b"0x3\r\n", b"3_0\r\n", b"\r\n",
        b"3 ;a\r\n", b"3 \r\n", b"3;\r\n", b"3;;a\r\n", b"3;a;\r\n", b"3;a=\r\n", b"3;=a\r\n",
        b"3;a b\r\n", b'3;a="b\r\n', b'3;a="\\\r\n', b"3;a\x01\r\n", b"3;a\0\r\n", b"3;a\x7f\r\n",
        b"3;a\rb\r\n", b"3\rabc", b"g\r\n", b"3\xb2\r\n", b"00000000000000003\r\n", b"3;\xe9\r\n",
        b"3;a ;b\r\n",
    ],
)  # fmt: skip
def test_chunk_lines_that_are_refused(line):
    assert both_ways(line + b"abc\r\n0\r\n\r\n")[0] == 400
    assert both_ways(b"1\r\na\r\n" + line + b"abc\r\n0\r\n\r\n")[0] == 400


@pytest.mark.parametrize("behind", [b"XX", b"\n", b"\rX", b"\r\r", b"0\r\n\r\n"])
def test_what_is_wrong_behind_the_data(behind):
    assert both_ways(b"3\r\nabc" + behind)[0] == 400


def test_a_line_that_never_ends():
    for start in (b"3", b"3;a=", b"3;" + b" " * 100):
        assert both_ways(start + b"0" * 300)[0] == 400
    assert read([b"3;a=" + b"b" * 200]) == (b"", None)


def test_how_long_extensions_may_be():
    longest = b";a=" + b"b" * 253
    assert both_ways(b"3" + longest + b"\r\nabc\r\n0\r\n\r\n") == (b"abc", b"")
    assert both_ways(b"3" + longest + b"b\r\nabc\r\n0\r\n\r\n")[0] == 400
    chunk = b"1" + longest + b"\r\na\r\n"
    assert outcome([chunk * 16 + b"0\r\n\r\n"]) == (b"a" * 16, b"")
    assert outcome([chunk * 16 + b"1;a\r\na\r\n"])[0] == 400


def test_how_large_a_body_may_be():
    assert both_ways(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", limit=5) == (b"abcde", b"")
    with pytest.raises(BodyTooLarge, match="more than 4 bytes"):
        read([b"3\r\nabc\r\n2\r\n"], limit=4)  # before the data
    assert both_ways(b"ffffffffffffffff\r\n")[0] == 413
    assert read([b"ffffffffffffffff\r\nabc"], limit=None) == (b"abc", None)


def test_chunks_of_nearly_nothing():
    chunk = b"1\r\na\r\n"
    assert outcome([chunk * 20_000], limit=None) == (b"a" * 20_000, None)
    status, message = outcome([chunk * 30_000], limit=None)
    assert status == 400
    assert "nearly all framing" in message
    assert outcome([b"10\r\n0123456789abcdef\r\n" * 30_000], limit=None)[1] is None


def test_a_call_takes_some_chunks():
    reader = ChunkReader(limit=None, header_count=1)
    buffer = bytearray(b"1\r\na\r\n" * 100 + b"0\r\n\r\n")
    assert [len(reader.read(buffer)) for _ in range(3)] == [MAX_CHUNKS, 100 - MAX_CHUNKS, 0]
    assert reader.complete
    assert reader.read(buffer) == b""


@pytest.mark.parametrize(
    ("trailers", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"A: b\n\r\n", 400),
        (b"A: \0\r\n\r\n", 400),
        (b"A : b\r\n\r\n", 400),
        (b" A: b\r\n\r\n", 400),
        (b"\n", 400),
        (b"\rX", 400),
        (b"A: b\r\n c\r\n\r\n", 400),
        (b"A: b\r\n" * 9 + b"\r\n", 431),
        (b"A: " + b"b" * 5000 + b"\r\n\r\n", 431),
    ],
)
def test_trailers_that_are_refused(trailers, status):
    found, message = both_ways(b"0\r\n" + trailers)
    assert found == status
    assert message.startswith({400: "bad trailers: ", 431: "too large trailers"}[status])


def test_how_large_trailers_may_be():
    longest = b"A: " + b"b" * (4096 - 7) + b"\r\n\r\n"
    assert both_ways(b"0\r\n" + longest + b"next") == (b"", b"next")
    assert both_ways(b"0\r\nA" + longest)[0] == 431


@given(
    st.lists(st.binary(min_size=1, max_size=5), max_size=4),
    st.sets(st.integers(min_value=0, max_value=80)),
)
def test_however_it_is_cut(chunks, cuts):
    body = b"".join(b"%x;x=y\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    body += b"0\r\nA: b\r\n\r\nnext"
    edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    assert read(pieces) == (b"".join(chunks), b"next")

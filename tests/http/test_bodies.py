import pytest

from trio_wsendpoint.http import BodyCutShort
from trio_wsendpoint.http.bodies import RequestBody
from trio_wsendpoint.http.framing import Framing


def body_of(framing):
    return RequestBody(framing, limit=100, header_count=8)


def test_by_length():
    body = body_of(Framing(length=5))
    buffer = bytearray()
    assert (body.read(buffer), body.left, body.complete) == (b"", 5, False)
    buffer += b"ab"
    assert (body.read(buffer), body.left, body.size) == (b"ab", 3, 2)
    buffer += b"cdeGET /"
    assert (body.read(buffer), body.left, body.complete) == (b"cde", 0, True)
    assert (body.read(buffer), bytes(buffer)) == (b"", b"GET /")
    body.end()


def test_by_chunks():
    body = body_of(Framing(chunked=True))
    buffer = bytearray(b"2\r\nab\r\n")
    assert (body.read(buffer), body.left, body.complete) == (b"ab", None, False)
    buffer += b"0\r\n\r\nGET /"
    assert (body.read(buffer), body.left, body.complete) == (b"", 0, True)
    assert (bytes(buffer), body.size) == (b"GET /", 2)
    body.end()


def test_without_a_body():
    body = body_of(Framing())
    assert (body.complete, body.left) == (True, 0)
    body.end()


@pytest.mark.parametrize(
    ("framing", "data"),
    [
        (Framing(length=5), b"ab"),
        (Framing(chunked=True), b"2\r\nab\r\n"),
        (Framing(chunked=True), b"2\r\nab\r\n0\r\n"),
    ],
)
def test_a_body_that_is_cut_short(framing, data):
    body = body_of(framing)
    assert body.read(bytearray(data)) == b"ab"
    with pytest.raises(BodyCutShort, match="after 2 bytes") as caught:
        body.end()
    assert (caught.value.size, caught.value.response.status) == (2, 400)

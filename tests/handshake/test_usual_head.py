"""Whatever `HeadReader` lets pass, `read_usual` reads as h11 does, or leaves to h11."""

import pickle

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.head import BadHead, HeadReader
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.usual_head import read_usual
from trio_wsendpoint.options import Limits

LIMITS = Limits(head_size=4096, header_count=32)

TEXT = st.binary(max_size=8) | st.sampled_from([b"", b" ", b"\t", b"chunked", b"0", b"5", b"0, 0"])
NAME = st.sampled_from(
    [
        b"Host",
        b"host",
        b"HOST",
        b"Content-Length",
        b"transfer-encoding",
        b"Connection",
        b"Expect",
        b"Upgrade",
        b"X",
        b"X-Y",
        b"Sec-WebSocket-Key",
    ]
)
TARGET = st.sampled_from([b"/", b"", b"*", b"/a?b=c", b"http://a/", b"a:1", b"/\x7f"]) | st.binary(
    max_size=4
)
FIELD = st.tuples(NAME | st.binary(min_size=1, max_size=3), TEXT)


def whole(target, fields):
    """The head of a GET, as `HeadReader` passes it on; None if it does not, or if it is none."""
    lines = [b"GET " + target + b" HTTP/1.1", *(name + b":" + value for name, value in fields)]
    try:
        head = HeadReader(LIMITS).receive_data(b"\r\n".join([*lines, b"", b""]))
    except BadHead:
        return None
    # The caller of `read_usual` has looked at the first line.
    return head if head is not None and head.split(b"\r\n")[0].count(b" ") == 2 else None


def by_h11(head):
    """What h11 reads: the target and the fields, or None."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request)
    items = [
        (name.decode(), value.decode("iso-8859-1")) for name, value in event.headers.raw_items()
    ]
    return event.target.decode(), items


@given(TARGET, st.lists(FIELD, max_size=5))
@example(b"/", [(b"Host", b"a"), (b"X", b"\xa0\x85 \x80")])
@example(b"/", [(b"Host", b"a"), (b"HOST", b"a")])
@example(b"", [(b"Host", b"a")])
@example(b"/", [(b"Host", b"")])
def test_it_reads_as_h11_does(target, fields):
    head = whole(target, fields)
    if head is None:
        return
    usual, expected = read_usual(head), by_h11(head)
    if usual is not None:
        assert expected is not None
        assert (usual[0], list(usual[1].items())) == expected
        by_name: dict[str, list[str]] = {}
        for name, value in expected[1]:
            by_name.setdefault(name.lower(), []).append(value)
        assert usual[2] == by_name


@given(st.binary(max_size=40))
def test_any_value_is_read_as_h11_does(value):
    head = whole(b"/", [(b"Host", b"a"), (b"X", value)])
    if head is not None:
        usual = read_usual(head)
        assert usual is not None
        assert (usual[0], list(usual[1].items())) == by_h11(head)


@pytest.mark.parametrize(
    "fields",
    [
        [(b"X", b"a")],
        [(b"Host", b"a"), (b"host", b"a")],
        [(b"Host", b"a"), (b"Content-Length", b"0")],
        [(b"Host", b"a"), (b"TRANSFER-ENCODING", b"chunked")],
    ],
)
def test_it_leaves_to_h11_what_is_not_usual(fields):
    assert read_usual(whole(b"/", fields)) is None


def test_it_leaves_an_empty_target_to_h11():
    assert read_usual(whole(b"", [(b"Host", b"a")])) is None


def test_a_usual_head():
    fields = [(b"Host", b"a:1"), (b"X-Y", b" \t z\xe9 "), (b"x-y", b"2")]
    items = [("Host", "a:1"), ("X-Y", "z\xe9"), ("x-y", "2")]
    by_name = {"host": ["a:1"], "x-y": ["z\xe9", "2"]}
    usual = read_usual(whole(b"/chat?a=b", fields))
    assert usual == ("/chat?a=b", Headers(items), by_name)
    assert usual[1].items() == tuple(items)


@pytest.mark.parametrize(
    "ask",
    [
        Headers.items,
        len,
        list,
        hash,
        repr,
        Headers.values_by_name,
        lambda headers: headers["x-y"],
        lambda headers: headers.get("X-Y"),
        lambda headers: headers.get_all("x-y"),
        lambda headers: "X-Y" in headers,
        lambda headers: headers == Headers([("x-y", "z")]),
        lambda headers: Headers(headers).items(),
        pickle.dumps,
    ],
)
def test_headers_that_are_read_when_they_are_asked_for(ask):
    """Whatever is asked first, and again, it is answered as of headers that were read before."""
    lines = b"X-Y: z\r\nHost:a\r\nx-y:\t2 "
    read = Headers([("X-Y", "z"), ("Host", "a"), ("x-y", "2")])
    for _ in range(2):
        late = Headers.of_lines(lines)
        if ask is not pickle.dumps:
            assert ask(late) == ask(read)
        assert pickle.loads(pickle.dumps(late)) == read
        assert ask(late) is not None

"""What is read from the events of an application, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from trio_wsendpoint.asgi import events


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("http.response.start", "an event is a dict with a type, not str"),
        (None, "an event is a dict with a type, not NoneType"),
        ({}, 'the "type" of an event is a str, not NoneType'),
        ({"type": b"http.response.start"}, 'the "type" of an event is a str, not bytes'),
    ],
)
def test_what_is_no_event(event: object, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        events.type_of(event)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (..., '"a": "status" must be an int, not ellipsis'),
        ("200", '"a": "status" must be an int, not str'),
        (True, '"a": "status" must be an int, not bool'),
        (None, '"a": "status" must be an int, not NoneType'),
        (101, '"a": "status" is 200 to 599, not 101'),
        (600, '"a": "status" is 200 to 599, not 600'),
    ],
)
def test_a_wrong_status(status: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        events.status_of({"type": "a", "status": status})
    assert str(caught.value) == message


def test_a_missing_status() -> None:
    with pytest.raises(TypeError, match='"status" must be an int, there is none'):
        events.status_of({"type": "a"})


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([("Cookie", b"secret")], '"a": the name of a header is bytes, not str'),
        ([(b"Cookie", "secret")], "\"a\": the value of header 'Cookie' is bytes, not str"),
        ([b"ab"], '"a": a header is a pair of bytes, not bytes'),
        ([(b"a", b"b", b"c")], '"a": a header is a pair of bytes, not tuple'),
        ({b"a": b"b"}, '"a": "headers" must be an iterable of pairs of bytes, not dict'),
        (b"ab", '"a": "headers" must be an iterable of pairs of bytes, not bytes'),
        (None, '"a": "headers" must be an iterable of pairs of bytes, not NoneType'),
    ],
)
def test_headers_of_the_wrong_type(headers: object, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        events.headers_of({"type": "a", "headers": headers})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "header",
    [(b"X", b"a\r\nSet-Cookie: secret"), (b"X\n", b"secret"), (b"X", b"secret\0"), (b"", b"a")],
)
def test_no_header_splits_the_answer(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=r'^"a": ') as caught:
        events.headers_of({"type": "a", "headers": [header]})
    assert "secret" not in str(caught.value)


def test_headers_keep_their_order_and_repeat_and_come_from_any_iterable() -> None:
    pairs = [[b"Set-Cookie", b"a=1"], (b"X", b"\xe9"), (b"set-cookie", b"b=2")]
    for given in (pairs, tuple(map(tuple, pairs)), iter(pairs)):
        headers = events.headers_of({"type": "a", "headers": given})
        assert headers.items() == (("set-cookie", "a=1"), ("x", "\xe9"), ("set-cookie", "b=2"))
    assert events.headers_of({"type": "a"}).items() == ()


@pytest.mark.parametrize("value", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_of_each_kind(value: object) -> None:
    assert bytes(events.bytes_of({"type": "a", "body": value}, "body")) == b"ab"


@pytest.mark.parametrize("value", ["ab", None, 1, [97]])
def test_a_body_that_is_no_bytes(value: object) -> None:
    with pytest.raises(TypeError, match='"a": "body" must be bytes, not '):
        events.bytes_of({"type": "a", "body": value}, "body")


@pytest.mark.parametrize("value", [1, "false", None])
def test_a_flag_that_is_none(value: object) -> None:
    with pytest.raises(TypeError, match='"a": "more_body" must be a bool, not '):
        events.flag_of({"type": "a", "more_body": value}, "more_body")

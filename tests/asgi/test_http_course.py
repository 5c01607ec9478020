"""The order of the events of an answer, and what each puts on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint.asgi.http_course import Head, HttpCourse, HttpPhase, Piece


def start(status: int = 200, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, **more}


def body(data: bytes = b"", **more: Any) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, **more}


def test_an_answer() -> None:
    course = HttpCourse()
    head = course.send(start(201, headers=[(b"X", b"1")]))
    assert isinstance(head, Head)
    assert (head.status, head.headers.items()) == (201, (("x", "1"),))
    assert course.phase is HttpPhase.STARTED
    assert course.send(body(b"ab", more_body=True)) == Piece(b"ab", is_last=False)
    assert course.phase is HttpPhase.BODY
    assert course.send(body(b"cd")) == Piece(b"cd", is_last=True)
    assert course.phase is HttpPhase.COMPLETE


def test_a_piece_that_was_not_written_is_sent_again() -> None:
    course = HttpCourse()
    course.send(start())
    for _ in range(2):
        phase = course.phase
        assert course.send(body(b"ab")) == Piece(b"ab", is_last=True)
        course.take_back(phase)
    course.lose()
    course.take_back(phase)
    assert course.phase is HttpPhase.GONE


def test_a_body_event_without_keys_ends_the_answer() -> None:
    course = HttpCourse()
    course.send(start())
    assert course.send({"type": "http.response.body"}) == Piece(b"", is_last=True)


def test_what_follows_the_end_is_ignored() -> None:
    course = HttpCourse()
    course.send(start())
    course.send(body(b"ab"))
    for event in (start(), body(b"cd"), {"type": "anything"}):
        assert course.send(event) is None
    assert course.phase is HttpPhase.COMPLETE


@pytest.mark.parametrize("before", [[], [start()], [start(), body(more_body=True)]])
def test_what_follows_the_clients_end_is_ignored(before: list[dict[str, Any]]) -> None:
    course = HttpCourse()
    for event in before:
        course.send(event)
    course.lose()
    assert course.phase is HttpPhase.GONE
    for event in (start(), body(b"cd")):
        assert course.send(event) is None
    assert course.phase is HttpPhase.GONE


def test_a_complete_answer_stays_complete() -> None:
    course = HttpCourse()
    course.send(start())
    course.send(body())
    course.lose()
    assert course.phase is HttpPhase.COMPLETE


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([], body(b"ab")),
        ([start()], start()),
        ([start(), body(more_body=True)], start()),
        ([], {"type": "http.response.push"}),
        ([start()], {"type": "websocket.send", "text": "a"}),
    ],
)
def test_the_wrong_order_changes_nothing(
    before: list[dict[str, Any]], wrong: dict[str, Any]
) -> None:
    course = HttpCourse()
    for event in before:
        course.send(event)
    phase = course.phase
    with pytest.raises(RuntimeError, match=phase.value):
        course.send(wrong)
    assert course.phase is phase
    if not before:
        course.send(start())
    assert course.send(body(b"ab")) == Piece(b"ab", is_last=True)


@pytest.mark.parametrize(
    "wrong",
    [start(headers=[("a", "b")]), {**start(), "status": "200"}, start(headers=[(b"a", b"\n")])],
)
def test_a_wrong_start_can_be_followed_by_a_right_one(wrong: dict[str, Any]) -> None:
    course = HttpCourse()
    with pytest.raises((TypeError, ValueError)):
        course.send(wrong)
    assert course.phase is HttpPhase.WAITING
    course.send(start())


@pytest.mark.parametrize("wrong", [body("a"), body(more_body=1)])  # type: ignore[arg-type]
def test_a_wrong_body_can_be_followed_by_a_right_one(wrong: dict[str, Any]) -> None:
    course = HttpCourse()
    course.send(start())
    with pytest.raises(TypeError):
        course.send(wrong)
    assert course.send(body(b"ab")) == Piece(b"ab", is_last=True)


@pytest.mark.parametrize(("has_body", "status"), [(False, 200), (True, 204), (True, 304)])
def test_an_answer_without_a_body_is_complete_with_its_head(has_body: bool, status: int) -> None:
    course = HttpCourse(has_body=has_body)
    course.send(start(status))
    assert course.send(body(b"for ever", more_body=True)) == Piece(b"for ever", is_last=True)
    assert course.send(body(b"for ever", more_body=True)) is None

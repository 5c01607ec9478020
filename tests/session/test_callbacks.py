"""Callbacks of the user's that raise, send and close, in each place where one is called."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.protocol.wire import CLOSE, PING, PONG, TEXT
from tests.session.helpers import Told, end, give, make, sent, wait
from trio_wsendpoint import ServerEndpoint, Timeouts
from trio_wsendpoint.protocol import DataFrame
from trio_wsendpoint.session import Need, Phase, Session, Wake
from trio_wsendpoint.session.intake import Intake


class Log:
    """Keeps what is logged as an error, calls `then`, or raises."""

    def __init__(self, *, raises: bool = False, then: Callable[[], object] = lambda: None) -> None:
        self.errors: list[Any] = []
        self._raises = raises
        self._then = then

    def log(self, level: int, text: str, *args: str, exc_info: Exception) -> None:
        assert level == logging.ERROR
        self.errors.append(exc_info)
        self._then()
        if self._raises:
            raise Told("of the logger")


Action = Callable[[Session], object]


def called_in(place: str, action: Action, **options: Any) -> Session:
    """Return a session that does `action` once, where `place` says."""
    made: list[Session] = []
    calls: list[str] = []

    def act(here: str) -> None:
        if here == place and not calls:
            calls.append(here)
            action(made[0])

    class Endpoint(ServerEndpoint):
        def on_ping(self, frame: Any) -> None:
            super().on_ping(frame)
            act("on_ping")

        def on_pong(self, frame: Any) -> None:
            super().on_pong(frame)
            act("on_pong")

        def on_close(self, frame: Any) -> None:
            act("on_close")

        def receive_data(self, data: Any) -> None:
            super().receive_data(data)
            act("receive_data")

    def on_data_frame(frame: DataFrame) -> None:
        act("on_data_frame")

    session = make(
        Endpoint,
        on_data_frame=on_data_frame,
        before_send_frame=lambda frame: act("before_send_frame"),
        **options,
    )
    made.append(session)
    if place == "instrument":
        session.endpoint.listen(frame_received=lambda *_: session.guard(act, "instrument"))
    if place == "round trip":
        session.pings.listen(lambda _: act("round trip"))
    return session


#: What the peer sends to get to each place, and whether the app waits for a message.
PLACES = {
    "on_ping": (PING, b"x"),
    "on_pong": (PONG, b"x"),
    "on_close": (CLOSE, b"\x03\xe8"),
    "receive_data": (PING, b"x"),
    "on_data_frame": (TEXT, b"x"),
    "before_send_frame": (PING, b"x"),
    "instrument": (TEXT, b"x"),
}
places = pytest.mark.parametrize("place", PLACES)


def go_to(session: Session, place: str) -> list[tuple[str, bytes]]:
    """Take a session to a place; return the frames that it then writes."""
    give(session, *PLACES[place])
    wait(session)
    return sent(session)


def fail(session: Session) -> None:
    raise Told("of the user's")


@places
@pytest.mark.parametrize("is_loud", [False, True])
def test_one_that_raises_ends_the_connection_with_1011(place: str, is_loud: bool) -> None:
    log = Log(raises=is_loud)
    session = called_in(place, fail, logger=log)
    frames = go_to(session, place)
    assert frames[-1] == ("close", b"\x03\xf3")
    assert [kind for kind, _ in frames].count("close") == 1
    [error] = log.errors
    assert isinstance(error, Told)
    assert session.failure is error
    give(session, CLOSE, b"\x03\xf3")
    end(session)
    assert session.outcome().cause is error


def test_one_that_raises_for_a_round_trip() -> None:
    session = called_in("round trip", fail, logger=Log())
    payload, _ = session.ping(0)
    sent(session)
    give(session, PONG, payload)
    assert sent(session) == [("close", b"\x03\xf3")]


def test_the_second_error_is_not_logged() -> None:
    class Odd(ServerEndpoint):
        def close(self, *_: Any) -> None:
            raise Told("of close")

    log = Log()
    session = make(Odd, logger=log)
    for text in ("first", "second"):
        session.fail_internally(Told(text))
    assert [str(error) for error in log.errors] == ["first"]
    session.close(1000, "", 0)  # as `close` of an endpoint raises
    assert str(session.failure) == "first"


def test_one_that_raises_before_our_close_frame_does_not_keep_it() -> None:
    session = called_in("before_send_frame", fail, logger=Log())
    session.close(1000, "", 0)
    assert sent(session) == [("close", b"\x03\xe8")]
    assert session.phase is Phase.CLOSING


def send(session: Session) -> None:
    if session.is_open:
        session.send("from within", compress=True)
    # What it changes is told when the step has ended.
    assert session.take_wakes() == 0
    session.notice(0)


@places
def test_what_one_sends_leaves_once_and_whole(place: str) -> None:
    session = called_in(place, send, logger=Log())
    frames = go_to(session, place)
    assert session.failure is None
    assert frames.count(("text", b"from within")) == (0 if place == "on_close" else 1)
    assert session.outbox.is_empty


def close(session: Session) -> None:
    session.close(4000, "enough", 0)


@places
def test_one_that_closes(place: str) -> None:
    session = called_in(place, close, logger=Log())
    frames = go_to(session, place)
    if place == "on_close":
        # `Session.close` is the app's, which closes no second time.
        assert frames == [("close", b"\x03\xe8")]
    else:
        assert frames[-1] == ("close", b"\x0f\xa0enough")
    assert session.failure is None
    assert not session.is_open


@places
def test_one_that_aborts(place: str) -> None:
    session = called_in(place, lambda session: session.abort("enough", 0), logger=Log())
    give(session, *PLACES[place])
    wait(session)
    session.next_batch(0)
    assert session.failure is None
    assert session.take_wakes() & Wake.PHASE
    end(session)
    assert session.phase is Phase.OVER
    assert session.advance(0) is Need.END


@pytest.mark.parametrize("is_loud", [False, True])
def test_what_a_logger_asks_for_is_done_after_it(is_loud: bool) -> None:
    seen: list[int] = []

    def ask() -> None:
        session.ping(0)
        seen.append(session.take_wakes())

    log = Log(raises=is_loud, then=ask)
    session = make(ServerEndpoint, logger=log)
    session.fail_internally(Told("of ours"))
    assert len(log.errors) == 1
    assert seen == [0]
    assert session.take_wakes() & Wake.WRITER


@pytest.mark.parametrize("action", [fail, lambda session: session.endpoint.close(1011)])
def test_one_that_ends_it_while_a_frame_leaves_is_told_as_soon_as_that_has_left(
    action: Action,
) -> None:
    """Nothing else may come for a while; the deadline of the closing counts at once."""
    session = called_in("before_send_frame", action, logger=Log())
    session.ping(0)
    assert sent(session)[-1] == ("close", b"\x03\xf3")
    assert session.phase is Phase.CLOSING
    assert session.deadline == Timeouts().close


def test_bytes_that_cannot_be_taken_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Intake, "take", take)
    session = make(logger=Log())
    session.receive_data(b"\x81", 0)
    assert isinstance(session.failure, MemoryError)
    assert sent(session) == [("close", b"\x03\xf3")]

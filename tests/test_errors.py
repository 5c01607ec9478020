"""Every exception of ours crosses a process boundary: pools, queues and test runners pickle it."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

import trio_wsendpoint
from trio_wsendpoint import (
    BadRequest,
    BadUpgrade,
    CloseFrame,
    ConnectionClosed,
    GaveUp,
    HandshakeError,
    HandshakeRefused,
    ProtocolError,
    ProxyError,
    ProxyRefused,
    RequestAnswered,
    Response,
    Row,
    UndecodableMessage,
    WebSocketError,
)
from trio_wsendpoint.connection import closed
from trio_wsendpoint.http import BodyCutShort, BodyTooLarge, OutOfTime, Unauthorized
from trio_wsendpoint.protocol.closing import Closing, Event
from trio_wsendpoint.testing import CheckpointFailure, connection_pair
from trio_wsendpoint.testing.injector import Injection


def all_exceptions():
    """Every exception class that a module of the library defines, however private."""
    found = {}
    for info in pkgutil.walk_packages(trio_wsendpoint.__path__, "trio_wsendpoint."):
        if info.name.endswith("._codec"):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            is_ours = inspect.isclass(value) and value.__module__.startswith("trio_wsendpoint")
            if is_ours and issubclass(value, BaseException):
                found[f"{value.__module__}.{name}"] = value
    return found


def pickled(protocol: int, error: Any) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))


#: What is caught where it is raised, and translated.
INTERNAL = {
    "trio_wsendpoint.client.opening.Redirected",
    "trio_wsendpoint.client.record.Stop",
    "trio_wsendpoint.handshake.head.BadHead",
    "trio_wsendpoint.testing.runs.Fault",
}
EXCEPTIONS = {name: made for name, made in all_exceptions().items() if name not in INTERNAL}
#: Python itself pickles nothing that has slots by the two oldest protocols.
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": partial(pickled, protocol) for protocol in PROTOCOLS},
}


def told_by(error):
    """All that can be asked of `error`, except what Python itself does not carry over."""
    return {
        name: getattr(error, name)
        for name in (
            "code",
            "reason",
            "sent",
            "received",
            "response",
            "status",
            "close_code",
            "limit",
            "size",
            "challenge",
            "proxy",
            "is_final",
            "trail",
        )
        if hasattr(error, name)
    }


def make(made):
    if issubclass(made, ConnectionClosed):
        closing = Closing()
        closing.move(Event.PEER_CLOSES)
        closing.received = closing.sent = CloseFrame(4001, "why")
        closing.error = ProtocolError("which may be anything")
        return made(None, closing)
    if made is Unauthorized:
        return made("no", "Basic")
    if made is OutOfTime:
        return made(408, "too late")
    if made is GaveUp:
        row = Row("refused", "stop", "the server said no")
        return made(row, OSError(111, "refused"), attempts=3, failures=2)
    if issubclass(made, ProxyRefused):
        return made("no", "http://p:1", status=403, response=Response(403), is_final=False)
    if issubclass(made, ProxyError):
        return made("no", "http://p:1")
    if made is UndecodableMessage:
        return made("{", ValueError("no end"))
    if made is BadUpgrade:
        return made("no", Response(101))
    if issubclass(made, (BodyCutShort, BodyTooLarge)):
        return made(7)
    if issubclass(made, (BadRequest, HandshakeRefused, RequestAnswered)):
        return made("no", Response(403, {"X-Why": "you"}, "go away"))
    if made is CheckpointFailure:
        return made("scenario", "hung", Injection("cancel", 5, 3), "it waits")
    return made("what went wrong")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_survives(name, way):
    error = make(EXCEPTIONS[name])
    error.add_note("a note")
    again = WAYS[way](error)
    assert type(again) is type(error)
    assert again is not error
    assert (str(again), repr(again)) == (str(error), repr(error))
    assert again.__notes__ == ["a note"]
    assert told_by(again).keys() == told_by(error).keys()
    for fact, value in told_by(error).items():
        copied = getattr(again, fact)
        assert copied == value or copied.to_bytes() == value.to_bytes()


def test_there_are_exceptions_to_try():
    public = {name for name in trio_wsendpoint.__all__ if is_exception(name)}
    assert public <= {name.rpartition(".")[2] for name in EXCEPTIONS}
    assert len(public) > 20


def is_exception(name):
    value = getattr(trio_wsendpoint, name)
    return inspect.isclass(value) and issubclass(value, BaseException)


class Peculiar(HandshakeError):
    """A user's subclass, whose constructor takes what it likes."""

    def __init__(self, *, host, port):
        super().__init__(f"{host}:{port}")
        self.port = port


class PeculiarEnd(closed.ConnectionEnded):
    def __init__(self, closing, why):
        super().__init__(None, closing)
        self.why = why


@pytest.mark.parametrize("way", WAYS)
def test_a_subclass_of_the_users_survives(way):
    error = WAYS[way](Peculiar(host="h", port=1))
    assert (type(error), str(error), error.port) == (Peculiar, "h:1", 1)
    end = WAYS[way](PeculiarEnd(Closing(), "because"))
    assert (type(end), str(end), end.why) == (PeculiarEnd, "the connection is open", "because")


@pytest.mark.parametrize("way", WAYS)
def test_an_error_that_cannot_be_pickled_itself_does_not_matter(way):
    class Local(Exception):
        """Not to be found by its name, as many an error of a callback."""

    closing = Closing()
    closing.move(Event.WE_FAIL)
    closing.error = Local("oh no")
    error = closed.ConnectionLost(None, closing)
    error.__cause__ = closing.error
    assert str(WAYS[way](error)) == "oh no"


@pytest.mark.parametrize("made", [closed.ConnectionLost, closed.PingTimeout])
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_the_end_of_no_connection(way, made):
    """A copy may come from another process: no connection here has ended for it."""
    closing = Closing()
    error = made("late", closing)
    again = WAYS[way](error)
    assert (error.concerns(closing), again.concerns(closing)) == (True, False)
    assert closed.is_the_end(error, closing)
    assert not closed.is_the_end(again, closing)


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_connection_raises_survives(way, autojump_clock):
    async with connection_pair() as (client, server):
        await server.aclose(4001, "why")
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.receive()
        again = WAYS[way](caught.value)
        assert isinstance(again, closed.ConnectionLost)
        assert (again.code, again.reason, str(again)) == (4001, "why", str(caught.value))
        with pytest.raises(trio.ClosedResourceError) as caught_too:
            await server.send("x")
        assert str(WAYS[way](caught_too.value)) == str(caught_too.value)


def test_without_attributes_there_is_no_state():
    assert WebSocketError("x").__reduce__()[2] is None

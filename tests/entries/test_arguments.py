"""Which functions are taken for async, and what is said of the others."""

from __future__ import annotations

import functools
import inspect
import re
import socket
from contextlib import asynccontextmanager
from unittest.mock import AsyncMock

import pytest
import trio
import trio.testing

from trio_wsendpoint.entries.arguments import (
    check_async_function,
    check_plain_function,
    check_stream,
)


async def plain(connection):
    """An async function as most are."""


async def of_two(connection, database):
    pass


async def with_default(connection, database=None):
    pass


@functools.wraps(plain)
def wrapper(connection):
    return plain(connection)


@functools.wraps(of_two)
def injecting(connection):
    return of_two(connection, 1)


class Handlers:
    async def method(self, connection):
        pass

    @classmethod
    async def of_class(cls, connection):
        pass

    @staticmethod
    async def static(connection):
        pass

    async def __call__(self, connection):
        pass


class Wrapping:
    """A callable object whose `__call__` is such a wrapper."""

    @functools.wraps(Handlers.__call__)
    def __call__(self, connection):
        return plain(connection)


class Awaitable:
    def __init__(self, connection):
        pass

    def __await__(self):
        yield


class MadeByCython:
    """As an async function that Cython has compiled, which older Pythons take for none."""

    __code__ = plain.__code__

    def __call__(self, connection):
        pass


@pytest.mark.parametrize(
    "function",
    [
        plain,
        with_default,
        functools.partial(of_two, database=1),
        functools.partial(functools.partial(of_two), database=1),
        functools.partial(wrapper),
        wrapper,
        injecting,
        Handlers().method,
        Handlers.of_class,
        Handlers.static,
        Handlers(),
        functools.partial(Handlers()),
        Wrapping(),
        Awaitable,
        MadeByCython(),
        AsyncMock(),
        trio.lowlevel.enable_ki_protection(plain),
    ],
)
def test_async_functions(function):
    check_async_function("handler", function, "connection")
    with pytest.raises(TypeError, match="hook must not be async"):
        check_plain_function("hook", function)


@pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="is of Python 3.12")
def test_a_function_that_is_marked():
    mark = getattr(inspect, "markcoroutinefunction")  # noqa: B009 - mypy judges for 3.11
    check_async_function("handler", mark(sync), "connection")


def sync(connection):
    pass


async def generator(connection):
    yield


@asynccontextmanager
async def manager(connection):
    yield


class Plain:
    def __call__(self, connection):
        pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (sync, "the plain function sync: write `async def`"),
        (functools.partial(sync), "the plain function sync: write `async def`"),
        (
            lambda connection: plain(connection or None),
            "a lambda: write `async def`, or functools.partial",
        ),
        (generator, "the async generator generator: it must not yield"),
        (functools.partial(generator), "the async generator generator: it must not yield"),
        (manager, "the async generator manager: it must not yield"),
        (Plain().__call__, "the plain function Plain.__call__: write `async def`"),
        (Plain, "<class '.*Plain'>"),
        (Plain(), "<.*Plain object"),
        (print, "<built-in function print>"),
        (None, "None"),
        ("handler", "'handler'"),
    ],
)
def test_other_values(value, expected):
    says = rf"^handler must be an async function, `async def handler\(connection\)`, not {expected}"
    with pytest.raises(TypeError, match=says):
        check_async_function("handler", value, "connection")


def test_a_function_that_was_called_already():
    coroutine = plain(None)
    with pytest.raises(TypeError, match=r"not the coroutine plain\(\): leave out the parentheses"):
        check_async_function("handler", coroutine, "connection")
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED  # else Python would warn


async def none():
    pass


async def keyword(*, connection):
    pass


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (of_two, "of_two(connection, database): missing a required argument: 'database'"),
        (none, "none(): too many positional arguments"),
        (keyword, "keyword(*, connection): too many positional arguments"),
        (Handlers.method, "Handlers.method(self, connection): missing a required argument"),
        (functools.partial(plain, 1), "plain(): too many positional arguments"),
    ],
)
def test_other_parameters(function, expected):
    with pytest.raises(TypeError, match=re.escape(expected)) as caught:
        check_async_function("handler", function, "connection")
    assert str(caught.value).startswith("handler must be an async function, `async def handler(")


def test_wrappers_in_a_circle():
    def one(connection):
        pass

    one.__wrapped__ = one  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="the plain function"):
        check_async_function("handler", one, "connection")


@pytest.mark.parametrize("function", [sync, print, Plain(), functools.partial(sync), Plain, bytes])
def test_plain_functions(function):
    check_plain_function("hook", function)


def test_a_hook_that_cannot_be_called():
    with pytest.raises(TypeError, match="hook must be a function, not 5"):
        check_plain_function("hook", 5)
    with pytest.raises(TypeError, match=r"hook must not be async: generator would never"):
        check_plain_function("hook", generator)


async def test_streams():
    check_stream("stream", trio.testing.memory_stream_pair()[0])
    one, two = socket.socketpair()
    with one, trio.socket.from_stdlib_socket(two) as theirs:
        with pytest.raises(TypeError, match="from_stdlib_socket"):
            check_stream("stream", one)
        with pytest.raises(TypeError, match=r"write trio\.SocketStream\(socket\)$"):
            check_stream("stream", theirs)
    with pytest.raises(TypeError, match=r"^stream must be a trio\.abc\.Stream, not None$"):
        check_stream("stream", None)

"""Whether what a user passes is of the right kind: functions, streams, TLS contexts.

A wrong one is refused when it is passed.  Without that, the first peer would find it out.
"""

from __future__ import annotations

import functools
import inspect
import socket
import ssl
from collections.abc import Callable
from types import CodeType
from typing import Any, cast

import trio

__all__ = ["check_async_function", "check_plain_function", "check_ssl_context", "check_stream"]

_FOR_SERVERS = (
    "write ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), and load_cert_chain(...) of that"
)
_FOR_CLIENTS = (
    "write ssl.create_default_context(), or leave it out to verify the server against the "
    "system's certificates"
)


def check_async_function(name: str, value: object, *parameters: str) -> None:
    """Raise `TypeError` unless `value` is an async function that takes `parameters` by position.

    `name` is what the caller calls it.  Accepted are also a `functools.partial` of an async
    function, an object with an async `__call__`, a class whose instances are awaitable, and a
    wrapper that is marked as async (`inspect.markcoroutinefunction`), or that has the async
    function that it wraps in `__wrapped__`, where `functools.wraps` puts it.
    """
    expected = f"{name} must be an async function, `async def {name}({', '.join(parameters)})`"
    if not _is_async(value):
        raise TypeError(f"{expected}, not {_describe(value)}")
    try:
        # A wrapper may call what it wraps with more: its own parameters are those that count.
        signature = inspect.signature(cast("Callable[..., Any]", value), follow_wrapped=False)
    except (TypeError, ValueError):
        return  # made in C: only a call will tell
    try:
        signature.bind(*parameters)
    except TypeError as error:
        raise TypeError(f"{expected}; {_spell(value)}{signature}: {error}") from None


def check_plain_function(name: str, value: object) -> None:
    """Raise `TypeError` unless `value` can be called, and is no async function."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {value!r}")
    if _is_async(value) or inspect.isasyncgenfunction(value):
        raise TypeError(f"{name} must not be async: {_spell(value)} would never be awaited")


def check_stream(name: str, value: object) -> None:
    """Raise `TypeError` unless `value` is a Trio stream."""
    if isinstance(value, trio.abc.Stream):
        return
    hint = ""
    if isinstance(value, trio.socket.SocketType):
        hint = ": write trio.SocketStream(socket)"
    elif isinstance(value, socket.socket):
        hint = ": write trio.SocketStream(trio.socket.from_stdlib_socket(socket))"
    raise TypeError(f"{name} must be a trio.abc.Stream, not {value!r}{hint}")


def check_ssl_context(context: object, *, server_side: bool) -> None:
    """Raise unless `context` can be that of a server, or of a client.

    Raises `TypeError` for what is no `ssl.SSLContext`, `ValueError` for one of the other end.
    """
    instead = _FOR_SERVERS if server_side else _FOR_CLIENTS
    if not isinstance(context, ssl.SSLContext):
        # Not the value: a user may have passed a key where a context belongs.
        found = str(context) if isinstance(context, bool) else f"a {type(context).__name__}"
        raise TypeError(f"ssl_context must be an ssl.SSLContext, not {found}: {instead}")
    wrong = ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER
    if context.protocol == wrong:
        ends = ("client", "server") if server_side else ("server", "client")
        raise ValueError(f"ssl_context is a {ends[0]}'s, and this is a {ends[1]}: {instead}")


def _is_async(value: object) -> bool:
    inner = _innermost(value)
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(inner):
        return True
    if isinstance(inner, type):
        return hasattr(inner, "__await__")
    # A function that Cython has compiled is no Python function; its code has the flag all the same.
    code = getattr(inner, "__code__", None)
    if isinstance(code, CodeType) and code.co_flags & inspect.CO_COROUTINE:
        return True
    # Not `callable`: the question is what kind of function a call of the object runs.
    call = getattr(type(inner), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(_innermost(call))


def _innermost(value: object) -> object:
    """Return the function in partials, and in wrappers that say what they wrap."""
    seen: list[object] = []
    while not any(value is one for one in seen):
        seen.append(value)
        if isinstance(value, functools.partial):
            value = cast("functools.partial[object]", value).func
        else:
            value = getattr(value, "__wrapped__", value)
    return value


def _describe(value: object) -> str:
    """Say what `value` is, and what to do about it."""
    if inspect.iscoroutine(value):
        value.close()  # or Python would warn as well that it was never awaited
        return f"the coroutine {_spell(value)}(): leave out the parentheses behind its name"
    inner = _innermost(value)
    if inspect.isasyncgenfunction(inner):
        return f"the async generator {_spell(inner)}: it must not yield"
    if inspect.isfunction(inner) and inner.__name__ == "<lambda>":
        return "a lambda: write `async def`, or functools.partial(function, ...)"
    if inspect.isfunction(inner) or inspect.ismethod(inner):
        return f"the plain function {_spell(inner)}: write `async def`"
    return repr(value)


def _spell(value: object) -> str:
    inner = _innermost(value)
    return str(getattr(inner, "__qualname__", None) or type(inner).__name__)

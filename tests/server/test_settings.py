"""What `serve_endpoint`, `run_endpoint` and `accept_endpoint` refuse to be told, and when."""

from __future__ import annotations

import functools
import inspect
import logging
import socket
import ssl
from typing import Any

import pytest
import trio
import trio.testing

from trio_wsendpoint import (
    AcceptOptions,
    ConnectOptions,
    Instrument,
    Response,
    ServeOptions,
    accept_endpoint,
    connect_endpoint,
    run_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.entries.option_texts import option_texts, tell_options
from trio_wsendpoint.opening.settings import ConnectionOptions
from trio_wsendpoint.server.settings import ServeSettings

from .helpers import MemoryListener, echo, loud, open_raw, serve_memory

URL = "ws://example.test/"

#: The same functions for calls that a type checker would refuse.
accept: Any = accept_endpoint
run: Any = run_endpoint
serve: Any = serve_endpoint


def plain(connection):
    pass


async def of_two(connection, path):
    pass


# ---- wrong arguments, told before anything is done -----------------------------------------------

OF_ALL = [
    ({"headers": None}, TypeError, r"headers must be a mapping .* not None: leave it out"),
    ({"headers": {"A": "b\nc"}}, ValueError, "header 'A'"),
    ({"subprotocols": None}, TypeError, "subprotocols must be a list of tokens, not None"),
    ({"subprotocols": "chat"}, TypeError, "subprotocols must be a list of tokens, not 'chat'"),
    ({"instruments": Instrument()}, TypeError, "instruments must be a list of Instrument"),
    ({"on_data_frame": echo}, TypeError, "on_data_frame must not be async: echo would"),
    ({"before_send_frame": echo}, TypeError, "before_send_frame must not be async"),
    ({"random_bytes": 4}, TypeError, "random_bytes must be a function, not 4"),
    ({"logger": "mine"}, TypeError, "logger must be a logging.Logger or an adapter"),
    ({"max_size": 1}, TypeError, r"endpoint\(\) has no option 'max_size': write limits=Limits"),
    ({"origin": "https://x"}, TypeError, "write origins="),
    ({"process_request": plain}, TypeError, "process_request must .* not the plain function plain"),
    ({"process_request": lambda request: None}, TypeError, "process_request must .* not a lambda"),
    (
        {"process_request": of_two},
        TypeError,
        r"process_request\(opening\)`; of_two\(connection, pa",
    ),
    ({"process_request": Response(403)}, TypeError, "process_request must be an async function"),
]

OF_SERVERS = [
    *OF_ALL,
    ({"ssl": None}, TypeError, "has no option 'ssl': write ssl_context="),
    ({"ssl_context": True}, TypeError, "ssl_context must be an ssl.SSLContext, not True: .*_chain"),
    ({"ssl_context": False}, TypeError, "ssl_context must be an ssl.SSLContext, not False"),
    ({"ssl_context": "cert.pem"}, TypeError, "ssl_context must be an ssl.SSLContext, not a str"),
    ({"ssl_context": ssl.create_default_context()}, ValueError, "a client's, and this is a server"),
    ({"origins": "*"}, ValueError, 'origins: "\\*" is spelled "any" here'),
    ({"origins": ["*"]}, ValueError, 'origins: for every origin write "any"'),
]


@pytest.mark.parametrize(("options", "error", "says"), OF_SERVERS)
def test_serve_endpoint_refuses_when_it_is_called(options, error, says):
    with pytest.raises(error, match=says):
        serve(echo, 0, **options)


@pytest.mark.parametrize(("options", "error", "says"), OF_SERVERS)
async def test_run_endpoint_refuses_in_its_own_name(options, error, says):
    with pytest.raises(error, match=says) as caught:
        await run(echo, 0, **options)
    assert "serve_endpoint()" not in str(caught.value)


@pytest.mark.parametrize(("options", "error", "says"), OF_ALL)
def test_accept_endpoint_refuses_when_it_is_called(options, error, says):
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(error, match=says) as caught:
        accept(ours, **options)
    assert "serve_endpoint()" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"origins": "*"}, '"any"'),
        ({"subprotocols": ["a b"]}, "a b"),
        ({"headers": {"Upgrade": "x"}}, "upgrade"),
    ],
)
async def test_what_could_make_no_answer_is_refused_on_entering(options, says):
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match=says):
        async with accept(ours, **options):
            raise AssertionError
    assert await theirs.receive_some() == b""  # closed


@pytest.mark.parametrize("option", ["ssl", "ssl_context", "host", "port", "listeners", "backlog"])
def test_accept_endpoint_has_no_option_of_a_server(option):
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(
        TypeError, match=rf"accept_endpoint\(\) has no option '{option}': (leave|w)"
    ):
        accept(ours, **{option: None})


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (plain, "not the plain function plain: write `async def`"),
        (lambda connection: echo(connection=connection), "not a lambda"),
        (None, "not None"),
        (of_two, r"of_two\(connection, path\): missing a required argument: 'path'"),
    ],
)
async def test_a_handler_that_could_serve_nobody(handler, says):
    with pytest.raises(TypeError, match=rf"^handler must be an async function, .*{says}"):
        serve(handler, 0)
    with pytest.raises(TypeError, match=rf"^handler must be an async function, .*{says}"):
        await run(handler, 0)


def test_a_handler_that_was_called():
    with pytest.raises(TypeError, match=r"not the coroutine echo\(\): leave out the parentheses"):
        serve(echo(None), 0)


@pytest.mark.parametrize(
    "handler",
    [functools.partial(of_two, path="/"), functools.wraps(echo)(lambda c: echo(connection=c))],
)
async def test_a_handler_that_is_async_in_another_way(handler, autojump_clock, caplog):
    async with (
        serve_memory(handler) as served,
        connect_endpoint(URL, stream=served.connect()),
    ):
        pass
    assert loud(caplog) == []


@pytest.mark.parametrize("port", ["8765", "localhost", 8765.0, True])
def test_a_port_is_a_number(port):
    with pytest.raises(TypeError, match=rf"a port is an int, not {port!r}; the address .* host="):
        serve(echo, port)


@pytest.mark.parametrize("listeners", [5, [5], MemoryListener, "tcp", [None]])
def test_listeners_are_a_list_of_listeners(listeners):
    with pytest.raises(TypeError, match=r"listeners must be a list of trio\.abc\.Listener, not of"):
        serve(echo, listeners=listeners)


async def test_a_listener_alone():
    with pytest.raises(TypeError, match=r"listeners must be a list: put the listener in \[\]"):
        serve(echo, listeners=MemoryListener())


async def test_listeners_may_come_from_an_iterator(autojump_clock):
    listener = MemoryListener()
    async with serve(echo, listeners=iter([listener])) as server:
        assert server.listeners == (listener,)
        await open_raw(listener.connect())


def test_a_socket_is_no_stream():
    with socket.socket() as number, pytest.raises(TypeError, match=r"write trio\.SocketStream\("):
        accept(number)
    with pytest.raises(TypeError, match=r"stream must be a trio\.abc\.Stream, not None"):
        accept(None)


# ---- other uses than `async with` ----------------------------------------------------------------


async def test_what_serve_endpoint_returns_is_entered_with_async_with():
    made = serve(echo, 0)
    expected = "write `async with serve_endpoint.* as server:`, or, .*start\\(run_endpoint, handler"
    with pytest.raises(TypeError, match=expected):
        await made
    with pytest.raises(TypeError, match=expected), made:
        raise AssertionError
    with pytest.raises(AttributeError, match=f"no 'port': {expected}"):
        made.port  # noqa: B018
    with pytest.RaisesGroup(pytest.RaisesExc(TypeError, match=expected)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, echo, 0)


async def test_what_accept_endpoint_returns_is_entered_with_async_with():
    ours, _ = trio.testing.memory_stream_pair()
    expected = r"write `async with accept_endpoint\(stream\) as connection:`"
    with pytest.raises(TypeError, match=expected):
        await accept(ours)
    with pytest.RaisesGroup(pytest.RaisesExc(TypeError, match=expected)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept, ours)


@pytest.mark.parametrize(
    ("function", "arguments", "says"),
    [
        (serve_endpoint, (echo, 0), r"await nursery\.start\(run_endpoint, \.\.\.\)"),
        (connect_endpoint, (URL,), r"async with connect_endpoint\(url\)"),
        (accept_endpoint, (trio.testing.memory_stream_pair()[0],), r"async with accept_endpoint"),
    ],
)
async def test_nursery_start(function, arguments, says):
    with pytest.RaisesGroup(pytest.RaisesExc(TypeError, match=says)):
        async with trio.open_nursery() as nursery:
            await nursery.start(function, *arguments)


# ---- a context without a certificate -------------------------------------------------------------


@pytest.mark.parametrize("listeners", [1, 2])
async def test_a_server_warns_once_that_it_has_no_certificate(listeners, autojump_clock, caplog):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made = [MemoryListener() for _ in range(listeners)]
    logger = logging.getLogger("mine")
    serving = serve(echo, listeners=made, ssl_context=context, logger=logger)
    assert loud(caplog) == []
    async with serving:
        (record,) = loud(caplog)
    assert (record.name, record.levelno) == ("mine", logging.WARNING)
    assert record.getMessage().startswith("ssl_context has no certificate")
    assert len(loud(caplog)) == 1


async def test_a_server_with_a_certificate_does_not_warn(server_context, autojump_clock, caplog):
    async with serve_endpoint(echo, listeners=[MemoryListener()], ssl_context=server_context):
        pass
    assert loud(caplog) == []


# ---- what it shows of itself ---------------------------------------------------------------------


async def test_repr(autojump_clock):
    async with serve_memory() as served:
        server = served.server
        assert repr(server) == "<EndpointServer 1 listener(s), connections: 0>"
        async with connect_endpoint(URL, stream=served.connect()) as client:
            await client.send("hello")
            await client.receive()
            assert repr(server) == "<EndpointServer 1 listener(s), connections: 1>"
    assert repr(server) == "<EndpointServer closed>"


async def test_repr_with_a_port():
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        assert repr(server) == f"<EndpointServer ws://127.0.0.1:{server.port}/, connections: 0>"
        await server.listeners[0].aclose()
        assert repr(server) == "<EndpointServer a listener that is closed, connections: 0>"


async def test_repr_while_it_closes(autojump_clock):
    seen = []

    async def handler(connection):
        await connection.wait_closed()
        seen.append(repr(served.server))

    async with serve_memory(handler) as served:
        await served.connect_raw()
        await trio.testing.wait_all_tasks_blocked()
    assert seen == ["<EndpointServer closing, connections: 1>"]


# ---- what help() shows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (serve_endpoint, ServeOptions),
        (run_endpoint, ServeOptions),
        (accept_endpoint, AcceptOptions),
        (connect_endpoint, ConnectOptions),
    ],
)
def test_every_option_is_told_with_its_default(function, options):
    told = inspect.getdoc(function)
    assert told is not None
    own, _, of_options = told.partition("\n\nOptions, with their defaults:\n\n")
    assert own.endswith(".")
    entries = dict(entry.split("\n", 1) for entry in of_options.split("\n\n"))
    names = {head.partition("=")[0] for head in entries}
    assert names == options.__optional_keys__
    assert all(text.startswith("    ") and len(text) > 20 for text in entries.values())
    assert "limits=Limits()" in entries
    assert 'logger=logging.getLogger("trio_wsendpoint")' in entries
    assert not any("..." in head or "0x" in head for head in entries)


def test_the_text_of_an_option_is_that_of_its_class():
    texts = option_texts(ConnectionOptions)
    assert texts["deflate"] == (
        "a `Deflate` group turns on compression (RFC 7692) if the peer agrees."
    )
    assert set(texts) == set(ConnectionOptions.__annotations__)
    assert "\n" in texts["subprotocols"]


def test_an_option_without_a_text_is_found():
    def function():
        """Do."""

    with pytest.raises(KeyError, match="process_request"):
        tell_options(ServeSettings, ConnectionOptions)(function)


def test_without_docstrings_there_is_nothing_to_tell():
    def function():
        pass

    assert tell_options(ServeSettings, ConnectionOptions)(function) is function
    assert function.__doc__ is None

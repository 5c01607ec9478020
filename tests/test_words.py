"""The words of other libraries: each is told what to write, and what is told exists here."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

import trio_wsendpoint
from trio_wsendpoint import (
    AcceptOptions,
    Connection,
    ConnectOptions,
    ServeOptions,
    accept_endpoint,
    connect_endpoint,
    run_endpoint,
    serve_endpoint,
)
from trio_wsendpoint import _words as words
from trio_wsendpoint._words import unknown_options
from trio_wsendpoint.testing import connection_pair

NAMED = {"serve_endpoint": serve_endpoint, "run_endpoint": run_endpoint}
NAMED |= {"accept_endpoint": accept_endpoint, "connect_endpoint": connect_endpoint}


def keywords(function, options):
    """The names of what a function takes."""
    own = inspect.signature(function).parameters
    return (set(own) - {"options"}) | options.__required_keys__ | options.__optional_keys__


SERVER = keywords(serve_endpoint, ServeOptions)
ACCEPT = keywords(accept_endpoint, AcceptOptions)
CLIENT = keywords(connect_endpoint, ConnectOptions)

TABLES = [
    pytest.param(words.SERVER_WORDS, SERVER, id="serve"),
    pytest.param(words.ACCEPT_WORDS, ACCEPT, id="accept"),
    pytest.param(words.CLIENT_WORDS, CLIENT, id="connect"),
]


# ---- the tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "known"), TABLES)
def test_no_word_is_an_option(table, known):
    assert set(table) & known == set()


@pytest.mark.parametrize(("table", "known"), TABLES)
def test_what_is_told_to_write_exists(table, known):
    for advice in table.values():
        for group, fields in re.findall(r"\b([A-Z]\w+)\(([\w=., ]*)\)", advice):
            if not hasattr(trio_wsendpoint, group):
                assert group in {"SSLContext", "SSLStream", "SocketListener", "SocketStream"}
                continue
            options = {field.name for field in dataclasses.fields(getattr(trio_wsendpoint, group))}
            assert set(re.findall(r"(\w+)=", fields)) <= options, advice
        outside = re.sub(r"\(.*?\)", "", advice)
        assert set(re.findall(r"(\w+)=(?!=)", outside)) <= known, advice
        for function in re.findall(r"\b(\w+_endpoint)\b", advice):
            assert function in NAMED, advice


@pytest.mark.parametrize(
    "word",
    [
        "ssl", "max_size", "extra_headers", "ping_interval", "ping_timeout", "timeout",
        "open_timeout", "close_timeout", "compression", "max_queue", "max_msg_size",
        "max_message_size", "connect_timeout", "message_queue_size", "task_status", "loop",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("table", "_known"), TABLES)
def test_a_word_is_known_to_client_and_server(table, _known, word):
    assert word in table


def test_the_options_of_one_side_are_known_to_the_other():
    assert set(words.CLIENT_WORDS) >= SERVER - CLIENT
    assert set(words.SERVER_WORDS) >= CLIENT - SERVER
    assert set(words.ACCEPT_WORDS) >= (SERVER | CLIENT) - ACCEPT


def test_no_word_for_a_connection_is_an_attribute():
    assert [word for word in words.CONNECTION_WORDS if hasattr(Connection, word)] == []
    own = set(re.findall(r"self\.(\w+)(?:: \w+)? =", inspect.getsource(Connection.__init__)))
    assert own & set(words.CONNECTION_WORDS) == set()


def test_what_a_connection_is_told_exists():
    own = set(re.findall(r"self\.(\w+)", inspect.getsource(Connection.__init__)))
    for advice in words.CONNECTION_WORDS.values():
        for name in re.findall(r"connection\.(\w+)", advice):
            assert hasattr(Connection, name) or name in own, advice


# ---- what is told --------------------------------------------------------------------------------


def test_options():
    told = unknown_options("f()", ["max_size"], ["a"], {"max_size": "write a="})
    assert told == "f() has no option 'max_size': write a="
    assert unknown_options("f()", ["a"], ["a"], {}) is None
    assert unknown_options("f()", [], ["a"], {}) is None


def test_an_option_near_to_one_that_exists():
    assert unknown_options("f()", ["hots"], ["host"], {}) == (
        "f() has no option 'hots': is it 'host'?"
    )


def test_an_option_near_to_a_word_of_others():
    assert unknown_options("f()", ["max_sizes"], ["a"], {"max_size": "write a="}) == (
        "f() has no option 'max_sizes': write a="
    )


def test_an_option_near_to_nothing():
    assert unknown_options("f()", ["zzz"], ["b", "a"], {}) == "f() has no option 'zzz': it has a, b"


def test_every_option_is_told_on_one_line_of_ascii():
    told = unknown_options("f()", ["zz\n", "\u20ac"], ["a"], {})
    assert told == "f() has no option 'zz\\n': it has a; nor '\\u20ac': it has a"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("recv", "write `await connection.receive()`"),
        ("recv_str", "write `await connection.receive()`"),
        ("close", "write `await connection.aclose(code, reason)`"),
    ],
)
async def test_an_attribute(name, expected):
    async with connection_pair() as (client, _):
        for asked in (client, Connection):
            with pytest.raises(AttributeError) as caught:
                getattr(asked, name)
            told = str(caught.value)
            assert told.startswith(f"a Connection has no attribute '{name}': ")
            assert expected in told
        assert not hasattr(client, name)
        assert name not in dir(client)
        assert "receive" in dir(client)


async def test_an_attribute_that_nobody_has():
    async with connection_pair() as (client, _):
        with pytest.raises(AttributeError, match="'Connection' object has no attribute 'zzz'"):
            client.zzz  # type: ignore[attr-defined]  # noqa: B018

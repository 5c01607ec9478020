"""No text of ours shows credentials, whatever is wrong with them: errors, their causes, records.

Each case is a way to go wrong for a client or a server that holds `SECRET` in one of the places
that the documents name.  Everything that can be read afterwards is read.
"""

from __future__ import annotations

import contextlib
import traceback
from typing import Any

import pytest
import trio
import trio.testing

from tests.server.helpers import read_all, request, serve_memory
from trio_wsendpoint import HandshakeError, Response, connect_endpoint

SECRET = "SECRET"
URL = "ws://example.test/"
HEADERS = ("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie")
#: What a file, a template or a hasty hand makes of a good value.
SPOILED = [f"{SECRET}\n", f"{SECRET}\r\n", f"\0{SECRET}", f"{SECRET}\u20ac", SECRET.encode(), None]


def texts_of(error):
    """All that is told of an error, and of what it came from."""
    told = ["".join(traceback.format_exception_only(error))]
    while error is not None:
        told += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(told)


def records_of(caplog):
    return "\n".join(
        f"{record.getMessage()} {record.exc_info and texts_of(record.exc_info[1])}"
        for record in caplog.records
    )


async def failure(url=URL, *, answer=None, **options):
    """Return what connecting raises; `answer` is what a server says to the request."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve():
            asked = bytes(await theirs.receive_some(65536))
            if asked:
                await theirs.send_all(answer(asked))
                await theirs.send_eof()

        if answer is not None:
            nursery.start_soon(serve)
        try:
            async with connect_endpoint(url, stream=ours, **options):
                raise AssertionError
        except (HandshakeError, ValueError, TypeError) as error:
            nursery.cancel_scope.cancel()
            return error


# ---- clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", SPOILED)
async def test_a_header_that_cannot_be_sent(name, value, autojump_clock, caplog):
    caplog.set_level("DEBUG")
    headers: Any
    for headers in (
        {name: value},
        [(name, value)],
        [(name, SECRET, value)],
        {f"{name}: {value}": ""},
    ):
        error = await failure(headers=headers)
        assert isinstance(error, (ValueError, TypeError))
        assert SECRET not in texts_of(error)
    assert SECRET not in records_of(caplog)


@pytest.mark.parametrize(
    "url",
    [
        f"wss://user:{SECRET}@h:x/",
        f"ws://user:{SECRET}\n@h/",
        f"ws://user:{SECRET}/x@h h/",
        f"http://user:{SECRET}@h/?token={SECRET}",
        f"ws://h/?token={SECRET}\n",
        f"ws://h/?token={SECRET}#x",
        f"ws://h/?{SECRET}\xe9",
    ],
)
async def test_a_url_that_cannot_be_asked_for(url, autojump_clock):
    assert SECRET not in texts_of(await failure(url))


async def test_a_context_for_a_url_without_tls(client_context, autojump_clock):
    error = await failure(f"ws://u:{SECRET}@h/?{SECRET}", ssl_context=client_context)
    assert SECRET not in texts_of(error)


async def test_credentials_twice(autojump_clock):
    error = await failure(f"ws://u:{SECRET}@h/", headers={"Authorization": SECRET})
    assert SECRET not in texts_of(error)


REFUSALS = [
    lambda asked: b"HTTP/1.1 404 No\r\n\r\nCannot GET " + asked,
    lambda asked: b"HTTP/1.1 999 No\r\nSet-Cookie: SECRET\r\n\r\n" + asked,
    lambda asked: b"HTTP/1.1 302 No\r\nLocation: https://u:SECRET@h/?a=SECRET#SECRET\r\n\r\n",
    lambda asked: b"HTTP/1.1 101 Yes\r\nSet-Cookie: SECRET\r\n\r\n",
    lambda asked: b"HTTP/1.1 101 Yes\r\nSet-Cookie: SECRET\r\nbad header\r\n\r\n",
    lambda asked: b"HTTP/1.1 101 Yes\r\nSet-Cookie: SECRET\0",
    lambda asked: b"HTTP/1.1 101 Yes\r\nSet-Cookie: SECRET",
    lambda asked: b"HTTP/1.1 10 Yes\r\nSet-Cookie: SECRET\r\n\r\n",
    lambda asked: b"Set-Cookie: SECRET\r\n\r\n",
    lambda asked: asked,  # an echo server
    lambda asked: b"",
]


@pytest.mark.parametrize("answer", REFUSALS)
async def test_an_answer_that_is_none(answer, autojump_clock, caplog):
    caplog.set_level("DEBUG")
    headers = {"Cookie": f"a=b; session={SECRET}", "Proxy-Authorization": f"Bearer {SECRET}"}
    error = await failure(
        f"ws://user:{SECRET}@h/chat?token={SECRET}", answer=answer, headers=headers
    )
    assert isinstance(error, HandshakeError)
    assert SECRET not in texts_of(error)
    assert SECRET not in records_of(caplog)


async def test_the_request_of_a_connection(autojump_clock):
    async with (
        serve_memory(headers={"Set-Cookie": SECRET}) as served,
        connect_endpoint(
            f"ws://u:{SECRET}@h/?token={SECRET}",
            stream=served.connect(),
            headers={"Cookie": SECRET, "Proxy-Authorization": SECRET},
        ) as connection,
    ):
        for shown in (
            connection,
            connection.request,
            connection.response,
            served.server.connections[0].request,
            served.server.connections[0].response,
        ):
            assert SECRET not in f"{shown!r} {shown}"
        assert SECRET in connection.request.headers["Cookie"]
        assert SECRET in connection.response.headers["Set-Cookie"]


# ---- servers -----------------------------------------------------------------------------------

GOOD = dict.fromkeys(HEADERS, SECRET)


@pytest.mark.parametrize(
    "data",
    [
        request(f"/?token={SECRET}", Origin="https://evil", **GOOD),
        request(f"/?token={SECRET}", Origin=f"https://u:{SECRET}@evil/?{SECRET}"),
        request(f"/?token={SECRET}", Sec_WebSocket_Version="8", **GOOD),
        request(f"/?token={SECRET}", Sec_WebSocket_Key="x", **GOOD),
        request(f"/?token={SECRET}", Connection="close", **GOOD),
        request(f"/?token={SECRET}#x", **GOOD),
        request(f"x?token={SECRET}"),
        request(f"http://u:{SECRET}@h/"),
        request(f"ftp://u:{SECRET}@h/?{SECRET}"),
        request("/", Host=f"u:{SECRET}@h:80"),
        request(**GOOD).replace(b"GET /", f"GET /?{SECRET} ".encode()),
        request(**GOOD).replace(b"GET /", f"POST /?{SECRET}".encode()),
        request(**GOOD).replace(b"SECRET", b"SECRET\0"),
        request(**GOOD).replace(b"SECRET", b"SECRET\n"),
        request(**GOOD).replace(b"SECRET", b"\r\n SECRET"),
        request(**GOOD).replace(b": SECRET", b" SECRET"),
        request(**GOOD, Content_Length="5"),
        request(**GOOD, X="x" * 20_000),
        request(f"/?{SECRET}")[:-2],
        request(f"/?token={SECRET}", **GOOD),  # which `process_request` answers badly
    ],
)
async def test_a_request_that_is_refused(data, autojump_clock, caplog):
    caplog.set_level("DEBUG")

    async def process_request(opening) -> Any:
        asked = opening.request
        return 401, {"Set-Cookie": asked.headers["Cookie"]}, asked

    async with serve_memory(process_request=process_request) as served:
        stream = served.connect()
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(data)
            await stream.send_eof()
        said = await read_all(stream)
    assert not said.startswith(b"HTTP/1.1 101 ")
    assert SECRET.encode() not in said
    assert caplog.records or said.startswith(b"HTTP/1.1 405 ")
    assert SECRET not in records_of(caplog)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", SPOILED)
async def test_a_header_that_a_server_cannot_send(name, value, autojump_clock, caplog):
    caplog.set_level("DEBUG")

    async def process_request(opening):
        return Response(401, {name: value})

    with pytest.raises((ValueError, TypeError)) as caught:
        async with serve_memory(headers={name: value}):
            raise AssertionError
    assert SECRET not in texts_of(caught.value)
    async with serve_memory(process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(request())
        assert (await read_all(stream)).startswith(b"HTTP/1.1 500 ")
    assert "process_request failed" in records_of(caplog)
    assert SECRET not in records_of(caplog)

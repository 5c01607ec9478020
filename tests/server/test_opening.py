"""`Opening`: what the app learns and sets before the 101, and how it may accept by itself."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from tests.server.helpers import (
    hold,
    loud,
    read_all,
    read_head,
    read_response,
    request,
    serve_memory,
)
from trio_wsendpoint import (
    BadRequest,
    ConnectionClosed,
    ConnectionEnded,
    HandshakeError,
    Instrument,
    Response,
    Timeouts,
    accept_endpoint,
    connect_endpoint,
)
from trio_wsendpoint.testing import MemoryNetwork, connection_pair, memory_stream_pair

URL = "ws://example.test/"


async def get(served, data):
    stream = served.connect()
    await stream.send_all(data)
    return await read_response(stream)


# ---- what it tells, and what is set ------------------------------------------------------------


async def test_what_was_asked_for(autojump_clock):
    seen: list[object] = []

    async def process_request(opening):
        asked = opening.request
        seen.append((asked.path, asked.raw_path, asked.query["a"], asked.cookies["sid"]))
        seen.append((opening.host, opening.is_secure, repr(opening.peer), opening.local))
        seen.append(repr(opening))

    async with serve_memory(hold, process_request=process_request) as served:
        await served.connect_raw(request("/caf%C3%A9%2f?a=1+2&b", Cookie='x; sid="1"; sid=2'))
    assert seen == [
        ("/café/", "/caf%C3%A9%2f", "1 2", '"1"'),
        ("example.test", False, "stream:", None),
        "<Opening stream: '/caf%C3%A9%2f'>",
    ]


async def test_what_is_set_reaches_the_client_and_the_handler(autojump_clock):
    states = []

    async def handler(connection):
        states.append((connection.state.user, connection.subprotocol))

    async def process_request(opening):
        assert opening.subprotocol == "b"
        opening.state.user = opening.request.query["user"]
        opening.subprotocol = opening.request.query["speak"]
        opening.add_header("Set-Cookie", "a=1")
        opening.add_header("Set-Cookie", "b=2")
        assert opening.headers.get_all("set-cookie") == ("a=1", "b=2")

    options = {"subprotocols": ["b"], "headers": {"X-All": "yes"}}
    async with serve_memory(handler, process_request=process_request, **options) as served:
        for user in "ann", "bob":
            target = f"{URL}?user={user}&speak=a"
            stream = served.connect()
            async with connect_endpoint(target, stream=stream, subprotocols=["a", "b"]) as client:
                assert client.subprotocol == "a"
                assert client.response.headers.get_all("Set-Cookie") == ("a=1", "b=2")
                assert client.response.headers["X-All"] == "yes"
    assert states == [("ann", "a"), ("bob", "a")]


async def test_state_may_be_anything_and_is_a_namespace_by_default(autojump_clock):
    async def process_request(opening):
        opening.state = 7

    async with connection_pair(handshake=True, server={"process_request": process_request}) as pair:
        assert pair.server.state == 7
        pair.client.state.mine = 1
        assert pair.client.state.mine == 1


async def test_no_subprotocol_can_be_chosen(autojump_clock):
    async def process_request(opening):
        opening.subprotocol = None

    async with serve_memory(hold, process_request=process_request, subprotocols=["a"]) as served:
        stream = served.connect()
        await stream.send_all(request(Sec_WebSocket_Protocol="a"))
        head, _ = await read_head(stream)
        assert b"Sec-WebSocket-Protocol" not in head


@pytest.mark.parametrize(
    ("set_wrong", "expected"),
    [
        (lambda o: setattr(o, "subprotocol", "c"), "'c' was not offered .* it has 'a', 'b'"),
        (lambda o: setattr(o, "subprotocol", 1), "1 was not offered"),
        (lambda o: setattr(o, "subprotocol", None), "subprotocol_required=True"),
        (lambda o: o.add_header("Upgrade", "x"), "the handshake writes it itself"),
        (lambda o: o.add_header("Sec-WebSocket-Accept", "x"), "the handshake writes it itself"),
        (lambda o: o.add_header("A", "b\r\nC: d"), "may not stand in its value"),
        (lambda o: o.add_header("A b", "c"), "not a token"),
    ],
)
async def test_a_wrong_choice_is_a_clear_error(set_wrong, expected, autojump_clock):
    async def process_request(opening):
        with pytest.raises(ValueError, match=expected):
            set_wrong(opening)
        assert (opening.subprotocol, len(opening.headers)) == ("a", 0)

    options = {"subprotocols": ["a"], "subprotocol_required": True}
    async with serve_memory(hold, process_request=process_request, **options) as served:
        await served.connect_raw(request(Sec_WebSocket_Protocol="a, b"))


# ---- refusing ----------------------------------------------------------------------------------


async def test_a_bad_request_that_is_raised_is_the_answer(caplog, autojump_clock):
    async def process_request(opening):
        raise BadRequest("no", Response(401, {"WWW-Authenticate": "Bearer"}, "who are you?"))

    async with serve_memory(process_request=process_request) as served:
        response = await get(served, request())
    assert (response.status, response.body) == (401, b"who are you?")
    assert loud(caplog) == []


async def test_it_has_its_own_time_and_the_answer_has_the_rest(caplog, autojump_clock):
    async def process_request(opening):
        await trio.sleep(25)

    timeouts = Timeouts(open=10, process=30)
    async with serve_memory(hold, process_request=process_request, timeouts=timeouts) as served:
        began = trio.current_time()
        await served.connect_raw()
        assert trio.current_time() - began == 25
    caplog.set_level(logging.INFO, "trio_wsendpoint")
    timeouts = Timeouts(open=10, process=2)
    async with serve_memory(hold, process_request=process_request, timeouts=timeouts) as served:
        began = trio.current_time()
        assert (await get(served, request())).status == 503
        assert trio.current_time() - began == 2
    assert "process_request took too long" in caplog.records[0].getMessage()


# ---- the client goes meanwhile -----------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "non-blocking"])
@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_client_that_goes_cancels_the_app(how, form, caplog, autojump_clock):
    caplog.set_level(logging.DEBUG, "trio_wsendpoint")
    ended, heard = [], []

    class Ear(Instrument):
        def handshake_refused(self, error, peer):
            heard.append((str(error), peer))

    async def process_request(opening):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    network = MemoryNetwork(nonblocking=form == "non-blocking")
    options = {"process_request": process_request, "instruments": [Ear()]}
    async with serve_memory(make_pair=network.pair, **options) as served:
        stream = served.connect()
        await stream.send_all(request())
        await trio.sleep(1)
        began = trio.current_time()
        if how == "end":
            await stream.aclose()
        else:
            stream.reset()
        await trio.sleep(1)
        assert ended == [began]
        assert served.server.statistics().opening == 0
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert len(heard) == 1


async def test_a_client_that_goes_from_accept_endpoint(autojump_clock):
    async def process_request(opening):
        await trio.sleep_forever()

    client, server = memory_stream_pair()
    await client.send_all(request())
    await client.aclose()
    with pytest.raises(HandshakeError, match="before its answer"):
        async with accept_endpoint(server, process_request=process_request):
            pass


async def test_what_comes_before_the_101_is_kept_within_a_limit(autojump_clock):
    async def process_request(opening):
        await trio.sleep(1)

    async def handler(connection):
        assert await connection.receive() == "hello"

    async with serve_memory(handler, process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(request())
        await trio.sleep(0.5)
        await stream.send_all(b"\x81\x85\0\0\0\0hello")
        head, rest = await read_head(stream)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert (rest + await read_all(stream)).startswith(b"\x88\x02\x03\xe8")
        stream = served.connect()
        await stream.send_all(request())
        await trio.sleep(0.5)
        await stream.send_all(b"\x81\x85\0\0\0\0hello" + bytes(5000))
        head, _ = await read_head(stream)
        assert head.startswith(b"HTTP/1.1 101 ")


async def test_a_page_may_be_asked_for_with_an_end_behind_it(autojump_clock):
    async def process_request(opening):
        await trio.sleep(1)
        return Response(200, body="ok")

    async with serve_memory(process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(b"GET /health HTTP/1.0\r\n\r\n")
        await stream.send_eof()
        assert (await read_response(stream)).body == b"ok"


# ---- accepting by itself -----------------------------------------------------------------------


async def test_an_app_that_runs_before_during_and_after_the_101(autojump_clock):
    order = []

    async def handler(connection):
        order.append("handler")

    async def process_request(opening):
        opening.add_header("X-App", "1")
        opening.state.number = 1
        order.append("before")
        connection = await opening.accept()
        assert opening.connection is connection
        assert connection.state.number == 1
        order.append(await connection.receive())
        await connection.send("during")
        await connection.aclose(4000, "bye")
        await trio.sleep(1)
        order.append("after")

    async with serve_memory(handler, process_request=process_request) as served:
        async with connect_endpoint(URL, stream=served.connect()) as client:
            assert client.response.headers["X-App"] == "1"
            assert served.server.connections
            assert served.server.statistics().opening == 0
            await client.send("hello")
            assert await client.receive() == "during"
            with pytest.raises(ConnectionClosed) as caught:
                await client.receive()
            assert (caught.value.code, caught.value.reason) == (4000, "bye")
        await trio.sleep(2)
        assert served.server.statistics().opened == 1
    assert order == ["before", "hello", "after"]


async def test_the_handler_goes_on_with_a_connection_that_is_open(autojump_clock):
    async def handler(connection):
        await connection.send("from the handler")

    async def process_request(opening):
        connection = await opening.accept()
        await connection.send("from the app")

    async with (
        serve_memory(handler, process_request=process_request) as served,
        connect_endpoint(URL, stream=served.connect()) as client,
    ):
        assert [message async for message in client] == ["from the app", "from the handler"]


async def test_the_app_may_accept_in_another_task(autojump_clock):
    async def process_request(opening):
        async def accept():
            connection = await opening.accept()
            await connection.send("hello")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)

    for open_server in (True, False):
        if open_server:
            async with (
                serve_memory(hold, process_request=process_request) as served,
                connect_endpoint(URL, stream=served.connect()) as client,
            ):
                assert await client.receive() == "hello"
            continue
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:

            async def serve(stream=theirs):
                async with accept_endpoint(stream, process_request=process_request) as connection:
                    await connection.send("from the block")

            nursery.start_soon(serve)
            async with connect_endpoint(URL, stream=ours) as client:
                assert [message async for message in client] == ["hello", "from the block"]


@pytest.mark.parametrize("fault", ["raises", "answers"])
async def test_an_app_that_fails_after_it_has_accepted_is_a_handler_that_fails(
    fault, caplog, autojump_clock
):
    async def handler(connection):
        raise AssertionError("called")

    async def process_request(opening):
        await opening.accept()
        if fault == "raises":
            raise KeyError("mine")
        return Response(403)

    async with serve_memory(handler, process_request=process_request) as served:
        async with connect_endpoint(URL, stream=served.connect()) as client:
            with pytest.raises(ConnectionClosed) as caught:
                await client.receive()
            assert caught.value.code == 1011
        await trio.testing.wait_all_tasks_blocked()
        statistics = served.server.statistics()
        assert (statistics.failed, statistics.connections, statistics.opened) == (1, 0, 1)
    [record] = loud(caplog)
    assert "the handler failed" in record.getMessage()


async def test_its_failure_may_end_the_server(autojump_clock):
    async def process_request(opening):
        await opening.accept()
        raise KeyError("mine")

    options = {"process_request": process_request, "on_handler_error": "raise"}
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012
        async with serve_memory(hold, **options) as served:
            await served.connect_raw()
            await trio.sleep_forever()


async def test_it_is_told_that_the_server_stops(autojump_clock):
    async def process_request(opening):
        connection = await opening.accept()
        async for _ in connection:
            pass

    async with (
        serve_memory(hold, process_request=process_request) as served,
        connect_endpoint(URL, stream=served.connect()) as client,
    ):
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.server.aclose)
            with pytest.raises(ConnectionEnded) as caught:
                await client.receive()
        assert caught.value.code == 1001


async def test_what_cannot_be_accepted(autojump_clock):
    async def process_request(opening):
        if not opening.request.is_upgrade:
            with pytest.raises(RuntimeError, match="asks for no WebSocket"):
                await opening.accept()
            return Response(204)
        await opening.accept()
        with pytest.raises(RuntimeError, match="accepted already"):
            await opening.accept()
        with pytest.raises(RuntimeError, match="accepted already"):
            opening.add_header("A", "b")
        with pytest.raises(RuntimeError, match="accepted already"):
            opening.subprotocol = None
        assert repr(opening).endswith("'/' accepted>")
        return None

    async with serve_memory(hold, process_request=process_request) as served:
        await served.connect_raw()
        assert (await get(served, b"GET / HTTP/1.0\r\n\r\n")).status == 204


async def test_a_client_that_has_gone_cannot_be_accepted(caplog, autojump_clock):
    caplog.set_level(logging.DEBUG, "trio_wsendpoint")
    errors = []

    async def process_request(opening):
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            try:
                await opening.accept()
            except HandshakeError as error:
                errors.append(error)
                raise

    async with serve_memory(hold, process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(request())
        await trio.sleep(0.5)
        await stream.aclose()
        await trio.sleep(1)
    assert len(errors) == 1
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


@pytest.mark.parametrize("does", ["swallows it", "raises another", "raises it"])
async def test_what_the_app_makes_of_a_client_that_is_lost_counts_for_nothing(
    does, caplog, autojump_clock
):
    caplog.set_level(logging.DEBUG, "trio_wsendpoint")

    async def process_request(opening):
        stream.reset()
        try:
            await opening.accept()
        except HandshakeError as error:
            if does == "raises it":
                raise
            if does == "raises another":
                raise LookupError("the app's own") from error

    async with serve_memory(
        hold, make_pair=memory_stream_pair, process_request=process_request
    ) as served:
        stream = served.connect()
        await stream.send_all(request())
        await trio.sleep(1)
        assert served.server.statistics().opening == 0
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert caplog.text.count("no connection") == 1


async def test_an_app_that_fails_when_its_client_goes_has_failed(caplog, autojump_clock):
    async def process_request(opening):
        try:
            await trio.sleep_forever()
        finally:
            raise LookupError("of the app's own")

    async with serve_memory(hold, process_request=process_request) as served:
        stream = served.connect()
        await stream.send_all(request())
        await trio.sleep(0.5)
        await stream.aclose()
        await trio.sleep(1)
    [record] = loud(caplog)
    assert record.getMessage().endswith("process_request failed")


async def test_a_pair_starts_its_connections_itself(autojump_clock):
    async def process_request(opening):
        await opening.accept()

    with pytest.raises(HandshakeError):
        async with connection_pair(handshake=True, server={"process_request": process_request}):
            pass


async def test_a_cancelled_app_has_no_connection(autojump_clock):
    async def process_request(opening):
        with trio.CancelScope() as scope:
            scope.cancel()
            await opening.accept()
        assert opening.connection is None
        return Response(403)

    async with serve_memory(hold, process_request=process_request) as served:
        assert (await get(served, request())).status == 403

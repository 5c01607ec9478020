"""`reconnecting_endpoint`: what a channel that outlives its connections does, and tells."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
from typing import Any

import pytest
import trio

from tests.client.reconnecting_world import URL, until, world
from tests.server.helpers import task_count
from trio_wsendpoint import (
    Backoff,
    Codes,
    ConnectionLost,
    GaveUp,
    HandshakeRefused,
    InvalidURL,
    Limits,
    NotConnected,
    ReconnectState,
    Retry,
    Timeouts,
    connect_endpoint,
    reconnecting_endpoint,
)
from trio_wsendpoint.client.states import TRANSITIONS, check_transition
from trio_wsendpoint.testing import MemoryNetwork

# ---- messages ----------------------------------------------------------------------------------


async def test_it_is_a_channel_that_outlives_its_connections(autojump_clock):
    async with world() as served, served.channel() as channel:
        assert issubclass(type(channel), trio.abc.Channel)
        for number in range(5):
            await channel.wait_connected()
            await channel.send(f"{number}")
            assert await channel.receive() == f"{number}"
            served.network.reset()
            await until(lambda: channel.state is not ReconnectState.CONNECTED)
        assert channel.attempts == 5
        await channel.send(b"bytes")
        assert await channel.receive() == b"bytes"
    assert served.received == ["0", "1", "2", "3", "4", b"bytes"]


async def test_iterating_goes_on_over_connections(autojump_clock):
    async with world() as served:
        numbers = iter(range(100))

        async def send_two(connection):
            for _ in range(2):
                await connection.send(str(next(numbers)))
            await connection.aclose(1012)

        served.handler = send_two
        received = []
        async with served.channel() as channel:
            async for message in channel:
                received.append(message)
                if len(received) == 9:
                    break
        assert received == [str(number) for number in range(9)]


async def test_what_an_ended_connection_has_received_is_read_first(autojump_clock):
    async with world() as served:

        async def burst(connection):
            first = len(served.connections) == 1
            for number in range(10):
                await connection.send(f"{'old' if first else 'new'} {number}")
            if first:
                await connection.aclose(1001)
            await connection.wait_closed()

        served.handler = burst
        async with served.channel() as channel:
            await until(lambda: len(served.connections) == 2)
            await trio.sleep(1)
            assert channel.statistics().bytes_unread == 10 * (5 + 128)
            received = [await channel.receive() for _ in range(20)]
        assert received == [f"{age} {n}" for age in ("old", "new") for n in range(10)]


async def test_no_connection_is_opened_while_too_much_is_unread(autojump_clock):
    async with world() as served:

        async def burst(connection):
            await connection.send(bytes(1500))
            await connection.aclose(1001)

        served.handler = burst
        async with served.channel(limits=Limits(receive_buffer=2000)) as channel:
            await trio.sleep(300)
            assert len(served.connections) == 2
            assert channel.statistics().bytes_unread == 2 * (1500 + 128)
            assert channel.state is ReconnectState.WAITING
            assert await channel.receive() == bytes(1500)
            await trio.sleep(300)
            assert len(served.connections) == 3


async def test_two_receivers(autojump_clock):
    async with world() as served, served.channel() as channel, trio.open_nursery() as nursery:
        nursery.start_soon(channel.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
            await channel.receive()
        nursery.cancel_scope.cancel()


# ---- sending while there is no connection --------------------------------------------------------


async def test_sends_wait_in_order_and_open_no_second_connection(autojump_clock):
    async with world() as served, served.channel() as channel:
        await channel.wait_connected()
        served.up = False
        served.network.reset()
        await until(lambda: channel.state is ReconnectState.WAITING)
        tries = channel.attempts
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(channel.send, f"{number}")
                await trio.testing.wait_all_tasks_blocked()
            statistics = channel.statistics()
            assert (statistics.senders_waiting, statistics.bytes_waiting) == (20, 30)
            assert channel.attempts == tries == 1, "the keeper alone opens connections"
            served.up = True
        await until(lambda: len(served.received) == 20)
        assert len(served.connections) == 2
    assert served.received == [str(number) for number in range(20)]


async def test_what_waiting_sends_hold_is_bounded(autojump_clock):
    async with world() as served, served.channel(waiting_bytes=10) as channel:
        served.up = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send, "é" * 4)  # 8 bytes
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(NotConnected, match="8 bytes wait to be sent: with 3 more"):
                await channel.send("abc")
            nursery.start_soon(channel.send, b"ab")
            await trio.testing.wait_all_tasks_blocked()
            assert channel.statistics().bytes_waiting == 10
            served.up = True
        assert channel.statistics().bytes_waiting == 0
        await until(lambda: len(served.received) == 2)


async def test_a_send_that_is_cancelled_while_it_waits_sends_nothing(autojump_clock):
    async with world() as served, served.channel() as channel:
        served.up = False
        with trio.move_on_after(1) as scope:
            await channel.send("never")
        assert scope.cancelled_caught
        served.up = True
        await channel.send("once")
        assert await channel.receive() == "once"
    assert served.received == ["once"]


async def test_a_buffer_that_changes_while_it_waits(autojump_clock):
    async with world() as served, served.channel() as channel, trio.open_nursery() as nursery:
        buffer = bytearray(b"before")
        served.up = False
        nursery.start_soon(channel.send, buffer)
        await trio.sleep(5)
        buffer[:] = b"after!"
        served.up = True
        assert await channel.receive() == b"before"


async def test_sending_may_raise_instead(autojump_clock):
    async with world() as served, served.channel(when_away="raise") as channel:
        with pytest.raises(NotConnected, match="the channel is connecting"):
            await channel.send("x")
        with pytest.raises(trio.WouldBlock):
            await channel.send("x")
        await channel.wait_connected()
        await channel.send("y")
        assert await channel.receive() == "y"
        served.up = False
        served.network.reset()
        await until(lambda: channel.state is ReconnectState.WAITING)
        with pytest.raises(NotConnected, match="the channel is waiting"):
            await channel.send("z")
    assert served.received == ["y"]


async def test_each_send_belongs_to_one_connection(autojump_clock):
    """Those that waited for room when it was lost go to the next one, the others are lost."""
    async with world(MemoryNetwork(capacity=100)) as served:
        lost = []

        async def on_connect(connection, attempt):
            lost.append(attempt.sent_before)

        async def read_late(connection):
            if len(served.connections) == 1:
                await connection.wait_closed()
            else:
                async for message in connection:
                    served.received.append(message)

        served.handler = read_late
        options = {"limits": Limits(send_buffer=3000), "on_connect": on_connect}
        async with served.channel(**options) as channel:
            await channel.wait_connected()
            async with trio.open_nursery() as nursery:
                for number in range(40):
                    nursery.start_soon(channel.send, f"{number:03}" * 1000)
                    await trio.testing.wait_all_tasks_blocked()
                served.network.reset()
            assert channel.statistics().messages_sent == 40
        assert 0 < lost[1] < 40
        assert len(served.received) == len(set(served.received)) == 40 - lost[1]


@pytest.mark.parametrize("value", [1, None, ["text"]])
async def test_what_cannot_be_sent_is_refused_at_once(value, autojump_clock):
    async with world() as served, served.channel() as channel:
        served.up = False
        with pytest.raises(TypeError, match=r"takes str .* not "):
            await channel.send(value)
        with pytest.raises(UnicodeEncodeError):
            await channel.send("\ud800")


# ---- the functions of the app --------------------------------------------------------------------


async def test_credentials_are_asked_for_before_each_try(autojump_clock):
    async with world() as served:
        attempts = []

        async def credentials(attempt):
            attempts.append(attempt)
            path = f"/{attempt.number}"
            return f"ws://example.test{path}", {"Authorization": f"token {attempt.number}"}

        options = {"headers": {"authorization": "old", "X-Kept": "kept"}}
        async with served.channel(credentials=credentials, **options) as channel:
            await channel.wait_connected()
            served.network.reset()
            await until(lambda: len(served.connections) == 2)
        asked = [
            (r.target, r.headers["Authorization"], r.headers["X-Kept"]) for r in served.requests
        ]
        assert asked == [("/1", "token 1", "kept"), ("/2", "token 2", "kept")]
        assert [attempt.first for attempt in attempts] == [True, False]
        assert isinstance(attempts[1].last_error, ConnectionLost)


async def test_on_connect_runs_before_messages_flow(autojump_clock):
    async with world() as served:
        seen = []

        async def on_connect(connection, attempt):
            await connection.send(f"login {attempt.number}")
            assert await connection.receive() == f"login {attempt.number}"
            await trio.sleep(1)
            seen.append((attempt.number, attempt.first, attempt.sent_before, attempt.gap))

        async with served.channel(on_connect=on_connect) as channel:
            for number in range(2):
                await channel.send(f"{number}")
                assert await channel.receive() == f"{number}"
                served.network.reset()
                await until(lambda: channel.state is not ReconnectState.CONNECTED)
            await channel.wait_connected()
        assert served.received == ["login 1", "0", "login 2", "1", "login 3"]
        assert [entry[:3] for entry in seen] == [(1, True, 0), (2, False, 2), (3, False, 2)]
        assert seen[0][3] is None
        assert all(entry[3] >= 0.1 for entry in seen[1:])


@pytest.mark.parametrize("where", ["credentials", "on_connect"])
async def test_a_function_that_is_too_slow_is_a_failure(where, autojump_clock):
    async with world() as served:
        calls = []

        async def slow(*_):
            calls.append(trio.current_time())
            await trio.sleep(0 if len(calls) > 1 else 1000)
            return URL, {}

        async with served.channel(**{where: slow}, hook_timeout=3) as channel:
            await channel.wait_connected()
            assert 3.1 <= trio.current_time() <= 4
            assert dict(channel.statistics().decisions) == {"hook-timeout": 1}
        assert len(calls) == 2


@pytest.mark.parametrize("where", ["credentials", "on_connect", "on_retry", "give_up"])
async def test_what_a_function_of_the_app_raises_leaves_the_block(where, autojump_clock):
    async with world() as served:
        served.refuse(503)
        await trio.testing.wait_all_tasks_blocked()
        tasks = task_count()

        def fail(*_):
            raise LookupError("mine")

        async def fail_later(*_):
            fail()

        is_async = where in {"credentials", "on_connect"}
        with pytest.raises(LookupError, match="mine"):
            async with served.channel(**{where: fail_later if is_async else fail}):
                await trio.sleep_forever()
        await trio.sleep(20)
        assert task_count() == tasks


async def test_the_block_and_a_function_that_both_fail(autojump_clock):
    async with world() as served:

        async def on_connect(*_):
            raise LookupError("mine")

        async def fail_when_cancelled():
            async with served.channel(on_connect=on_connect):
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError("the block's")

        with pytest.raises(ExceptionGroup) as caught:
            await fail_when_cancelled()
        assert [type(error) for error in caught.value.exceptions] == [ValueError, LookupError]


async def test_the_end_of_another_connection_is_the_apps_to_handle(autojump_clock):
    async with world() as served:

        async def on_connect(connection, attempt):
            async with connect_endpoint(URL, stream=await served.network.connect()) as other:
                await other.aclose()
                await other.send("too late")

        with pytest.raises(trio.ClosedResourceError):
            async with served.channel(on_connect=on_connect):
                await trio.sleep_forever()


async def test_the_end_of_its_own_connection_is_judged(autojump_clock):
    async with world() as served:
        served.handler = served.drop

        async def on_connect(connection, attempt):
            await connection.receive()

        async with served.channel(on_connect=on_connect, max_failures=3) as channel:
            with pytest.raises(GaveUp, match="row 'max-failures'"):
                await channel.receive()
            assert channel.statistics().decisions["close-restart"] == 3


async def test_credentials_that_cannot_be_had_for_now(autojump_clock):
    async with world() as served:
        errors = [OSError("the token server is away"), trio.TooSlowError()]

        async def credentials(attempt):
            if errors:
                raise errors.pop(0)
            return URL, ()

        async with served.channel(credentials=credentials) as channel:
            await channel.wait_connected()
            assert dict(channel.statistics().decisions) == {"credentials": 2}


@pytest.mark.parametrize("wrong", ["ws://example.test/", None, (1, 2, 3)])
async def test_credentials_of_a_wrong_form(wrong, autojump_clock):
    async with world() as served:

        async def credentials(attempt):
            return wrong

        with pytest.raises(TypeError, match=r"credentials must return \(url, headers\), not a"):
            async with served.channel(credentials=credentials):
                await trio.sleep_forever()


# ---- giving up -----------------------------------------------------------------------------------


async def test_a_refusal_is_told_with_its_row_and_its_answer(autojump_clock):
    async with world() as served:
        served.refuse(403, X_Why="because")
        async with served.channel() as channel:
            with pytest.raises(GaveUp) as caught:
                await channel.receive()
            assert channel.state is ReconnectState.STOPPED
            with pytest.raises(GaveUp):
                await channel.send("x")
            with pytest.raises(GaveUp):
                await channel.wait_connected()
        error = caught.value
        assert isinstance(error, trio.BrokenResourceError)
        assert isinstance(error.__cause__, HandshakeRefused)
        assert error.row.name == "http-refused"
        assert error.response is not None
        assert (error.response.status, error.response.body) == (403, b"said no")
        assert error.response.headers["X-Why"] == "because"
        assert (error.attempts, error.failures, error.code) == (1, 1, None)
        assert "row 'http-refused'" in str(error)
        assert str(error).startswith("gave up after 1 try, 1 failure in a row; ")


async def test_the_block_raises_what_no_call_has(autojump_clock):
    async with world() as served:
        served.refuse(403)
        with pytest.raises(GaveUp):
            async with served.channel():
                await trio.sleep(5)


@pytest.mark.parametrize("is_told", [False, True])
async def test_a_channel_that_the_app_closes_has_given_up_still(is_told, autojump_clock):
    async with world() as served:
        served.refuse(403)
        with contextlib.nullcontext() if is_told else pytest.raises(GaveUp):
            async with served.channel() as channel:
                await until(lambda: channel.state is ReconnectState.STOPPED)
                if is_told:
                    with pytest.raises(GaveUp):
                        await channel.receive()
                await channel.aclose()
                with pytest.raises(trio.ClosedResourceError):
                    await channel.receive()


async def receive_when_cancelled(channel):
    try:
        await trio.sleep_forever()
    finally:
        with (
            trio.CancelScope(shield=True),
            pytest.raises(trio.BrokenResourceError, match="the block raises it"),
        ):
            await channel.receive()


async def test_the_end_of_another_channel_is_an_error_of_the_app(autojump_clock):
    async with world() as served:

        async def on_connect(connection, attempt):
            served.refuse(403)
            async with served.channel() as other:
                await other.receive()

        with pytest.raises(GaveUp, match="row 'http-refused'"):
            async with served.channel(on_connect=on_connect) as channel:
                await receive_when_cancelled(channel)


async def test_a_service_of_its_own_codes(autojump_clock):
    async with world() as served:

        async def close(connection):
            await connection.aclose(4000 if len(served.connections) < 3 else 4004, "who are you?")

        served.handler = close
        async with served.channel(give_up=Codes.preset("discord")) as channel:
            with pytest.raises(GaveUp, match=r"row 'codes 4004'.*who are you") as caught:
                await channel.receive()
        assert (caught.value.code, caught.value.attempts) == (4004, 3)


@pytest.mark.parametrize(("said", "tries"), [(True, 1), ("stop", 1), (False, 3), ("busy", 3)])
async def test_a_function_may_decide(said, tries, autojump_clock):
    async with world() as served:
        served.refuse(401, times=2)
        served.refuse(403)
        errors = []

        def give_up(error):
            errors.append(error.response.status)
            return said if error.response.status == 401 else None

        async with served.channel(give_up=give_up) as channel:
            with pytest.raises(GaveUp) as caught:
                await channel.receive()
        assert caught.value.attempts == tries
        assert caught.value.row.name == ("give-up" if tries == 1 else "http-refused")


async def test_a_function_that_says_nothing_known(autojump_clock):
    async with world() as served:
        served.refuse(401)
        with pytest.raises(ValueError, match=r"one of busy, .* not 'never'"):
            async with served.channel(give_up=lambda error: "never"):
                await trio.sleep_forever()


async def test_max_failures_and_max_elapsed(autojump_clock):
    async with world() as served:
        served.up = False
        async with served.channel(max_failures=4) as channel:
            with pytest.raises(
                GaveUp, match=r"row 'max-failures'.*ConnectionRefusedError"
            ) as caught:
                await channel.wait_connected()
        assert (caught.value.attempts, caught.value.failures) == (4, 4)
        assert str(caught.value).startswith("gave up after 4 tries, 4 failures in a row; ")
        began = trio.current_time()
        async with served.channel(max_elapsed=60) as channel:
            with pytest.raises(GaveUp, match="row 'max-elapsed'"):
                await channel.wait_connected()
        assert 30 < trio.current_time() - began <= 60


async def test_retry_after(autojump_clock):
    async with world() as served:
        retries: list[Retry] = []
        served.refuse(503, Retry_After="100")
        served.refuse(429, Retry_After="4000")
        async with served.channel(on_retry=retries.append) as channel:
            with pytest.raises(GaveUp, match="row 'retry-after'"):
                await channel.receive()
        assert [retry.row.name for retry in retries] == ["http-busy"]
        assert 100 <= retries[0].delay <= 115
        assert served.openings[1] - served.openings[0] >= 100


async def test_a_401_after_health_asks_for_credentials_once_more(autojump_clock):
    async with world() as served:
        tokens = []

        async def credentials(attempt):
            tokens.append(attempt.number)
            return URL, ()

        async with served.channel(credentials=credentials) as channel:
            await channel.wait_connected()
            await trio.sleep(60)
            served.refuse(401)
            served.network.reset()
            await until(lambda: len(served.connections) == 2)
            served.refuse(401, times=2)
            served.network.reset()  # without a time of health between
            with pytest.raises(GaveUp, match="row 'http-refused'"):
                await channel.receive()
        assert channel.statistics().decisions["http-401-renewed"] == 1


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_name_that_is_not_known(is_known, autojump_clock):
    async with world() as served:
        unknown = not is_known

        async def open_stream(host, port):
            if unknown:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            return await served.open_stream(host, port)

        async with served.channel(open_stream=open_stream) as channel:
            if not is_known:
                with pytest.raises(GaveUp, match="row 'name-unknown'"):
                    await channel.receive()
                return
            await channel.wait_connected()
            unknown = True
            served.network.reset()
            await trio.sleep(30)
            unknown = False
            await channel.wait_connected()
            assert channel.statistics().decisions["name-unknown-later"] > 3


# ---- the end -------------------------------------------------------------------------------------


async def test_aclose(autojump_clock):
    async with world() as served, served.channel() as channel:
        await channel.wait_connected()
        async with trio.open_nursery() as nursery:

            async def receive():
                with pytest.raises(trio.ClosedResourceError):
                    await channel.receive()

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await channel.aclose(4000, "enough")
        assert served.network.open_streams == ()
        assert served.connections[0].statistics().close_code == 4000
        await channel.aclose()
        for call in (channel.receive, channel.wait_connected, lambda: channel.send("x")):
            with pytest.raises(trio.ClosedResourceError):
                await call()
        assert channel.state is ReconnectState.CLOSED
        assert channel.connection is None


async def test_leaving_the_block_closes_in_order(autojump_clock):
    async with world() as served:
        async with served.channel() as channel:
            await channel.send("last")

        async def fail():
            async with served.channel() as channel:
                await channel.wait_connected()
                raise LookupError("mine")

        with pytest.raises(LookupError, match=r"^mine$"):
            await fail()
        with trio.move_on_after(5) as scope:
            async with served.channel() as channel:
                await channel.wait_connected()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        await trio.sleep(1)
        codes = [one.statistics().close_code for one in served.connections]
        assert codes == [1000, 1011, 1001]
        assert served.received == ["last"]


@pytest.mark.parametrize("state", list(ReconnectState)[:4])
async def test_leaving_in_each_state(state, autojump_clock):
    async with world() as served:
        await trio.testing.wait_all_tasks_blocked()
        tasks = task_count()
        served.up = state is not ReconnectState.WAITING
        served.stalls = state is ReconnectState.CONNECTING
        served.handler = served.echo
        options = {"max_age": 10} if state is ReconnectState.RENEWING else {}
        async with served.channel(**options) as channel:
            if state is ReconnectState.RENEWING:
                await channel.wait_connected()
                served.stalls = True
            await until(lambda: channel.state is state)
            left_at = trio.current_time()
        assert trio.current_time() - left_at <= 1
        await trio.sleep(20)
        assert task_count() == tasks


async def test_using_it_again_after_the_block(autojump_clock):
    async with world() as served:
        async with served.channel() as channel:
            pass
        with pytest.raises(trio.ClosedResourceError):
            await channel.receive()


async def test_a_block_is_entered_once(autojump_clock):
    async with world() as served:
        block = served.channel()
        async with block:
            pass
        with pytest.raises(RuntimeError, match="a channel is opened once"):
            async with block:
                raise AssertionError


async def test_options_that_make_no_sense(autojump_clock):
    async def hook(*_):
        raise AssertionError

    table: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"url": "http://example.test/"}, InvalidURL, "use ws://"),
        ({"backoff": 3}, TypeError, r"backoff must be Backoff\(...\), not 3"),
        ({"when_away": "keep"}, ValueError, '"wait" or "raise", not \'keep\''),
        ({"credentials": "token"}, TypeError, "credentials must be a function"),
        ({"give_up": {4000: "later"}}, TypeError, r"Codes\(...\) or a function"),
        ({"max_age": 0}, ValueError, "max_age must be more than 0 s, not 0"),
        ({"max_failures": 0}, ValueError, "max_failures must be at least 1 failures"),
        ({"waiting_bytes": -1}, ValueError, "waiting_bytes must be at least 0 bytes"),
        ({"hook_timeout": "1"}, TypeError, "hook_timeout must be a number"),
        ({"timeouts": 4}, TypeError, "timeouts must be Timeouts"),
    ]
    for options, error, says in table:
        with pytest.raises(error, match=says):
            reconnecting_endpoint(**{"url": URL, **options})


# ---- what it tells -------------------------------------------------------------------------------


def test_the_table_of_states():
    for old in ReconnectState:
        for new in ReconnectState:
            if new in TRANSITIONS[old]:
                check_transition(old, new)
            else:
                with pytest.raises(RuntimeError, match=f"from {old} to {new}"):
                    check_transition(old, new)


async def test_one_line_is_logged_for_each_change_of_state(caplog, autojump_clock):
    caplog.set_level(logging.INFO)
    async with world() as served:

        async def close(connection):
            await connection.aclose(1001, "\x1b[2J\u202e")

        served.handler = close
        url = "ws://user:secret@example.test/?ticket=secret"
        async with served.channel(url):
            await until(lambda: len(served.connections) == 2)
        lines = [
            r.getMessage() for r in caplog.records if "ws://example.test is " in r.getMessage()
        ]
        states = [line.split(" is ")[1].split(":")[0] for line in lines]
        assert states[:4] == ["connected", "waiting", "connecting", "connected"]
        assert states[-1] == "closed"
        assert all(r.levelno == logging.INFO for r in caplog.records)
        text = "\n".join(lines)
        assert "row 'close-restart'" in text
        assert "secret" not in text
        assert all(line.isascii() and line.isprintable() for line in lines)


async def test_statistics(autojump_clock):
    async with world() as served, served.channel() as channel:
        await channel.send("x")
        assert await channel.receive() == "x"
        await trio.sleep(100)
        served.up = False
        served.network.reset()
        await until(lambda: channel.state is ReconnectState.WAITING)
        await trio.sleep(50)
        served.up = True
        await channel.wait_connected()
        await channel.send("y")
        assert await channel.receive() == "y"
        told = channel.statistics()
        assert told.state is ReconnectState.CONNECTED
        assert told.connections == 2
        assert told.attempts == channel.attempts == len(served.openings)
        assert told.failures == told.attempts - 2, "the first connection was healthy"
        assert (told.messages_sent, told.messages_received) == (2, 2)
        assert 100 <= told.connected_for < 101
        assert told.connected_for + told.away_for == pytest.approx(trio.current_time())
        assert isinstance(told.last_error, ConnectionRefusedError)
        assert told.decisions["close-lost"] == 1
        assert told.decisions["unreachable"] == told.attempts - 2
        await trio.sleep(40)
        assert channel.statistics().failures == 0
        assert "connected" in repr(channel)


async def test_reconnect_now(autojump_clock):
    async with world() as served, served.channel() as channel:
        served.up = False
        await trio.sleep(300)
        await until(lambda: channel.state is ReconnectState.WAITING)
        await trio.sleep(0.2)
        served.up = True
        channel.reconnect_now()
        with trio.fail_after(0.1):
            await channel.wait_connected()
        channel.reconnect_now()  # which does nothing now
        await trio.sleep(1)
        assert len(served.connections) == 1


async def test_the_connection_in_use(autojump_clock):
    async with world() as served, served.channel() as channel:
        before = channel.connection
        assert before is None
        await channel.wait_connected()
        after = channel.connection
        assert after is not None
        assert await after.ping() >= 0


async def test_an_opening_that_gets_no_stream(autojump_clock):
    async with world() as served:
        calls = []

        async def open_stream(host, port):
            calls.append((host, port))
            if len(calls) == 1:
                await trio.sleep_forever()
            return await served.open_stream(host, port)

        options = {"timeouts": Timeouts(open=3), "backoff": Backoff(rng=random.Random(2))}
        async with served.channel(
            "ws://other.test:81/", open_stream=open_stream, **options
        ) as channel:
            await channel.wait_connected()
            assert 3.1 <= trio.current_time() <= 4
            assert dict(channel.statistics().decisions) == {"opening-timeout": 1}
        assert calls == [("other.test", 81)] * 2


async def test_wss_over_a_stream_of_ones_own(server_context, client_context, autojump_clock):
    async with world(ssl_context=server_context) as served:
        url = "wss://example.test/"
        async with served.channel(url, ssl_context=client_context) as channel:
            await channel.send("hello")
            assert await channel.receive() == "hello"
        # By default a certificate has to be one that the system knows.
        async with served.channel(url) as channel:
            with pytest.raises(GaveUp, match="row 'tls'"):
                await channel.receive()


async def test_over_tcp():
    from trio_wsendpoint import serve_endpoint

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with (
        serve_endpoint(echo, 0, host="127.0.0.1") as server,
        reconnecting_endpoint(server.urls[0]) as channel,
    ):
        await channel.send("hello")
        assert await channel.receive() == "hello"

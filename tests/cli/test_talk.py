"""When a conversation ends, with a clock that jumps."""

from __future__ import annotations

import contextlib
import re
import signal

import trio

from tests.cli.helpers import Memory, read_until, running_command
from trio_wsendpoint import ConnectionClosed, connect_endpoint, serve_endpoint
from trio_wsendpoint.cli.connect import with_output
from trio_wsendpoint.cli.outcome import Outcome, Status
from trio_wsendpoint.cli.stopping import Stop, run_program
from trio_wsendpoint.cli.talk import Conversation, Manner
from trio_wsendpoint.testing import connection_pair


async def converse(handler, *lines, manner, **form):
    """Talk to a handler; return what was written, the seconds it took, and the close code."""
    memory = Memory(**form)
    send, receive = trio.open_memory_channel(100)
    for line in lines:
        send.send_nowait(line)
    send.close()
    async with connection_pair() as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(handler, server)
        began = trio.current_time()

        async def run():
            await Conversation(client, memory.output, manner).run(receive)
            return Outcome(Status.DONE)

        await with_output(memory.output, run)
        taken = trio.current_time() - began
        nursery.cancel_scope.cancel()
        return memory.data, taken, server.endpoint.closing.code


async def slow(server):
    with contextlib.suppress(ConnectionClosed):
        async for message in server:
            await trio.sleep(0.6)
            await server.send(message)


async def test_it_lingers_after_the_last_message(autojump_clock):
    data, taken, code = await converse(slow, "a", "b", "c", manner=Manner(linger=1.0))
    assert data == b"a\nb\nc\n"
    assert 2.8 <= taken < 2.9  # three answers of 0.6 s each, and a second after the last
    assert code == 1000


async def test_it_does_not_wait_longer(autojump_clock):
    data, taken, _code = await converse(slow, "a", "b", manner=Manner(linger=0.5))
    assert data == b""
    assert taken < 1.3  # of which the handler takes 1.2 s before it sees the close


async def test_it_waits_for_so_many(autojump_clock):
    data, _taken, _code = await converse(slow, "a", "b", "c", manner=Manner(count=2, linger=0.0))
    assert data == b"a\nb\n"


async def test_a_close_of_ones_own(autojump_clock):
    manner = Manner(linger=0.0, code=4000, reason="done")
    _data, _taken, code = await converse(slow, manner=manner)
    assert code == 4000


async def test_facts_for_a_terminal(autojump_clock):
    data, _taken, _code = await converse(slow, "a", manner=Manner(count=1), is_terminal=True)
    assert data.split() == b"< a text, 1 B, 600 ms after ours".split()


async def test_the_first_signal_ends_gently_and_the_second_at_once(autojump_clock):
    stop, asked = Stop(), []

    async def program(stop):
        with stop.gently(lambda: asked.append(1), patience=5.0):
            stop.note(Status.INTERRUPTED)
            await trio.sleep(1.0)
            stop.note(Status.TERMINATED)
            await trio.sleep(1.0)
            asked.append(2)

    began = trio.current_time()
    outcome = await run_program(program, stop)
    assert outcome.status == Status.INTERRUPTED
    assert (asked, trio.current_time() - began) == ([1], 1.0)


async def test_what_takes_too_long_after_a_signal_is_cancelled(autojump_clock):
    async def program(stop):
        with stop.gently(lambda: None, patience=5.0):
            stop.note(Status.TERMINATED)
            await trio.sleep_forever()

    began = trio.current_time()
    assert (await run_program(program)).status == Status.TERMINATED
    assert trio.current_time() - began == 5.0


async def test_ping_tells_its_summary_at_ctrl_c():
    async def hold(connection):
        async for _message in connection:
            pass

    async with (
        serve_endpoint(hold, 0) as server,
        running_command("ping", "-i", "0.01", f":{server.port}/") as process,
    ):
        await read_until(process.stdout, b"pong 2")
        process.send_signal(signal.SIGINT)
        rest = await read_until(process.stdout, b"\0")
        assert b" pongs, 0 % lost; min" in rest
        assert await process.wait() == 130


async def test_a_server_is_started_again_when_a_file_changes(tmp_path):
    path = tmp_path / "app_that_changes.py"
    source = "async def handle(connection):\n    await connection.send('{}')\n"
    path.write_text(source.format("old"))
    options = ["--listen", "tcp:127.0.0.1:0", "--reload"]
    async with running_command(
        "serve", "app_that_changes:handle", *options, cwd=tmp_path
    ) as process:
        for expected in ("old", "new"):
            notes = await read_until(process.stderr, b"serving ws")
            [url] = re.findall(rb"serving (\S+)\n", await read_until(process.stderr, b"\n", notes))
            async with connect_endpoint(url.decode()) as connection:
                assert await connection.receive() == expected
            path.write_text(source.format("new") + "# and longer\n")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 143

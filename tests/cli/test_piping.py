"""In a pipe: messages only on stdout, one a line, none lost."""

from __future__ import annotations

import base64
import contextlib
import sys

import pytest
import trio

from tests.cli.helpers import Memory, command, environment, read_until, running_command
from tests.examples.programs import ROOT
from trio_wsendpoint import ConnectionLost, serve_endpoint
from trio_wsendpoint.cli.lines import read_messages
from trio_wsendpoint.cli.outcome import UsageFault


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def split(*chunks, **options):
    """What `read_messages` makes of an input."""
    send, receive = trio.open_memory_channel(100)
    left = list(chunks)

    async def source():
        return left.pop(0) if left else b""

    await read_messages(source, send, **options)
    return [message async for message in receive]


async def test_lines_are_messages_however_they_are_cut():
    assert await split(b"on", b"e\ntwo\n", b"\nlast") == ["one", "two", "", "last"]
    assert await split(b"a\nb\0c\0", end=b"\0") == ["a\nb", "c"]
    assert await split() == []


async def test_lines_of_binary_messages():
    assert await split(b"00ff\n", binary="hex") == [b"\0\xff"]
    assert await split(b"AP8=\n", binary="base64") == [b"\0\xff"]
    assert await split(b"hi\n", binary="text") == [b"hi"]
    assert await split(b"a\n", b"\xff", binary="raw") == [b"a\n", b"\xff"]


@pytest.mark.parametrize(
    ("line", "binary", "told"),
    [(b"\xff", None, "UTF-8"), (b"0", "hex", "hex"), (b"-", "base64", "base64")],
)
async def test_a_wrong_line_is_named(line, binary, told):
    with pytest.raises(UsageFault, match=rf"line 2 of the input is not {told}"):
        await split(b"00\n" if binary != "base64" else b"\n", line, binary=binary)


def written(value, **form):
    memory = Memory(**form)
    memory.output.message(value)
    return b"".join(memory.output._waiting)


async def test_what_is_written():
    assert written("hi \x1b") == b"hi \x1b\n"  # a pipe gets what was sent
    assert written(b"\0\xff") == b"00ff\n"
    assert written(b"\0\xff", binary="base64") == base64.b64encode(b"\0\xff") + b"\n"
    assert written(b"\0\xff", binary="raw") == b"\0\xff"
    assert written("a\nb", end=b"\0") == b"a\nb\0"
    assert b'"text": "a\\nb"' in written("a\nb", is_json=True)
    assert written("\x1b[2J", is_terminal=True) == b"< \\x1b[2J\n"


async def test_a_message_of_two_lines_is_an_error():
    with pytest.raises(UsageFault, match="--null or --json"):
        written("a\nb")


async def test_lines_before_the_101_are_kept_and_each_answer_is_flushed():
    may_open = trio.Event()

    async def wait(_request):
        await may_open.wait()

    async with (
        serve_endpoint(echo, 0, process_request=wait) as server,
        running_command("connect", f":{server.port}/", "--linger", "forever") as process,
    ):
        await process.stdin.send_all(b"early\n")
        may_open.set()
        assert await read_until(process.stdout, b"\n") == b"early\n"
        await process.stdin.send_all(b"late\n")  # while the input is open
        assert await read_until(process.stdout, b"\n") == b"late\n"


async def test_it_waits_for_so_many_answers():
    async def slow(connection):
        async for message in connection:
            await trio.sleep(0.1)
            await connection.send(f"{message}!")

    async with serve_endpoint(slow, 0) as server:
        url = f":{server.port}/"
        done = await command("connect", url, "-n", "2", "--linger", "0", input=b"a\nb\n")
        assert (done.returncode, done.stdout) == (0, b"a!\nb!\n")


async def test_no_prompt_no_colour_no_notes():
    async with serve_endpoint(echo, 0) as server:
        done = await command("connect", f":{server.port}/", "-q", "-n", "1", input=b"a\n")
        assert (done.stdout, done.stderr) == (b"a\n", b"")
        done = await command("connect", f":{server.port}/", "-n", "1", input=b"a\n")
        assert b"\x1b" not in done.stdout + done.stderr
        assert b"> " not in done.stdout


async def test_ten_thousand_lines():
    lines = b"".join(b"%d\n" % number for number in range(10_000))
    async with serve_endpoint(echo, 0) as server:
        done = await command("connect", f":{server.port}/", "-n", 10_000, input=lines)
    assert done.stdout == lines


async def test_first_messages_and_a_close_of_ones_own():
    codes = []

    async def note(connection):
        with contextlib.suppress(ConnectionLost):
            async for message in connection:
                await connection.send(message)
        codes.append((connection.endpoint.closing.code, connection.endpoint.closing.received))

    async with serve_endpoint(note, 0) as server:
        options = ["--send", "one", "-n", "1", "--close", "4000:done"]
        done = await command("connect", f":{server.port}/", *options)
    assert done.stdout == b"one\n"
    assert done.returncode == 0
    [(code, frame)] = codes
    assert (code, frame.reason) == (4000, "done")


async def test_an_input_that_is_closed_has_no_lines():
    async with serve_endpoint(echo, 0) as server:
        words = f"-W error -m trio_wsendpoint connect :{server.port}/ --linger 0"
        done = await trio.run_process(
            ["sh", "-c", f"exec {sys.executable} {words} <&-"],
            check=False,
            capture_stderr=True,
            cwd=ROOT,
            env=environment(),
        )
    assert done.returncode == 0, done.stderr

"""The prompt on a real terminal, by tmux; and what typed lines mean."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.examples.programs import PATIENCE, ROOT
from trio_wsendpoint import serve_endpoint
from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.phrases import Close, Help, Ping, Say, Stats, parse_phrase
from trio_wsendpoint.cli.prompt import history_path, private_file


class Terminal:
    """A tmux session of its own."""

    def __init__(self, socket):
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    async def run(self, *arguments):
        done = await trio.run_process([*self._tmux, *arguments], capture_stdout=True)
        return done.stdout.decode()

    async def start(self, command, env):
        shown = [f"-e{name}={value}" for name, value in env.items()]
        await self.run("new-session", "-d", "-x", "140", "-y", "30", *shown, "sh", "-c", command)

    async def type(self, *keys):
        await self.run("send-keys", *keys)

    async def read_until(self, text, *, times=1):
        """Return the screen, once `text` is on it so many times."""
        screen = ""
        with trio.move_on_after(PATIENCE):
            while screen.count(text) < times:
                await trio.sleep(0.05)
                screen = await self.run("capture-pane", "-p", "-J", "-S", "-100")
        assert screen.count(text) >= times, screen
        return screen


@asynccontextmanager
async def command_on_a_terminal(tmp_path, *arguments, env=()):
    """The command in a terminal; when it has ended, the screen says `status N`."""
    terminal = Terminal(tmp_path / "tmux")
    changed = [f"{name}={value}" for name, value in dict(env).items()]
    words = " ".join(["env", *changed, sys.executable, "-W error -m trio_wsendpoint", *arguments])
    changes = {"XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}
    try:
        await terminal.start(
            f"cd {ROOT}; {words}; echo status $?; stty -a | grep -o ' echo '; sleep 60", changes
        )
        yield terminal
    finally:
        with trio.CancelScope(shield=True):
            await trio.run_process(
                ["tmux", "-S", str(tmp_path / "tmux"), "kill-server"],
                check=False,
                stderr=subprocess.DEVNULL,
            )


async def handler(connection):
    await connection.send("welcome \x1b[2J")
    async for message in connection:
        if message == "leave":
            await connection.aclose(4401, "go \x1b[2J away")
        await connection.send(f"echo {message}")


@pytest.mark.component
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
async def test_a_conversation(tmp_path):
    async with (
        serve_endpoint(handler, 0) as server,
        command_on_a_terminal(tmp_path, "connect", f":{server.port}/") as terminal,
    ):
        screen = await terminal.read_until("< welcome \\x1b[2J")
        assert "* localhost is " in screen  # the escape has not wiped the terminal
        await terminal.type("hello", "Enter")
        screen = await terminal.read_until("< echo hello")
        assert "> hello" in screen
        await terminal.type("//slash", "Enter")
        await terminal.read_until("< echo /slash")
        await terminal.type("/ping", "Enter")
        await terminal.read_until("* pong after ")
        await terminal.type("/stats", "Enter")
        await terminal.read_until("* sent 2 messages")
        await terminal.type("/nothing", "Enter")
        await terminal.read_until("! there is no /nothing")
        await terminal.type("Up", "Up", "Up", "Up", "Up", "Enter")  # by the history
        await terminal.read_until("< echo hello", times=2)
        await terminal.type("leave", "Enter")
        screen = await terminal.read_until("status 10")
        assert '! the peer closed first: 4401 "go \\x1b[2J away"' in screen
        await terminal.read_until(" echo ")  # the terminal is as it was
    path = tmp_path / "state" / "trio-wsendpoint" / "history"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "hello" in path.read_text()


@pytest.mark.component
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
async def test_ctrl_c_clears_the_line_and_then_closes(tmp_path):
    codes = []

    async def note(connection):
        async for message in connection:
            await connection.send(message)
        codes.append(connection.endpoint.closing.code)

    async with (
        serve_endpoint(note, 0) as server,
        command_on_a_terminal(tmp_path, "connect", f":{server.port}/") as terminal,
    ):
        await terminal.read_until("compression")
        await terminal.type("unsent")
        await terminal.read_until("> unsent")
        await terminal.type("C-c")
        await terminal.type("sent", "Enter")
        await terminal.read_until("< sent")
        await terminal.type("C-c")
        screen = await terminal.read_until("status 130")
        assert "Traceback" not in screen
    assert codes == [1000]


@pytest.mark.component
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
async def test_ctrl_d_closes_and_no_color_is_obeyed(tmp_path):
    async with (
        serve_endpoint(handler, 0) as server,
        command_on_a_terminal(
            tmp_path, "connect", f":{server.port}/", env={"NO_COLOR": "1"}
        ) as terminal,
    ):
        await terminal.read_until("< welcome")
        await terminal.read_until("\n>")  # from here on keys are the prompt's
        screen = await terminal.run("capture-pane", "-p", "-e")
        assert "\x1b[" not in screen.partition("> ")[0]
        await terminal.type("C-d")
        await terminal.read_until("status 0")


@pytest.mark.component
@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
async def test_a_dumb_terminal_has_no_prompt(tmp_path):
    async with (
        serve_endpoint(handler, 0) as server,
        command_on_a_terminal(
            tmp_path, "connect", f":{server.port}/", env={"TERM": "dumb"}
        ) as terminal,
    ):
        await terminal.read_until("< welcome")
        await terminal.type("hello", "Enter")
        screen = await terminal.read_until("< echo hello")
        assert "> " not in screen
        assert "\x1b" not in await terminal.run("capture-pane", "-p", "-e")
        await terminal.type("C-d")
        await terminal.read_until("status 0")


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        ("hello", Say("hello")),
        ("", Say("")),
        ("//x", Say("/x")),
        ("/ping", Ping()),
        ("/stats", Stats()),
        ("/help", Help()),
        ("/binary 00 ff", Say(b"\0\xff")),
        ("/close", Close()),
        ("/close 4000", Close(4000)),
        ("/close 4000 all done", Close(4000, "all done")),
    ],
)
def test_a_phrase(line, phrase):
    assert parse_phrase(line) == phrase


@pytest.mark.parametrize(
    "line", ["/", "/x", "/binary 0", "/file /no/such", "/close x", "/close 999", "/close 5000"]
)
def test_a_phrase_that_is_none(line):
    with pytest.raises(UsageFault):
        parse_phrase(line)


def test_a_file(tmp_path):
    (tmp_path / "text").write_text("hé")
    (tmp_path / "bytes").write_bytes(b"\xff")
    assert parse_phrase(f"/file {tmp_path}/text") == Say("hé")
    assert parse_phrase(f"/file {tmp_path}/bytes") == Say(b"\xff")


def test_the_history_is_private(tmp_path):
    path = history_path({"XDG_STATE_HOME": str(tmp_path)})
    assert private_file(path) == path
    os.chmod(path, 0o644)
    assert private_file(path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert history_path({"HOME": "/home/x"}) == Path("/home/x/.local/state/trio-wsendpoint/history")
    (tmp_path / "link").symlink_to(path)
    assert private_file(tmp_path / "link") is None

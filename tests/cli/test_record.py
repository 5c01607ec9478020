"""A conversation in a file, and sent again; and the script of a shell."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import pytest
import trio

from tests.cli.helpers import command, environment
from trio_wsendpoint import serve_endpoint
from trio_wsendpoint.cli.conversation_file import Recorded, read_recorded
from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.replay import send_again, unlike


async def handler(connection):
    async for message in connection:
        secret = connection.request.headers.get("Authorization") or "none"
        await connection.send(f"{message} for {secret}" if message == "who" else message)


async def record(url, path, *options, input=b"hello\nwho\n"):
    return await command("record", "-o", path, url, *options, "-n", "2", input=input)


async def test_record_masks_secrets_and_replay_repeats(tmp_path):
    path = tmp_path / "talk.jsonl"
    (tmp_path / "token").write_text("very-secret\n")
    secrets = ["--bearer", f"@{tmp_path}/token", "-H", "Cookie: id=cookie-secret"]
    async with serve_endpoint(handler, 0) as server:
        url = f":{server.port}/?key=query-secret"
        done = await record(url, path, *secrets)
        assert (done.returncode, done.stdout) == (0, b"hello\nwho for Bearer very-secret\n")
        again = await record(url, path)
        assert again.returncode == 2
        assert b"--force replaces it" in again.stderr
        replay = await command("replay", path, url, *secrets, "-n", "2", "--speed", "100")
        assert replay.stdout == done.stdout
        checked = await command("replay", path, url, "-n", "2", "--check")
        assert checked.returncode == 12
        assert b"message 2 differs" in checked.stderr
    text = path.read_text()
    for secret in ("very-secret", "cookie-secret", "query-secret"):
        assert secret not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    head, *messages = map(json.loads, text.splitlines())
    assert head["url"].endswith("/?key=...")
    assert [(one["direction"], one["text"]) for one in messages if one["text"] == "hello"] == [
        ("sent", "hello"),
        ("received", "hello"),
    ]
    assert any("who for " in one["text"] for one in messages)


async def test_the_times_are_kept(autojump_clock):
    recorded = [
        Recorded(1.0, "sent", "a"),
        Recorded(1.5, "received", "b"),
        Recorded(3.0, "sent", b"c"),
    ]
    send, receive = trio.open_memory_channel(10)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_again, recorded, send, 2.0)
        times = [(trio.current_time() - began, message) async for message in receive]
    assert times == [(0.5, "a"), (1.5, b"c")]


def test_answers_that_differ():
    recorded = [Recorded(0.0, "sent", "a"), Recorded(0.1, "received", "b")]
    assert unlike(recorded, ["b"]) is None
    assert unlike(recorded, ["x"]) == "message 1 differs from the recorded one"
    assert unlike(recorded, []) == "0 messages came, 1 were recorded"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "no JSON",
        '{"seconds": 1, "direction": "up", "type": "text", "text": "x"}',
        '{"seconds": 1, "direction": "sent", "type": "text", "text": 1}',
        '{"seconds": 1, "direction": "sent", "type": "binary", "base64": "-"}',
    ],
)
def test_a_file_that_is_none(tmp_path, line):
    path = tmp_path / "talk"
    path.write_text(f'{{"version": 1}}\n{line}\n')
    with pytest.raises(UsageFault, match="line 2 is none of a recorded conversation"):
        read_recorded(str(path))
    path.write_text('{"version": 2}\n')
    with pytest.raises(UsageFault, match="line 1"):
        read_recorded(str(path))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion(shell):
    done = await command("completion", shell)
    assert done.returncode == 0
    assert b"_TRIO_WSENDPOINT_COMPLETE" in done.stdout


async def test_bash_is_told_what_completes():
    env = {
        "_TRIO_WSENDPOINT_COMPLETE": "bash_complete",
        "COMP_WORDS": "trio-wsendpoint do",
        "COMP_CWORD": "1",
    }
    done = await command(env=env)
    assert done.stdout.split() == [b"plain,doctor"]


async def test_the_script_is_bash():
    done = await command("completion", "bash")
    checked = subprocess.run(["bash", "-n"], input=done.stdout, capture_output=True)
    assert checked.stderr == b""


async def test_help_begins_with_examples():
    for name in ("connect", "ping", "bench", "serve", "doctor", "record", "replay"):
        done = await command(name, "-h")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Examples:\n  trio-wsendpoint {name} ".encode())


async def test_options_from_the_environment():
    done = await command("connect", ":1/", env={"TRIO_WSENDPOINT_CONNECT_TIMEOUT": "never"})
    assert done.returncode == 2
    assert b"expected seconds" in done.stderr


async def test_without_the_extra():
    program = (
        "import sys\n"
        "sys.modules['click'] = None\n"
        "from trio_wsendpoint.cli import main\n"
        "sys.exit(main(['connect', ':1']))\n"
    )
    done = await trio.run_process(
        [sys.executable, "-c", program],
        check=False,
        capture_stderr=True,
        env=environment(),
    )
    assert done.returncode == 1
    assert done.stderr == b"! the command needs click: pip install 'trio-wsendpoint[cli]'\n"

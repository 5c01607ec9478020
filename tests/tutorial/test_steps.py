"""Each step does what its page says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import urllib.error
import urllib.request
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import trio

from tests.examples.programs import PATIENCE
from tests.tutorial.steps import PAGES, PORT, Folder, Step
from trio_wsendpoint import HandshakeRefused, connect_endpoint

STEPS = range(1, 13)
#: A block of a page may have this many lines that its reader has not seen.
MOST_NEW_LINES = 25


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def answer_to(url: str, data: bytes | None = None) -> str:
    """Return the body that a server gives to a plain request."""
    with urllib.request.urlopen(url, data, timeout=PATIENCE) as response:
        return str(response.read(), "utf-8")


def test_there_are_twelve_steps() -> None:
    assert [path.name[:11] for path in PAGES] == [f"tutorial-{number:02}" for number in STEPS]


@pytest.mark.parametrize("number", STEPS)
def test_no_step_brings_more_than_its_lines(number: int) -> None:
    earlier: dict[str, list[str]] = {}
    for one in range(1, number):
        for name, text in Step(one).files.items():
            earlier.setdefault(name, []).append(text)
    for name, text in Step(number).files.items():
        fewest = min(new_lines(before, text) for before in earlier.get(name, [""]))
        assert fewest <= MOST_NEW_LINES, name


def new_lines(before: str, after: str) -> int:
    """Return how many lines with something in them are not in the file before."""
    old, new = before.splitlines(), after.splitlines()
    changes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    added = [
        line for kind, _, _, start, end in changes if kind != "equal" for line in new[start:end]
    ]
    return sum(1 for line in added if line.strip())


async def test_1_an_echo(folder: Folder) -> None:
    step = Step(1)
    folder.write(step)
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        assert folder.as_told(server) == step.outputs[0]
        assert await folder.output_of("client.py") == step.outputs[1]
        server.interrupt()
        await server.wait()
    assert server.output.strip().endswith("KeyboardInterrupt")


async def test_1_what_goes_wrong_is_told_in_these_words(folder: Folder) -> None:
    folder.write(Step(1))
    assert "Connection refused" in await folder.output_of("client.py")
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        assert "Address already in use" in await folder.output_of("server.py")


async def test_2_a_page(folder: Folder) -> None:
    step = Step(2)
    folder.write(step)
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        assert folder.as_told(server) == step.outputs[0]
        url = f"http://localhost:{folder.port}/"
        assert await trio.to_thread.run_sync(answer_to, url) == step.files["page.html"]
        async with connect_endpoint(
            f"ws://localhost:{folder.port}/", origin=url[:-1]
        ) as connection:
            await connection.send("a word")
            assert await connection.receive() == "a word"


async def test_3_two_things_at_once(folder: Folder) -> None:
    folder.write(Step(2))
    folder.write(Step(3))
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        async with connect_endpoint(f"ws://localhost:{folder.port}/") as connection:
            seen = {await connection.receive()}
            await connection.send("hello")
            seen |= {await connection.receive(), await connection.receive()}
    assert seen == set(Step(3).outputs[0].splitlines())


async def test_4_the_peer_leaves(folder: Folder) -> None:
    step = Step(4)
    folder.write(Step(1))
    folder.write(step)
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        await folder.output_of("client.py")
        await server.read_until("1 has left\n")
        assert await folder.output_of("vanish.py") == "hello\n"
        await server.read_until("2 has left\n")
    assert folder.as_told(server) == step.outputs[0]


async def test_5_waiting_too_long(folder: Folder) -> None:
    folder.write(Step(5))
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        assert await folder.output_of("client.py") == Step(5).outputs[0]


async def test_6_when_a_task_fails(folder: Folder) -> None:
    folder.write(Step(5))
    folder.write(Step(6))
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        assert await folder.output_of("client.py") == Step(6).outputs[0]


async def test_7_a_chat(folder: Folder) -> None:
    folder.write(Step(2))
    folder.write(Step(7))
    told = Step(7).outputs[0].splitlines()
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        url = f"ws://localhost:{folder.port}/"
        async with connect_endpoint(url) as ann:
            seen = [await ann.receive()]
            async with connect_endpoint(url) as bob:
                assert await bob.receive() == told[1]
                await bob.send("hello")
                assert await bob.receive() == told[2]
            seen += [await ann.receive() for _ in range(3)]
    assert seen == told


async def test_8_rooms(folder: Folder) -> None:
    folder.write(Step(2))
    folder.write(Step(8))
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        assert folder.as_told(server) == Step(8).outputs[0]
        at = f"localhost:{folder.port}/rooms"
        page = await trio.to_thread.run_sync(answer_to, f"http://{at}/garden")
        assert page == Step(2).files["page.html"]
        async with (
            connect_endpoint(f"ws://{at}/garden") as garden,
            connect_endpoint(f"ws://{at}/kitchen") as kitchen,
        ):
            await garden.send("hello")
            told = "".join([f"{await garden.receive_text()}\n" for _ in range(2)])
            assert re.sub(r"guest \d+", "guest 1", told) == Step(8).outputs[1]
            assert str(await kitchen.receive()).endswith("has come to the kitchen")
            with pytest.raises(trio.WouldBlock):
                kitchen.receive_nowait()
        with pytest.raises(HandshakeRefused, match="404"):
            async with connect_endpoint(f"ws://{at}/"):
                pass


async def test_9_who_are_you(folder: Folder) -> None:
    step = Step(9)
    folder.write(Step(2))
    folder.write(step)
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        assert folder.as_told(server) == step.outputs[0]
        assert await folder.output_of("client.py") == step.outputs[2]
        cookie = await trio.to_thread.run_sync(log_in, f"http://localhost:{folder.port}/login")
        url = f"ws://localhost:{folder.port}/rooms/garden"
        async with connect_endpoint(url, headers={"Cookie": cookie}) as connection:
            assert f"{await connection.receive_text()}\n" == step.outputs[1]
        with pytest.raises(HandshakeRefused, match=r"403 Forbidden: .*the origin"):
            async with connect_endpoint(url, origin="http://localhost:1"):
                pass


def log_in(url: str) -> str:
    """Send the form, and return the cookie of the answer."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments):
            return None

    assert "<form" in answer_to(url)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(Stay).open(url, b"user=ann", timeout=PATIENCE)
    with caught.value as answer:
        assert (answer.code, answer.headers["Location"]) == (303, "/rooms/garden")
        return answer.headers["Set-Cookie"].partition(";")[0]


def test_10_a_test(folder: Folder) -> None:
    folder.write(Step(10))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_chat.py"]
    run = subprocess.run(
        command, cwd=folder.path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 0, run.stdout
    assert Step(10).outputs[0].strip() in run.stdout


async def test_11_a_client_that_stays(folder: Folder) -> None:
    folder.write(Step(1))
    folder.write(Step(11))
    async with folder.run("client.py") as client:
        for line in Step(11).outputs[0].splitlines(keepends=True):
            async with folder.run("server.py") as server:
                await client.read_until(line)
                server.interrupt()
                await server.wait()
        assert client.output == Step(11).outputs[0]


async def test_12_out_into_the_world(folder: Folder) -> None:
    step = Step(12)
    folder.write(step)
    async with folder.run("server.py") as server:
        await server.read_until("\n")
        async with connect_endpoint(f"ws://127.0.0.1:{folder.port}/") as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            server.interrupt()
            await server.check_end()
    assert folder.as_told(server) == step.outputs[0]


def test_12_the_files_are_about_one_port() -> None:
    assert all(PORT in Step(12).files[name] for name in ("server.py", "Dockerfile", "nginx.conf"))


# ---- the pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", STEPS)
def test_a_page_has_one_idea_and_leads_on(number: int) -> None:
    step = Step(number)
    assert step.page.startswith(f"# {number}. ")
    assert step.page.count("\n## What is new: ") == 1
    if number < len(STEPS):
        assert f"]({PAGES[number].name})" in step.page.splitlines()[-1]
        assert "## If you see something else" in step.page


def test_the_programs_are_typed_and_formatted() -> None:
    for number in STEPS:
        for name, text in Step(number).files.items():
            if name.endswith(".py"):
                ast.parse(text)
                assert max(map(len, text.splitlines())) <= 100, name


def test_new_lines_are_counted() -> None:
    assert new_lines("a\nb\n", "a\nc\n\nb\nd\n") == 2

"""README.md, and the two pages that begin where it ends, are true: their code runs.

Each block of code of the README is run as a program of its own, with only the port changed.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair

from tests.examples.programs import PATIENCE, ROOT, running
from tests.pages.blocks import sources_of
from trio_wsendpoint import (
    Connection,
    ConnectionLost,
    Timeouts,
    connect_endpoint,
)
from trio_wsendpoint.testing import connection_pair

README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Where the files of the repository are for a reader who has no clone.
OURS = f"{PROJECT['urls']['Source']}/blob/main/"


def links_in(text: str) -> list[str]:
    """Return where the links of a page lead, those that are defined at its end among them."""
    return re.findall(r"(?:\]\(|^\[[^\]]+\]: )([^)\s]+)", text, re.MULTILINE)


SERVE, CONNECT, TEST = sources_of("README.md")
SHELL = sources_of("README.md", "sh")
SERVE_AGAIN, RUN, ACCEPT = sources_of("docs/serving.md")


def write(tmp_path: Path, source: str, *, name: str = "block.py") -> Path:
    path = tmp_path / name
    path.write_text(source)
    return path


# ---- the code ----------------------------------------------------------------------------------


async def test_the_server_and_the_client_talk_to_each_other(tmp_path: Path) -> None:
    server_path = write(tmp_path, SERVE.replace("8765", "0"), name="server.py")
    async with running("-W", "error", server_path) as server:
        url = await server.read_url()
        assert "ws://localhost:8765" in CONNECT
        client_path = write(tmp_path, CONNECT.replace("ws://localhost:8765", url))
        async with running("-W", "error", client_path) as client:
            assert await client.wait() == 0, client.output
        assert client.output == "hello\n"


async def test_accept_endpoint(tmp_path: Path) -> None:
    # It prints no address, so one that is free now has to do.
    async with (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] as listener:
        port = listener.socket.getsockname()[1]
    path = write(tmp_path, ACCEPT.replace("8765", str(port)))
    async with running("-W", "error", path) as server:
        with trio.fail_after(PATIENCE):
            async with await connect_when_ready(port) as stream:
                await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
            await server.read_until("\n")
            async with connect_endpoint(f"ws://localhost:{port}") as connection:
                await connection.send("hello")
                assert await connection.receive() == "HELLO"


async def connect_when_ready(port: int) -> trio.SocketStream:
    """Connect to a server that is about to listen."""
    while True:
        try:
            return await trio.open_tcp_stream("localhost", port)
        except OSError:
            await trio.sleep(0.05)


async def test_run_endpoint(tmp_path: Path) -> None:
    async with running("-W", "error", write(tmp_path, RUN)) as program:
        assert await program.wait() == 0, program.output
    assert program.output == "welcome to /chat\n"


async def test_the_testing_kit(tmp_path: Path) -> None:
    async with running("-m", "pytest", "-q", write(tmp_path, TEST, name="test_it.py")) as program:
        assert await program.wait() == 0, program.output
    assert "1 passed" in program.output


def test_the_page_on_serving_begins_as_the_readme() -> None:
    assert SERVE_AGAIN == SERVE


def test_every_block_is_one_that_is_run_here() -> None:
    assert set(re.findall(r"^```(\w+)$", README, re.MULTILINE)) == {"python", "sh"}
    assert len(re.findall(r"^ *```", README, re.MULTILINE)) == 2 * len(
        sources_of("README.md") + SHELL
    )


@pytest.mark.parametrize("line", [line for block in SHELL for line in block.splitlines()])
def test_a_command_is_one_of_the_makefile(line: str) -> None:
    # Run for real by .ci/run, and by whoever runs this.
    assert re.fullmatch(r"make \w+", line)
    subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_the_first_screen_has_what_it_is_and_how_to_begin() -> None:
    screen = "\n".join(README.splitlines()[:50])
    for part in (SERVE, CONNECT, "make demo", "make test"):
        assert part in screen


# ---- what it claims ----------------------------------------------------------------------------


def test_two_peers_that_only_send_are_parted_by_the_write_timeout() -> None:
    async def send_for_ever(connection: Connection) -> None:
        while True:
            await connection.send(bytes(10_000))

    async def main() -> None:
        started = trio.current_time()
        ended: list[float] = []

        async def run(connection: Connection) -> None:
            with pytest.raises(ConnectionLost):
                await send_for_ever(connection)
            ended.append(trio.current_time() - started)

        # A stream that holds nothing: the buffers are those of the two connections.
        async with connection_pair(streams=lockstep_stream_pair()) as pair:
            async with trio.open_nursery() as nursery:
                for connection in pair:
                    nursery.start_soon(run, connection)
            assert ended[0] == Timeouts().write

    trio.run(main, clock=MockClock(autojump_threshold=0))


# ---- the other documents -----------------------------------------------------------------------


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in DOCUMENTS])
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    for link in links_in(text):
        if link.startswith(OURS):
            assert (ROOT / link.removeprefix(OURS).partition("#")[0]).exists(), link
        elif "://" not in link and not link.startswith("#"):
            assert (path.parent / link.partition("#")[0]).exists(), link


def test_the_links_of_the_readme_do_not_depend_on_where_it_is_shown() -> None:
    links = links_in(README)
    assert [link for link in links if not link.startswith("https://")] == []
    assert sum(link.startswith(OURS) for link in links) > 5


def test_each_link_by_name_is_defined() -> None:
    defined = set(re.findall(r"^\[([^\]]+)\]: ", README, re.MULTILINE))
    prose = re.sub(r"^```.*?^```$|`[^`]*`", "", README, flags=re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"\[([^\]]+)\](?![(:])", prose)) == defined

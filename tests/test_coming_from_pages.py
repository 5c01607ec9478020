"""The pages for those who come from another library: our programs run, and theirs compile."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trio_wsendpoint
from tests.tutorial.steps import free_port
from trio_wsendpoint import Connection, ConnectOptions, ServeOptions
from trio_wsendpoint.testing import MemoryNetwork

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    "websockets": "coming-from-websockets",
    "trio-websocket": "coming-from-trio-websocket",
    "aiohttp": "coming-from-aiohttp",
}
BLOCK = re.compile(r"^([\w-]+):\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str, str]]:
    """Yield each program: the page's library, whose program it is, and its source."""
    for library, page in PAGES.items():
        for owner, source in BLOCK.findall((DOCS / f"{page}.md").read_text()):
            yield library, owner, source


OURS = [source for _, owner, source in blocks() if owner == "trio_wsendpoint"]
THEIRS = [source for library, owner, source in blocks() if owner == library]


def compiled(source: str) -> Any:
    """Compile what may stand in an async function."""
    return compile(source, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("library", PAGES)
def test_each_of_theirs_has_one_of_ours_beside_it(library: str) -> None:
    owners = [owner for page, owner, _ in blocks() if page == library]
    assert owners[::2] == [library] * (len(owners) // 2)
    assert owners[1::2] == ["trio_wsendpoint"] * (len(owners) // 2)
    assert len(owners) >= 16


@pytest.mark.parametrize("source", THEIRS)
def test_theirs_compiles(source: str) -> None:
    assert compiled(source)


@pytest.mark.parametrize("source", THEIRS)
def test_what_theirs_imports_exists(source: str) -> None:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            pytest.importorskip(str(getattr(node, "module", None) or node.names[0].name))
            exec(compile(ast.Module([node], []), "page", "exec"), {})


async def converse(connection: Connection) -> None:
    """Send something at once, so that no program waits for ever; then echo for a minute."""
    with trio.move_on_after(60):
        await connection.send('"something"')
        async for message in connection:
            await connection.send(message)


async def nothing(_connection: Connection) -> None:
    await trio.lowlevel.checkpoint()


async def run(source: str) -> None:
    """Run a program of ours; one that would go on for ever is ended after ten minutes."""
    namespace: dict[str, Any] = {**vars(trio_wsendpoint), "trio": trio}
    port = str(free_port())
    async with AsyncExitStack() as stack:
        # As an app beside it: a program that connects has a server, one that serves a free port.
        network = MemoryNetwork()
        await stack.enter_async_context(
            trio_wsendpoint.serve_endpoint(converse, listeners=[network.listen()])
        )
        nursery = await stack.enter_async_context(trio.open_nursery())
        if "serve_endpoint(" not in source:
            await nursery.start(trio_wsendpoint.run_endpoint, converse, int(port))
        connection = await stack.enter_async_context(network.connect_endpoint("ws://server/"))
        namespace |= {
            "connection": connection,
            "connections": {connection},
            "echo": converse,
            "nursery": nursery,
            "pieces": [b"one", b"two"],
            "reader": nothing,
            "routes": trio_wsendpoint.Routes(),
            "stream": await network.connect(),
            "url": f"ws://localhost:{port}/",
            "writer": nothing,
        }
        with trio.move_on_after(600):
            made = eval(compiled(source.replace("8765", port)), namespace)
            if inspect.iscoroutine(made):
                await made
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("source", OURS)
def test_ours_runs(source: str) -> None:
    trio.run(run, source, clock=MockClock(autojump_threshold=0.05))


def test_a_program_that_is_wrong_is_found() -> None:
    with pytest.raises(AttributeError, match="recv"):
        unwrapped(lambda: trio.run(run, "await connection.recv()", clock=MockClock(rate=100)))


def unwrapped(function: Any) -> None:
    """Call a function, and raise the error of a group that has one alone."""
    try:
        function()
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            [error] = error.exceptions
        raise error from None


@pytest.mark.parametrize("page", PAGES.values())
def test_our_words_exist(page: str) -> None:
    words = (DOCS / f"{page}.md").read_text().partition("\n## Words\n")[2]
    ours = [row.split(" | ")[1] for row in re.findall(r"^\| (.*) \|", words, re.MULTILINE)[2:]]
    keywords = ServeOptions.__annotations__ | ConnectOptions.__annotations__
    for cell in ours:
        for group, options in re.findall(r"\b([A-Z]\w+)\(([\w=., *]*)\)", cell):
            fields = {one.name for one in dataclasses.fields(getattr(trio_wsendpoint, group))}
            assert set(re.findall(r"(\w+)=", options)) <= fields, cell
        for keyword in re.findall(r"`(\w+)=", cell):
            assert keyword in keywords, cell
        for name in re.findall(r"`([A-Z]\w+)`", cell):
            assert hasattr(trio_wsendpoint, name) or name == "OSError", cell
        for method in re.findall(r"`(\w+)\(", cell):
            assert hasattr(Connection, method), cell

"""docs/http.md is true: its program runs and answers, its limits are those there are."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trio_wsendpoint
from tests.pages.blocks import sources_of
from trio_wsendpoint import HttpLimits
from trio_wsendpoint.server.settings import ServeOptions

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "http.md").read_text()

ASK = """
async def ask(port: int, text: str) -> str:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        request = text.replace("\\n", "\\r\\n") + "\\r\\n"
        if "Content-Length" not in text:
            request += "\\r\\n"
        await stream.send_all(request.encode())
        answer = b""
        async for data in stream:
            answer += data
        return answer.decode()


async def try_it(port: int) -> None:
    import trio_wsendpoint

    for text in (
        "GET /health HTTP/1.0",
        "HEAD /health HTTP/1.0",
        "POST /login HTTP/1.0\\nContent-Length: 7\\n\\nuser=me",
        "PUT /files/a%20b HTTP/1.0\\nContent-Length: 3\\n\\nabc",
        "GET /events HTTP/1.0",
        "GET /login HTTP/1.0",
        "GET /none HTTP/1.0",
    ):
        answer = await ask(port, text)
        head, _, body = answer.partition("\\r\\n\\r\\n")
        print(head.split(" ")[1], body.strip().replace("\\n", "|"))
    url = f"ws://127.0.0.1:{port}/rooms/one"
    async with trio_wsendpoint.connect_endpoint(url) as connection:
        await connection.send("hello")
        print(await connection.receive())
    try:
        async with trio_wsendpoint.connect_endpoint(f"ws://127.0.0.1:{port}/none"):
            pass
    except trio_wsendpoint.HandshakeRefused as refused:
        print(refused.response.status)


trio.run(main)
"""


def test_the_program_answers() -> None:
    source = sources_of("docs/http.md")[0]
    command = [sys.executable, "-W", "error", "-c", source + ASK]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "200 ok",
        "200 ",
        "303 ",
        '201 {"name": "a b", "size": 3}',
        "200 data: 0||data: 1||data: 2",
        "405 'GET' is not served here",
        "404 not found",
        "one: hello",
        "404",
    ]


def test_its_limits_are_those_there_are() -> None:
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", PAGE, re.MULTILINE)
    told = {name: value for cell, value in rows[1:] for name in re.findall(r"`(\w+)`", cell)}
    assert set(told) == {field.name for field in dataclasses.fields(HttpLimits)}
    limits = HttpLimits()
    assert limits.body_size == 1 << 20
    assert limits.drain == 64 << 10
    assert told["requests"] == str(limits.requests)
    assert told["idle"] == f"{limits.idle:g} s"
    assert told["body_rate"].startswith(f"{limits.body_time:g} s, {limits.body_rate} bytes")


@pytest.mark.parametrize("name", ["http", "http_handler"])
def test_its_options_exist(name: str) -> None:
    assert f"{name}=" in PAGE
    assert name in ServeOptions.__annotations__


def test_its_names_exist() -> None:
    for name in re.findall(r"`((?:Http|Body|OutOf|Streamed|Routes|Bad)\w*)[`(]", PAGE):
        assert hasattr(trio_wsendpoint, name), name

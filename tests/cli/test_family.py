"""`-4` and `-6`: one family of addresses alone."""

from __future__ import annotations

import socket

import pytest

from tests.cli.helpers import command
from trio_wsendpoint import serve_endpoint
from trio_wsendpoint.cli.family import over_family
from trio_wsendpoint.cli.opening import Plan, Target
from trio_wsendpoint.cli.outcome import UsageFault


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def test_the_family_that_the_server_has():
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        url = f"ws://localhost:{server.port}/"
        done = await command("connect", "-4", "--send", "hi", "-n", "1", url)
        assert (done.returncode, done.stdout) == (0, b"hi\n"), done.stderr
        assert b"127.0.0.1" in done.stderr


async def test_the_family_that_it_has_not():
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        done = await command("connect", "-6", f"ws://127.0.0.1:{server.port}/")
        assert done.returncode == 3
        assert done.stderr.count(b"\n") == 1
        assert b"Traceback" not in done.stderr


async def test_a_port_where_nothing_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await over_family(socket.AF_INET)("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("other", [{"unix": "/x"}, {"resolve": "a:80:127.0.0.1"}])
def test_where_to_connect_is_said_once(other):
    with pytest.raises(UsageFault, match="-4 and -6"):
        Plan.of(Target(url="ws://a/", family="4", **other))


def test_no_name_of_its_own():
    with pytest.raises(UsageFault, match="--servername"):
        Plan.of(Target(url="wss://a/", family="4", servername="b"))

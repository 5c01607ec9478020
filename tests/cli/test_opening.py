"""What the options of an opening become, and that no secret has to stand on a command line."""

from __future__ import annotations

import base64
import math

import pytest
import trio

from tests.cli.helpers import command
from tests.client.proxies import HTTPProxy
from trio_wsendpoint import serve_endpoint
from trio_wsendpoint.cli.opening import Plan, Target, whole_url
from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.secrets import basic, bearer, parse_header, text_of


async def tell(connection):
    request = connection.request
    names = ("Host", "Origin", "Authorization", "X-One")
    for name in names:
        await connection.send(f"{name}={request.headers.get(name)}")
    await connection.aclose()


def options(**target):
    return Plan.of(Target(**{"url": "ws://app.example:8080/", "proxy": "none", **target})).options


def test_a_short_url():
    assert whole_url(":8000/x") == "ws://localhost:8000/x"
    assert whole_url("wss://x/") == "wss://x/"


def test_secrets_are_read_from_files(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    file = f"@{tmp_path}/token"
    assert bearer(file) == ("Authorization", "Bearer s3cret")
    assert parse_header(f"Cookie: {file}") == ("Cookie", "s3cret")
    assert parse_header("X: a: b") == ("X", "a: b")
    pair = base64.b64encode(b"ana:s3cret").decode()
    assert basic(f"ana:{file}") == ("Authorization", f"Basic {pair}")
    assert text_of("@@x", "-x") == "@x"
    with pytest.raises(UsageFault, match=r"cannot read .*missing: No such file"):
        bearer(f"@{tmp_path}/missing")
    with pytest.raises(UsageFault, match="Name: value"):
        parse_header("no colon")


def test_the_way():
    assert options()["proxy"] is None
    assert options(proxy=None)["proxy"] is True
    assert options(unix="/run/x")["address"] == "unix:/run/x"
    assert options(resolve="app.example:8080:192.0.2.1")["address"] == "tcp:192.0.2.1:8080"
    assert options(resolve="app.example:8080:[::1]")["address"] == "tcp:[::1]:8080"
    named = Plan.of(Target(url="wss://10.0.0.1:8443/x", servername="app.example", proxy="none"))
    assert named.url == "wss://app.example:8443/x"
    assert named.options["address"] == "tcp:10.0.0.1:8443"
    assert named.options["host_header"] == "10.0.0.1:8443"


def test_times_and_limits():
    assert options(timeout=3.0)["timeouts"].open == 3.0
    assert options(heartbeat=math.inf)["heartbeat"] is None
    assert options(max_size=10)["limits"].message_size == 10
    assert options(deflate=False)["deflate"] is None
    assert options(redirects=True)["redirects"] == 5
    assert options(headers=("Host: x", "A: 1"))["host_header"] == "x"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"resolve": "x"}, "HOST:PORT:ADDRESS"),
        ({"resolve": "other:80:192.0.2.1"}, "the URL for app.example:8080"),
        ({"resolve": "app.example:8080:192.0.2.1", "unix": "/x"}, "leave one out"),
        ({"unix": "/x", "proxy": "http://p"}, "--proxy goes with neither"),
        ({"insecure": True}, "are for wss:// URLs"),
        ({"url": "wss://x/", "cacert": "/no/such"}, "--cacert: cannot use /no/such"),
        ({"url": "wss://x/", "cert": "/no/such"}, "--cert: cannot use /no/such"),
        ({"url": "wss://x/", "key": "/no/such"}, "--key goes with --cert"),
        ({"proxy": "ftp://x"}, "proxy"),
    ],
)
def test_what_makes_no_sense(target, told):
    with pytest.raises(UsageFault, match=told):
        options(**target)


async def test_headers_arrive(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    async with serve_endpoint(tell, 0, host="127.0.0.1", origins="any") as server:
        done = await command(
            "connect",
            f"ws://app.example:{server.port}/",
            *("--resolve", f"app.example:{server.port}:127.0.0.1"),
            *("--bearer", f"@{tmp_path}/token"),
            *("-H", "X-One: 1"),
            *("--origin", "https://page.example"),
            "-v",
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        f"Host=app.example:{server_port(done)}",
        "Origin=https://page.example",
        "Authorization=Bearer s3cret",
        "X-One=1",
    ]
    assert b"s3cret" not in done.stderr
    assert b"* > Authorization: ..." in done.stderr


def server_port(done):
    return done.stdout.decode().split("\n")[0].rpartition(":")[2]


async def test_a_unix_socket(tmp_path):
    path = tmp_path / "socket"
    async with serve_endpoint(tell, listen=[f"unix:{path}"], origins="any"):
        done = await command("connect", "ws://app.example/", "--unix", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"Host=app.example\n")


async def test_a_proxy(nursery):
    proxy = HTTPProxy(trio.open_tcp_stream)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with serve_endpoint(tell, 0, host="127.0.0.1", origins="any") as server:
        target = f"ws://127.0.0.1:{server.port}/"
        done = await command("connect", target, "--proxy", url)
        assert done.returncode == 0, done.stderr
        assert b"   proxy " in done.stderr
        done = await command("connect", target, "--proxy", "http://127.0.0.1:1")
        assert done.returncode == 4
        assert b"! the proxy: " in done.stderr

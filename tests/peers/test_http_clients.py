"""Plain HTTP with clients of others: curl, ab, Python's own, and a load balancer's health check."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess

import pytest
import trio

from trio_wsendpoint import HttpLimits, Response, StreamedResponse

from .http_server import serve_http

pytestmark = pytest.mark.peer

MB = 1_000_000


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


async def handler(request):
    """Echo a body; `/stream` has chunks, `/413` reads nothing."""
    if request.path == "/stream":
        return StreamedResponse(200, body=numbers())
    if request.path == "/413":
        return Response(413, body="too large\n")
    return Response(200, {"X-Method": request.method}, await request.read() or "hello\n")


async def numbers():
    for number in range(1000):
        yield b"%d\n" % number


async def run(*command, data=b""):
    """What a program prints."""
    with trio.fail_after(50):
        done = await trio.run_process(
            command, stdin=data, capture_stdout=True, capture_stderr=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("curl")
@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
async def test_curl(version):
    body = b"x" * MB
    chunked = ["-H", "Transfer-Encoding: chunked"] if version == "--http1.1" else []
    async with serve_http(handler) as port:
        url = f"http://127.0.0.1:{port}/"
        curl = ("curl", "-sS", version, "--max-time", "40")
        assert await run(*curl, url) == b"hello\n"
        head = await run(*curl, "-I", url)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: 6\r\n" in head
        assert await run(*curl, "--data-binary", "@-", url, data=body) == body
        assert await run(*curl, *chunked, "--data-binary", "@-", url, data=body) == body
        if chunked:  # of a length that curl does not know
            assert await run(*curl, "-T", "-", url, data=b"abc") == b"abc"
            expect = ("-H", "Expect: 100-continue", "--expect100-timeout", "30")
            assert await run(*curl, *expect, "--data-binary", "@-", url, data=body) == body
        assert (await run(*curl, f"{url}stream")).endswith(b"998\n999\n")
        assert b"X-Method: OPTIONS" in await run(*curl, "-i", "-X", "OPTIONS", url)


@needs("curl")
async def test_curl_keeps_its_connection():
    async with serve_http(handler) as port:
        url = f"http://127.0.0.1:{port}/"
        out = await run("curl", "-sS", "-w", "%{num_connects} ", url, url, f"{url}stream", url)
        assert re.findall(rb"\n([01]) ", out) == [b"1", b"0", b"0", b"0"]


@needs("curl")
async def test_curl_is_told_before_it_sends_its_body():
    async with serve_http(handler) as port:
        url = f"http://127.0.0.1:{port}/413"
        command = ("curl", "-sS", "-H", "Expect: 100-continue", "--expect100-timeout", "30")
        out = await run(
            *command, "-w", "%{http_code} %{size_upload}", "-d", "@-", url, data=b"x" * MB
        )
        assert out == b"too large\n413 0"


@needs("ab")
@pytest.mark.parametrize("options", [(), ("-k",)])
async def test_ab(options):
    async with serve_http(handler) as port:
        command = ("ab", "-q", "-n", "200", "-c", "10", *options)
        out = await run(*command, f"http://127.0.0.1:{port}/")
    assert re.search(rb"Complete requests: +200\n", out)
    assert re.search(rb"Failed requests: +0\n", out)
    assert b"Non-2xx" not in out


async def test_an_early_413_arrives():
    """A client that sends 1 MB before it reads: 40 of 40 times."""

    def post(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        connection.request("POST", "/413", body=b"x" * MB)
        status = connection.getresponse().status
        connection.close()
        return status

    async with serve_http(handler, http=HttpLimits(body_size=2 * MB)) as port:
        answers = [await trio.to_thread.run_sync(post, port) for _ in range(40)]
    assert answers == [413] * 40


@pytest.mark.parametrize(
    "request_", [b"OPTIONS / HTTP/1.0\r\n\r\n", b"HEAD /health HTTP/1.0\r\n\r\n"]
)
async def test_a_health_check(request_):
    """As haproxy sends it: HTTP/1.0, no Host."""
    async with serve_http(handler) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(request_)
        answer = b"".join([bytes(data) async for data in stream])
        await stream.aclose()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in answer


@needs("haproxy")
async def test_haproxy_takes_the_server_for_healthy(tmp_path):
    async with serve_http(handler) as port:
        socket = tmp_path / "stats"
        (tmp_path / "cfg").write_text(
            "global\n"
            f"  stats socket {socket} level admin\n"
            "defaults\n  mode http\n"
            "  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n"
            "backend b\n  option httpchk\n"
            f"  server s 127.0.0.1:{port} check inter 100ms fall 1 rise 2\n"
            f"listen l\n  bind {tmp_path}/front\n  default_backend b\n"
        )
        process = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(tmp_path / "cfg")])
        try:
            with trio.fail_after(40):
                while not (status := await check_of(socket)).startswith("L7OK"):
                    await trio.sleep(0.05)
        finally:
            process.terminate()
            process.wait()
    assert status == "L7OK"


async def check_of(path):
    """What haproxy's last health check has found."""
    try:
        async with await trio.open_unix_socket(str(path)) as stream:
            await stream.send_all(b"show stat\n")
            lines = b"".join([bytes(data) async for data in stream]).decode().splitlines()
    except OSError:
        return ""
    names = lines[0].removeprefix("# ").split(",")
    [row] = [line.split(",") for line in lines[1:] if line.startswith("b,s,")]
    return row[names.index("check_status")]

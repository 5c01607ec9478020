"""docs/connecting.md is true: its code runs, and what it names is there."""

from __future__ import annotations

import re

import trio_wsendpoint
from tests.client.proxies import HTTPProxy, accept
from tests.examples.programs import ROOT, running
from tests.pages.blocks import sources_of
from tests.server.helpers import echo
from trio_wsendpoint import Timings, serve_endpoint
from trio_wsendpoint.client.environment import proxy_from_environment
from trio_wsendpoint.client.proxy_url import Proxy
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.handshake.secrecy import SECRET_HEADERS

PAGE = (ROOT / "docs" / "connecting.md").read_text()
BLOCKS = sources_of("docs/connecting.md")


async def run(source, tmp_path):
    path = tmp_path / "block.py"
    path.write_text(source)
    async with running("-W", "error", path) as program:
        assert await program.wait() == 0, program.output
    return program.output


async def test_the_states_are_new(tmp_path):
    lines = (await run(BLOCKS[3], tmp_path)).splitlines()
    times = [re.findall(r"second ([\d.]+)", line) for line in lines]
    assert len(times) > 20
    # What is queued when one is made are the few messages that the ends and the network hold.
    assert all(float(taken) - float(made) <= 8 for made, taken in times)


async def test_the_block_with_a_proxy(nursery, tmp_path):
    import trio

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    proxy = HTTPProxy(trio.open_tcp_stream, (b"me", b"word"))
    nursery.start_soon(accept, listener, proxy, None)
    async with serve_endpoint(echo, 0, host="127.0.0.1") as server:
        url = f"ws://127.0.0.1:{server.port}/"
        for user, expected in (("me:word", "hello\n"), ("you:x", '407 Basic realm="here"\n')):
            call = f"trio.run(main, {url!r}, 'http://{user}@127.0.0.1:{port}')"
            assert await run(f"{BLOCKS[0]}\n{call}\n", tmp_path) == expected
    nursery.cancel_scope.cancel()


def test_its_schemes():
    rows = re.findall(
        r"^\| `(\w+)://` \| .* \| (the proxy|this machine).* \| (\d+) \|$", PAGE, re.MULTILINE
    )
    assert len(rows) == 6
    for scheme, looks_up, port in rows:
        proxy = Proxy.parse(f"{scheme}://p")
        assert proxy.looks_up_names == (looks_up == "the proxy")
        assert proxy.port == int(port)


def test_its_variables():
    for scheme in ("wss", "ws"):
        [told] = re.findall(rf"For `{scheme}://`:\s+((?:`\w+`(?:,\s+)?)+)", PAGE)
        names = re.findall(r"`(\w+)`", told)
        environ = {name: f"http://{name.replace('_', '-')}" for name in names}
        for name in names:
            found = proxy_from_environment(WebSocketURL.parse(f"{scheme}://x/"), environ)
            assert found is not None
            assert found.host == name.replace("_", "-")
            del environ[name]


def test_its_options_errors_and_times():
    outside = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    options = set(re.findall(r"`(\w+)=", outside)) - {"stream", "headers", "host_header", "origin"}
    assert options <= set(ConnectOptions.__annotations__)
    assert set(re.findall(r"`(\w+(?:Error|Refused|Timeout))`", outside)) <= {
        *trio_wsendpoint.__all__,
        "ModuleNotFoundError",
        "OSError",
    }
    [told] = re.findall(r"`connection\.timings` tells.*?`total`", PAGE, re.DOTALL)
    names = set(re.findall(r"`(\w+)`", told))
    assert names == set(Timings.__dataclass_fields__)
    for name in SECRET_HEADERS:
        assert f"`{name}`" in outside.lower()

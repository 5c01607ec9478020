"""Against Debian's chromium: its own DEFLATE, in all takeover combinations, whole and in parts."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.browser.chromium import PATIENCE, chromium, find
from trio_wsendpoint import Connection, Deflate, Limits, Opening, Response, serve_endpoint
from trio_wsendpoint.extensions import PerMessageDeflate

pytestmark = pytest.mark.browser

#: Sends each message, and resolves to what came back, whether it did so unchanged, and the
#: extensions that were agreed on.
SCRIPT = """
(async () => {
  const noise = size => {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 65536)
      crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, size)));
    return bytes;
  };
  const text = '{"id": 1, "name": "žluťoučký \\u{1F40E}"}'.repeat(500);
  const messages = [
    'Hello', 'Hello', '', new Uint8Array(0), text, text, noise(1000), noise(300000),
    new Uint8Array(1 << 20), noise(1 << 20), 'Hello',
  ];
  const socket = new WebSocket(location.href.replace('http', 'ws'));
  socket.binaryType = 'arraybuffer';
  const received = [];
  let wake = () => {};
  socket.onmessage = event => { received.push(event.data); wake(); };
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
  const same = (sent, got) => typeof sent === 'string'
    ? sent === got
    : sent.length === got.byteLength
      && new Uint8Array(got).every((byte, at) => byte === sent[at]);
  const wrong = [];
  for (const [number, message] of messages.entries()) {
    socket.send(message);
    while (received.length < 2) await new Promise(done => wake = done);
    for (const got of received.splice(0, 2)) if (!same(message, got)) wrong.push(number);
  }
  const closed = new Promise(done => socket.onclose = done);
  socket.close(1000);
  const event = await closed;
  return {sent: messages.length, wrong, extensions: socket.extensions, code: event.code};
})()
"""


@pytest.fixture
def executable() -> str:
    """Where the browser is; where there is none, CI fails and others go on."""
    found = find()
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("chromium is missing: .ci/run installs it")
    if found is None:
        pytest.skip("chromium is not installed")
    return found


async def answer(opening: Opening) -> Response | None:
    request = opening.request
    """Give the browser a page of ours, so that the WebSockets are of the same origin."""
    if request.is_upgrade:
        return None
    return Response(200, {"Content-Type": "text/html"}, "<!doctype html><title>deflate</title>")


async def test_messages_pass_unchanged(
    executable: str, tmp_path: Path, nursery: trio.Nursery
) -> None:
    """Each comes back twice: as one message, and as a stream."""
    statistics: list[Any] = []

    async def echo_twice(connection: Connection) -> None:
        extension = connection.endpoint.extension
        assert isinstance(extension, PerMessageDeflate)
        try:
            async for message in connection:
                await connection.send(message)
                kind: Any = "text" if isinstance(message, str) else "binary"
                async with connection.send_stream(kind) as stream:
                    middle = len(message) // 3
                    for chunk in message[:middle], message[middle : 2 * middle]:
                        await stream.send(chunk)
                    await stream.send(message[2 * middle :])
        finally:
            statistics.append((extension.agreed, extension.statistics))

    async with chromium(executable, tmp_path, nursery) as browser:
        for takeover, peer_takeover in itertools.product([True, False], repeat=2):
            deflate = Deflate(
                threshold=0, context_takeover=takeover, peer_context_takeover=peer_takeover
            )
            async with serve_endpoint(
                echo_twice,
                0,
                host="127.0.0.1",
                deflate=deflate,
                limits=Limits(fragment_size=100_000),
                process_request=answer,
            ) as server:
                with trio.fail_after(PATIENCE):
                    page = await browser.open(server.urls[0].replace("ws:", "http:"))
                    result = await page.evaluate(SCRIPT)
            assert result["wrong"] == []
            assert (result["sent"], result["code"]) == (11, 1000)
            assert result["extensions"].startswith("permessage-deflate")
            agreed, passed = statistics.pop()
            assert agreed.context_takeover is takeover
            assert agreed.peer_context_takeover is peer_takeover
            assert ("server_no_context_takeover" in result["extensions"]) is not takeover
            assert ("client_no_context_takeover" in result["extensions"]) is not peer_takeover
            # It did compress: of what was not noise, in either direction, little was left.
            assert passed.received_compressed < passed.received_plain - (1 << 20)
            assert passed.sent_compressed < passed.sent_plain - (2 << 20)


async def test_without_compression(executable: str, tmp_path: Path, nursery: trio.Nursery) -> None:
    """It offers, and we are not asked to accept."""

    async def echo_twice(connection: Connection) -> None:
        async for message in connection:
            await connection.send(message)
            await connection.send(message)

    async with (
        chromium(executable, tmp_path, nursery) as browser,
        serve_endpoint(echo_twice, 0, host="127.0.0.1", process_request=answer) as server,
    ):
        page = await browser.open(server.urls[0].replace("ws:", "http:"))
        result = await page.evaluate(SCRIPT)
    assert result == {"sent": 11, "wrong": [], "extensions": "", "code": 1000}

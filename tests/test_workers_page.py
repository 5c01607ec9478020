"""docs/workers.md is true: its code runs, rolls and ends, and its names are those there are."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.examples.programs import PATIENCE, ROOT
from tests.pages.blocks import sources_of
from trio_wsendpoint import ConnectionClosed, connect_endpoint
from trio_wsendpoint.workers import WorkersOptions, WorkersState, WorkerState
from trio_wsendpoint.workers.settings import WorkersSettings

PAGE = (ROOT / "docs" / "workers.md").read_text()


async def scrape(port: int) -> str:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
    text = b""
    async with stream:
        async for data in stream:
            text += data
    return text.decode()


@pytest.mark.component
@pytest.mark.skipif(sys.platform == "win32", reason="workers share sockets by number on POSIX")
async def test_the_code_runs(tmp_path: Path) -> None:
    [source] = sources_of("docs/workers.md")
    (tmp_path / "app.py").write_text(source)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-W", "error", str(tmp_path / "app.py")],
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )
    log = b""

    async def read_until(text: bytes) -> None:
        nonlocal log
        assert process.stderr is not None
        while text not in log:
            data = await process.stderr.receive_some(65536)
            assert data, log.decode()
            log += data

    try:
        with trio.fail_after(PATIENCE):
            await read_until(b"the parent is serving")
            found = re.search(rb"2 workers on tcp:127.0.0.1:(\d+)", log)
            assert found is not None
            port = int(found[1])
            async with connect_endpoint(f"ws://127.0.0.1:{port}/") as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
                assert "websocket_workers 2\n" in await scrape(port)
                process.send_signal(signal.SIGHUP)
                with pytest.raises(ConnectionClosed) as caught:
                    await connection.receive()
                assert caught.value.code == 1012
            log = b""
            await read_until(b"the parent is serving")
            text = await scrape(port)
            assert 'websocket_openings_total{outcome="opened"} 1\n' in text
            assert 'websocket_messages_total{direction="received"} 1\n' in text
            process.terminate()
            assert await process.wait() == 0
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        assert process.stderr is not None
        await trio.aclose_forcefully(process.stderr)


def test_the_defaults_are_those_told() -> None:
    settings = WorkersSettings()
    assert f"`drain` seconds ({settings.drain:g})" in PAGE
    assert f"`ready` seconds ({settings.ready:g})" in PAGE
    assert f"`settle` seconds ({settings.settle:g})" in PAGE
    assert f"`stop` seconds ({settings.stop_within - settings.drain:g} more" in PAGE
    assert f"`backoff` (up to {settings.backoff.cap:g} s)" in PAGE
    assert f"`backoff.healthy` seconds ({settings.backoff.healthy:g})" in PAGE


def test_every_option_has_a_setting() -> None:
    fields = {one.name for one in dataclasses.fields(WorkersSettings)}
    assert fields == set(WorkersOptions.__annotations__)


@pytest.mark.parametrize("kind", [WorkerState, WorkersState])
def test_every_field_of_a_state_is_told(kind: type) -> None:
    told = kind.__doc__ or ""
    assert [one.name for one in dataclasses.fields(kind) if f"`{one.name}`" not in told] == []

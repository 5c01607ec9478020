"""Real parents and workers, on loopback: what the supervisor's table cannot show.

A test waits for what the parent says, never for a time.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.examples.programs import PATIENCE, ROOT
from tests.workers.processes import Running, all_gone, is_alive, port_is_free, running
from trio_wsendpoint import ConnectionClosed, Timeouts, connect_endpoint

pytestmark = [
    pytest.mark.component,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


async def connect_to(stack: AsyncExitStack, program: Running, pid: int):
    """Return a connection to the worker `pid`: chance leads to it, so try again."""
    for _ in range(1000):
        connection = await stack.enter_async_context(connect_endpoint(program.url))
        if int(await connection.receive()) == pid:
            return connection
        await connection.aclose()
    raise AssertionError(f"no connection has reached {pid}")


async def test_a_killed_worker_loses_its_own_connections_and_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as program, AsyncExitStack() as stack:
        await program.serving()
        first, second = program.workers
        lost = await connect_to(stack, program, first)
        kept = await connect_to(stack, program, second)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            await lost.receive()
        await kept.send("still here")
        assert await kept.receive() == "still here"
        state = await program.serving(deaths=1)
        assert str(second) in state["workers"]
        assert str(first) not in state["workers"]
        new = await connect_to(stack, program, (program.workers.keys() - {second}).pop())
        await new.aclose()
        program.send(signal.SIGTERM)
        assert await program.wait() == 143
        assert "Traceback" not in program.log
    assert not any(map(is_alive, program.seen))


async def test_a_roll_says_1012_and_counts_what_the_old_ones_did(tmp_path: Path) -> None:
    async with running(tmp_path) as program:
        await program.serving()
        old = set(program.workers)
        async with connect_endpoint(program.url) as connection:
            assert int(await connection.receive()) in old
            await connection.send("one")
            assert await connection.receive() == "one"
            program.send(signal.SIGHUP)
            with pytest.raises(ConnectionClosed) as caught:
                await connection.receive()
            assert caught.value.code == 1012
        state = await program.serving(rolls=1)
        assert not old & set(program.workers)
        # Those that are gone have sent a last report: all that they did is counted, once.
        assert (state["opened"], state["messages"]) == (1, 1)
        assert state["metric"] == {"opened": [1.0]}
        await all_gone(old)


async def test_the_parent_outlives_an_on_change_that_raises(tmp_path: Path) -> None:
    async with running(tmp_path, workers=1, env={"BROKEN": "yes"}) as program:
        await program.serving()
        program.send(signal.SIGHUP)
        await program.serving(rolls=1)
        assert "on_change has failed" in program.log


@pytest.mark.parametrize("habit", ["deaf", "stopped"])
async def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path, habit: str) -> None:
    async with running(tmp_path, habit if habit == "deaf" else "", stop=0.5) as program:
        await program.serving()
        if habit == "stopped":
            for pid in program.workers:
                os.kill(pid, signal.SIGSTOP)
        program.send(signal.SIGTERM)
        assert await program.wait() == 143
        assert "has not ended within 0.5 s: it is killed" in program.log
    assert not any(map(is_alive, program.seen))


async def test_a_stopped_worker_takes_no_connection_from_the_others(tmp_path: Path) -> None:
    async with running(tmp_path) as program:
        await program.serving()
        first, second = program.workers
        os.kill(first, signal.SIGSTOP)
        for _ in range(20):
            async with connect_endpoint(program.url) as connection:
                assert int(await connection.receive()) == second
        os.kill(first, signal.SIGCONT)
        assert program.workers == {first: "ready", second: "ready"}


async def test_the_workers_serve_on_while_the_parent_is_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as program:
        await program.serving()
        first, second = program.workers
        program.send(signal.SIGSTOP)
        os.kill(first, signal.SIGKILL)
        async with AsyncExitStack() as stack:
            await connect_to(stack, program, second)
            program.send(signal.SIGCONT)
            await program.serving(deaths=1)


async def test_usr1_writes_the_state_to_the_log(tmp_path: Path) -> None:
    async with running(tmp_path) as program:
        await program.serving()
        program.send(signal.SIGUSR1)
        with trio.fail_after(PATIENCE):
            while "2 starts, 0 deaths, 0 rolls, 0 failed rolls" not in program.log:
                await trio.sleep(0.01)
        assert "the parent is serving: worker 1 (process " in program.log


async def test_the_file_of_a_unix_socket_is_the_parents(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with running(tmp_path, listen=[f"unix:{path}"]) as program:
        await program.serving()
        program.send(signal.SIGHUP)
        await program.serving(rolls=1)
        assert path.is_socket(), "the workers that have ended have left it"
        stream = await trio.open_unix_socket(str(path))
        async with connect_endpoint("ws://localhost/", stream=stream) as connection:
            assert int(await connection.receive()) in program.workers
        program.send(signal.SIGTERM)
        assert await program.wait() == 143
        assert not path.exists()


async def test_hup_to_the_whole_group_rolls_once_or_twice_and_kills_none(tmp_path: Path) -> None:
    async with running(tmp_path) as program:
        await program.serving()
        os.killpg(program.pid, signal.SIGHUP)
        await program.until(lambda state: state["phase"] == "rolling")
        for _ in range(20):  # also while the first new one is in its first steps
            os.killpg(program.pid, signal.SIGHUP)
            await trio.sleep(0.01)
        # More than one more only where the machine was too busy to send them all during the first.
        state = await program.until(
            lambda state: state["phase"] == "serving" and state["rolls"] > 1
        )
        assert (state["deaths"], state["failed"], state["queued"]) == (0, 0, False)


@pytest.mark.parametrize("phase", ["starting", "rolling", "retiring"])
async def test_term_at_any_time_ends_all(tmp_path: Path, phase: str) -> None:
    drain = 0.5 if phase == "retiring" else 0.0
    async with running(tmp_path, drain=drain) as program, AsyncExitStack() as stack:
        if phase != "starting":
            await program.serving()
            connection = await stack.enter_async_context(connect_endpoint(program.url))
            await connection.receive()
            program.send(signal.SIGHUP)
        await program.until(lambda state: state["phase"] == phase)
        program.send(signal.SIGTERM)
        assert await program.wait() == 143
    assert not any(map(is_alive, program.seen))


@pytest.mark.parametrize(
    "step",
    ["starting", "blocked", "serving", "stopped", "rolling", "settling", "retiring", "stopping"],
)
async def test_a_killed_parent_leaves_no_worker_and_a_free_port(tmp_path: Path, step: str) -> None:
    habit = {"blocked": "blocks", "starting": "hangs"}.get(step, "")
    options = {"drain": 30.0, "settle": 60.0 if step == "settling" else 0.0}
    async with running(tmp_path, habit, **options) as program, AsyncExitStack() as stack:
        if step in {"starting", "blocked"}:
            await program.until(lambda state: len(program.seen) == 2)
        else:
            await program.serving()
            connection = await stack.enter_async_context(connect_endpoint(program.url))
            await connection.receive()
            if step == "rolling":
                program.behave("hangs")
            if step in {"rolling", "settling", "retiring"}:
                program.send(signal.SIGHUP)
            if step == "stopping":
                program.send(signal.SIGTERM)
            if step == "stopped":
                for pid in program.workers:
                    os.kill(pid, signal.SIGSTOP)
            else:
                await program.until(lambda state: state["phase"] == step)
        program.process.kill()
        await all_gone(program.seen)
        await port_is_free(program.port)


async def test_rolls_leave_no_zombie_and_no_descriptor(tmp_path: Path) -> None:
    async with running(tmp_path, workers=1) as program:
        await program.serving()
        counts = []
        for rolls in range(1, 5):
            program.send(signal.SIGHUP)
            await program.serving(rolls=rolls)
            children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text()
            assert set(map(int, children.split())) == set(program.workers)
            counts.append(len(os.listdir(f"/proc/{program.pid}/fd")))
        assert len(set(counts)) == 1


async def test_one_log_that_is_opened_anew(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running(tmp_path, log=str(log)) as program:
        await program.serving()
        log.rename(tmp_path / "log.1")
        program.behave("raises")
        program.send(signal.SIGHUP)
        await program.serving(failed=1)
        text = log.read_text()
        assert "INFO parent (" in text
        assert "ERROR worker 3 (" in text
        assert "as the habit says" in text
        assert program.log == ""


async def test_sockets_of_systemd(tmp_path: Path) -> None:
    """As systemd does: number 3 listens, and the variables are meant for this process."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        port = shared.getsockname()[1]
        command = "-m trio_wsendpoint serve --echo --workers 2 --listen systemd: --drain 0"
        script = "exec 3<&$GIVEN; export LISTEN_PID=$$ LISTEN_FDS=1; exec $0 $@"
        process = await trio.lowlevel.open_process(
            ["bash", "-c", script, sys.executable, *command.split()],
            pass_fds=[shared.fileno()],
            env={**os.environ, "PYTHONPATH": str(ROOT), "GIVEN": str(shared.fileno())},
        )
        try:
            with trio.fail_after(PATIENCE):
                # It waits in the backlog until a worker is there.
                url, patience = f"ws://127.0.0.1:{port}/", Timeouts(open=PATIENCE)
                async with connect_endpoint(url, timeouts=patience) as connection:
                    await connection.send("through systemd's socket")
                    assert await connection.receive() == "through systemd's socket"
                    process.send_signal(signal.SIGHUP)
                    with pytest.raises(ConnectionClosed) as caught:
                        await connection.receive()
                    assert caught.value.code == 1012
                async with connect_endpoint(url, timeouts=patience) as connection:
                    await connection.send("through the same, after a roll")
                    assert await connection.receive() == "through the same, after a roll"
                process.terminate()
                assert await process.wait() == 143
        finally:
            process.kill()

"""Options that make no sense are refused when they are given; and which function a worker finds."""

from __future__ import annotations

import functools
import os
import ssl
import sys
import threading
from typing import Any

import pytest
import trio

from trio_wsendpoint import Listen
from trio_wsendpoint.workers import Worker, serve_workers
from trio_wsendpoint.workers.settings import WorkersSettings
from trio_wsendpoint.workers.target import Target


async def a_main(worker: Worker) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"workers": 0}, "workers must be 1 to 1024"),
        ({"workers": 1025}, "workers must be"),
        ({"workers": "4"}, "an int, not '4'"),
        ({"workers": True}, "an int"),
        ({"listen": []}, "listen is empty"),
        ({"listen": "tcp:localhost:1"}, "write listen="),
        ({"listen": ["x"]}, "expected 'tcp:"),
        ({"drain": -1}, "drain must be 0 s or more"),
        ({"drain": float("inf")}, "finite"),
        ({"ready": "1"}, "ready is seconds"),
        ({"settle": None}, "settle is seconds"),
        ({"drain": 30, "stop": 20}, "stop must be at least drain, 30 s, not 20"),
        ({"backoff": 3}, "Backoff"),
        ({"arguments": "x"}, "a list of texts"),
        ({"arguments": [1]}, "a list of texts"),
        ({"on_change": 3}, "on_change is a function"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], told: str) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        WorkersSettings(**options)


def test_a_context_cannot_be_given_to_another_process() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with pytest.raises(ValueError, match="make it in the worker"):
        WorkersSettings(listen=[Listen("tcp:localhost:0", ssl_context=context)])
    WorkersSettings(listen=[Listen("tcp:localhost:0", ssl_context=None)])


def test_defaults() -> None:
    settings = WorkersSettings()
    assert settings.count == len(os.sched_getaffinity(0))
    assert settings.stop_within == settings.drain + 15
    assert WorkersSettings(stop=25).stop_within == 25


def test_an_unknown_option_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="serve_workers"):
        serve_workers(a_main, worker=2)  # type: ignore[call-arg]


# ---- where it may be called --------------------------------------------------------------------


async def test_not_inside_of_trio() -> None:
    with pytest.raises(RuntimeError, match=r"outside of trio\.run"):
        serve_workers(a_main)


def test_not_in_another_thread() -> None:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            serve_workers(a_main)
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "main thread" in str(raised[0])


def test_an_address_that_is_taken_is_told_and_nothing_is_started() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            OSError, match=rf"cannot listen on port {port} of 127\.0\.0\.1"
        ) as caught:
            serve_workers(a_main, listen=["tcp:127.0.0.1:0", f"tcp:127.0.0.1:{port}"])
    assert "\n" not in str(caught.value)


# ---- which function ----------------------------------------------------------------------------


def test_a_function_is_found_again_by_its_name() -> None:
    target = Target.of(a_main)
    assert target == Target("a_main", __name__)
    assert Target(**target.to_message()).load() is a_main
    assert Target.of(f"{__name__}:a_main").load() is a_main
    assert Target("Worker.serve", "trio_wsendpoint.workers").load() is Worker.serve


def test_a_program_is_loaded_under_another_name(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "program"
    path.write_text("async def main(worker): return __name__\nif __name__ == '__main__': 1 / 0\n")
    monkeypatch.setitem(sys.modules, "__worker_main__", None)
    main = Target("main", file=str(path)).load()
    assert trio.run(main, None) == "__worker_main__"
    assert sys.modules["__worker_main__"].main is main


def local() -> object:
    async def inner(worker: Worker) -> None:
        """Do nothing."""

    return inner


@pytest.mark.parametrize(
    ("main", "told"),
    [
        (local(), "put it at the top of a module"),
        (functools.partial(a_main), "an async function of a module"),
        (3, "an async function of a module"),
        ("app", "MODULE:FUNCTION"),
        (":main", "MODULE:FUNCTION"),
    ],
)
def test_what_no_worker_can_find(main: Any, told: str) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        Target.of(main)


def test_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="is no function"):
        Target("__doc__", __name__).load()
    with pytest.raises(TypeError, match="main must be an async function"):
        serve_workers(local)  # type: ignore[arg-type]

"""A redis-server of Debian's for tests: started, killed, frozen, configured wrongly, promoted."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import trio

PROGRAM = shutil.which("redis-server")
#: Seconds for what a loaded machine may need long for.
PATIENCE = 30.0

#: Marks of tests with a real server.  coredis leaves streams unclosed when a connection fails.
needs_redis = [
    pytest.mark.component,
    pytest.mark.skipif(PROGRAM is None, reason="Debian's redis-server is missing"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]


class RedisServer:
    """A server with a directory of its own; a block of it kills it at the end.

    `settings`: its configuration, as on its command line.  It listens at a Unix socket, and at a
    port if `tcp` is True.
    """

    def __init__(self, *, tcp: bool = False, **settings: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="redis"))
        self.socket = self.directory / "socket"
        self.port = _free_port() if tcp else 0
        self.settings = {"save": "", "appendonly": "no", **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.directory)

    def start(self, *, wait: bool = True, **settings: str) -> None:
        """Start it with what its directory has; `wait` until it answers PING."""
        assert PROGRAM is not None, "redis-server is missing"
        assert self._process is None, "it runs"
        self.settings |= settings
        options = [word for name, value in self.settings.items() for word in (f"--{name}", value)]
        self.socket.unlink(missing_ok=True)
        fixed = ["--port", str(self.port), "--unixsocket", str(self.socket), "--bind", "127.0.0.1"]
        fixed += ["--dir", str(self.directory), "--logfile", str(self.directory / "log")]
        self._process = subprocess.Popen(
            [PROGRAM, *fixed, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it answers PING with PONG."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                if self.command("PING") == "PONG":
                    return
            except RuntimeError as error:
                if "NOAUTH" in str(error):
                    return
            except OSError:
                pass
            if time.monotonic() > until:
                raise TimeoutError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def command(self, *words: str | bytes) -> Any:
        """Run one command over a connection of its own; blocks.  Raises `RuntimeError` for -ERR."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(PATIENCE)
            plain.connect(str(self.socket))
            plain.sendall(_packed(words))
            with plain.makefile("rb") as file:
                return _read(file)

    async def acommand(self, *words: str | bytes) -> Any:
        """As `command`, in a thread."""
        return await trio.to_thread.run_sync(lambda: self.command(*words))


def _packed(words: tuple[str | bytes, ...]) -> bytes:
    parts = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"".join(
        [b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)]
    )


def _read(file: Any) -> Any:
    line = file.readline()
    if not line.endswith(b"\r\n"):
        raise OSError("the server has gone")
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"-":
        raise RuntimeError(rest)
    if kind == b"$":
        return None if rest == "-1" else file.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
    if kind == b"*":
        return [_read(file) for _ in range(int(rest))]
    return int(rest) if kind == b":" else rest


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

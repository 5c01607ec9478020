"""docs/deploying.md is true: its container and its units refer to what exists, and run.

Tests have no daemon of Docker. So the lines of a Dockerfile are read, and its CMD runs
in a folder that has what its COPY lines bring.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.pages.blocks import sources_of
from tests.test_howto_pages import DOCS, PATIENCE, ROOT

PAGE = (DOCS / "deploying.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WITH_DOCKERFILE = ["deploying.md", "tutorial-12-deploying.md"]
WITH_UNITS = ["deploying.md", "listening.md", "workers.md"]
PORT = "8765"


def server_of(page: str) -> str:
    """Return the program of a page that stops at a signal."""
    sources = sources_of(f"docs/{page}")
    [source] = [source for source in sources if "open_signal_receiver" in source]
    return source


def dockerfile_of(page: str) -> list[tuple[str, str]]:
    """Return the instructions of the page's Dockerfile: their names, and what follows them."""
    text = (DOCS / page).read_text()
    [block] = re.findall(r"^```dockerfile\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for line in block.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


@pytest.mark.parametrize("page", WITH_DOCKERFILE)
def test_a_dockerfile_refers_to_what_exists(page: str) -> None:
    instructions = dict(dockerfile_of(page))
    assert [*instructions] == ["FROM", "RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "CMD"]
    version = re.fullmatch(r"python:(3\.\d+)-slim", instructions["FROM"])
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]
    assert instructions["RUN"] == f"pip install --no-cache-dir {PROJECT['name']}"
    assert instructions["COPY"].split() == ["server.py", f"{instructions['WORKDIR']}/"]
    assert instructions["EXPOSE"] == PORT
    assert '8765, host="0.0.0.0"' in server_of(page)


@pytest.mark.parametrize("page", WITH_DOCKERFILE)
def test_its_command_runs_where_it_says(page: str, tmp_path: Path) -> None:
    instructions = dict(dockerfile_of(page))
    copied = instructions["COPY"].split()[0]
    tmp_path.joinpath(copied).write_text(server_of(page).replace(PORT, "0"))
    program, *arguments = json.loads(instructions["CMD"])
    assert program == "python"
    command = [sys.executable, "-W", "error", *arguments]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.terminate()  # as `docker stop` does
        assert process.wait(PATIENCE) == 0


def units_of(page: str, folder: Path) -> list[Path]:
    """Write the units of a page into a folder, with a program that exists; return their paths."""
    text = (DOCS / page).read_text()
    written = []
    for block in re.findall(r"^```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        parts = re.split(r"(?m)^# (\S+\.(?:socket|service))\n", block)[1:]
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            path = folder / Path(name).name
            path.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", body))
            written.append(path)
    return written


@pytest.mark.component
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("page", WITH_UNITS)
def test_systemd_finds_no_fault_in_the_units(page: str, tmp_path: Path) -> None:
    units = units_of(page, tmp_path)
    assert units
    command = ["systemd-analyze", "verify", "--man=no", *map(str, units)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.component
@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd is not installed"
)
def test_the_service_serves_the_socket_of_systemd(tmp_path: Path) -> None:
    """`systemd-socket-activate` does with one command what both units do."""
    told = re.search(r"write `(listen=.*?)` in place of `(.*?)`", PAGE)
    assert told is not None
    source = server_of("deploying.md")
    assert told[2] in source
    path = tmp_path / "server.py"
    path.write_text(source.replace(told[2], told[1]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address: tuple[str, int] = free.getsockname()
    command = ["systemd-socket-activate", "-l", f"{address[0]}:{address[1]}"]
    with subprocess.Popen(
        [*command, sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"Listening on")
        with socket.create_connection(address, timeout=PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        process.terminate()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0

"""Run the Autobahn|Testsuite against us, in both roles, and compare with the results file.

README.md tells how.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.autobahn import verdicts
from tests.autobahn.echo_client import AGENT

DOCKER_IMAGE = "crossbario/autobahn-testsuite"
RESULTS = Path(__file__).with_name("results.json")
ROLES = ("server", "client")  # ours; the suite has the other one

#: Seconds for something to start, and for it to end when it is told to.
START = 60
STOP = 10


class RunFailed(Exception):
    """The suite could not be run, or not to its end; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be run: the suite's command, the case patterns, the seconds for a role."""

    wstest: Sequence[str] | None  # None for Docker
    image: str
    cases: Sequence[str]
    excluded: Sequence[str]
    count: int | None
    deadline: float

    def command(self, mode: str, folder: Path) -> list[str]:
        """Return the command that runs the suite in `folder`, where its `spec.json` is."""
        command = self.wstest
        if command is None:
            user = f"{os.getuid()}:{os.getgid()}"
            command = ["docker", "run", "--rm", "--init", "--network", "host", "--user", user]
            command += ["--volume", f"{folder}:{folder}", "--workdir", str(folder)]
            command += [self.image, "wstest"]
        return [*command, "--mode", mode, "--spec", str(folder / "spec.json")]


@asynccontextmanager
async def running(command: Sequence[str], log: Path) -> AsyncIterator[trio.Process]:
    """Run `command` for the length of a block; its output goes to `log`."""
    with log.open("wb") as output:
        process = await trio.lowlevel.open_process(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.terminate()
                with trio.move_on_after(STOP):
                    await process.wait()
            if process.poll() is None:
                process.kill()
            await process.wait()


def our_side(module: str, *arguments: str) -> list[str]:
    """Return the command of our server or client."""
    return [sys.executable, "-m", f"tests.autobahn.{module}", *arguments]


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def wait_for_port(port: int, process: trio.Process, log: Path) -> None:
    """Wait until `process` listens on `port`."""
    with trio.move_on_after(START):
        while process.poll() is None:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.1)
            else:
                await stream.aclose()
                return
    raise RunFailed(f"nothing listens on port {port}; the output:\n{tail(log)}")


async def wait_for_end(process: trio.Process, log: Path) -> None:
    """Wait until `process` has ended, and see that it ended well."""
    if await process.wait() != 0:
        raise RunFailed(f"{log.stem} ended with {process.returncode}; its output:\n{tail(log)}")


def tail(log: Path) -> str:
    """Return the end of what a process has said."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


async def run_as_server(plan: Plan, folder: Path) -> None:
    """Let the fuzzing client connect to our server."""
    port = free_port()
    log, suite_log = folder / "ours.log", folder / "wstest.log"
    target = {"agent": AGENT, "url": f"ws://127.0.0.1:{port}"}
    write_spec(plan, folder, {"servers": [target]})
    async with running(our_side("echo_server", "--port", str(port)), log) as ours:
        await wait_for_port(port, ours, log)
        async with running(plan.command("fuzzingclient", folder), suite_log) as suite:
            await wait_for_end(suite, suite_log)
        if ours.poll() is not None:
            raise RunFailed(f"our server has ended; its output:\n{tail(log)}")


async def run_as_client(plan: Plan, folder: Path) -> None:
    """Let our client connect to the fuzzing server."""
    url = f"ws://127.0.0.1:{(port := free_port())}"
    log, suite_log = folder / "ours.log", folder / "wstest.log"
    write_spec(plan, folder, {"url": url})
    command = [*plan.command("fuzzingserver", folder), "--webport", "0"]
    async with running(command, suite_log) as suite:
        await wait_for_port(port, suite, suite_log)
        async with running(our_side("echo_client", url), log) as ours:
            await wait_for_end(ours, log)


def write_spec(plan: Plan, folder: Path, mode: dict[str, object]) -> None:
    """Write the suite's configuration."""
    spec = {
        **mode,
        "outdir": str(folder / "reports"),
        "cases": list(plan.cases),
        "exclude-cases": list(plan.excluded),
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec, indent=1))


async def run_role(plan: Plan, role: str, folder: Path) -> dict[str, verdicts.Verdict]:
    """Run the suite against us in one role; return what it says."""
    folder.mkdir(parents=True)
    with trio.move_on_after(plan.deadline) as scope:
        await (run_as_server if role == "server" else run_as_client)(plan, folder)
    if scope.cancelled_caught:
        raise RunFailed(f"not done within {plan.deadline:g} s; {folder} has the logs")
    return verdicts.read_index(folder / "reports" / "index.json")


async def run(plan: Plan, roles: Sequence[str], folder: Path, *, update: bool) -> bool:
    """Run the suite, print what came of it; return whether all is as it should be."""
    is_good = True
    for role in roles:
        recorded = {}
        if not update:
            recorded = verdicts.Results(RESULTS).of(role, plan.cases, plan.excluded)
        started = trio.current_time()
        try:
            found = await run_role(plan, role, folder / role)
        except RunFailed as error:
            print(f"{role}: {error}")
            is_good = False
            continue
        judgement = verdicts.judge(found, recorded, plan.count)
        seconds = trio.current_time() - started
        print(f"{role}: {judgement.summary()} ({seconds:.0f} s)", flush=True)
        for problem in judgement.problems:
            print(f"  {problem}")
        is_good = is_good and judgement.is_good
        if update and judgement.is_good:
            verdicts.Results(RESULTS).record(role, found)
    return is_good


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn.run", description=__doc__)
    suite = parser.add_mutually_exclusive_group()
    suite.add_argument("--wstest", metavar="CMD", help="default: $WSTEST, or wstest on the PATH")
    suite.add_argument(
        "--docker", metavar="IMAGE", nargs="?", const=DOCKER_IMAGE, help=f"default: {DOCKER_IMAGE}"
    )
    parser.add_argument("--role", choices=[*ROLES, "both"], default="both", help="ours")
    parser.add_argument("--full", action="store_true", help="sections 12 and 13 whole")
    parser.add_argument("--cases", nargs="+", metavar="PATTERN", help="only these, as 3.* 9.1.1")
    parser.add_argument("--update", action="store_true", help="write the results file, if all OK")
    parser.add_argument("--reports", type=Path, metavar="DIR", help="where to keep the reports")
    parser.add_argument("--deadline", type=float, metavar="S", help="for a role")
    return parser.parse_args(arguments)


def find_wstest(given: str | None) -> list[str] | None:
    """Return the command that is given, or that of the environment; None if it is not there."""
    command = shlex.split(given or os.environ.get("WSTEST") or "wstest")
    path = shutil.which(command[0]) if command else None
    return None if path is None else [path, *command[1:]]


def make_plan(options: argparse.Namespace) -> Plan:
    """Make a plan of the options; raise `RunFailed` if what it needs is not there."""
    wstest = None
    if options.docker is None:
        wstest = find_wstest(options.wstest)
        if wstest is None:
            asked = options.wstest or os.environ.get("WSTEST") or "wstest"
            raise RunFailed(
                f"there is no command {asked!r}: install the Autobahn|Testsuite and give its"
                " command with --wstest or in $WSTEST, or use --docker"
            )
    elif shutil.which("docker") is None:
        raise RunFailed("there is no docker command")
    count = verdicts.FULL_COUNT if options.full else verdicts.QUICK_COUNT
    return Plan(
        wstest=wstest,
        image=options.docker or DOCKER_IMAGE,
        cases=options.cases or verdicts.CASES,
        excluded=() if options.full or options.cases else verdicts.EXCLUDED,
        count=None if options.cases else count,
        deadline=options.deadline or (3600 if options.full else 900),
    )


def main() -> int:
    options = read_arguments()
    try:
        plan = make_plan(options)
    except RunFailed as error:
        print(f"cannot run: {error}", file=sys.stderr)
        return 2
    roles = ROLES if options.role == "both" else (options.role,)
    folder = options.reports or Path(tempfile.mkdtemp(prefix="autobahn-"))
    is_good = False
    try:
        is_good = trio.run(lambda: run(plan, roles, folder.resolve(), update=options.update))
    finally:
        if is_good and options.reports is None:
            shutil.rmtree(folder)
        else:
            print(f"reports: {folder}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())

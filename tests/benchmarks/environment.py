"""What a run ran on, without the name of any machine."""

from __future__ import annotations

import datetime as dt
import os
import platform
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks import native
from tests.benchmarks.cores import Cores, siblings
from tests.benchmarks.peers import TOLD, version
from tests.benchmarks.processes import ROOT
from tests.benchmarks.works import Regime


def describe(cores: Mapping[Regime, Cores]) -> dict[str, str]:
    """Return lines by name."""
    versions = [f"{name} {found}" for name in TOLD if (found := version(name)) is not None]
    return {
        "commit": commit_of(ROOT),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(versions),
        "TLS": ssl.OPENSSL_VERSION,
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "busy cores as the run began": f"{os.getloadavg()[0]:.1f}",
        "two cores": _describe_two(cores),
        "loops of the load": native.why_not("load") or "compiled, except with TLS or compression",
    }


def commit_of(root: Path) -> str:
    """Return the commit that is checked out in `root`, and whether the library was changed."""
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", "trio_wsendpoint")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}, with changes" if changes else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _describe_two(cores: Mapping[Regime, Cores]) -> str:
    two = cores.get("two")
    if two is None:
        return "not measured"
    return "two threads of one core" if two.load in siblings(two.server) else "apart"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()

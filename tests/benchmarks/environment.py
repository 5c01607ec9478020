"""What a run ran on, without the name of any machine."""

from __future__ import annotations

import datetime as dt
import os
import platform
import ssl
from pathlib import Path

from tests.benchmarks.peers import TOLD, version


def describe(core: int | None) -> dict[str, str]:
    """Return lines by name; `core` is the one that all is pinned to."""
    versions = [f"{name} {found}" for name in TOLD if (found := version(name)) is not None]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": ", ".join(versions),
        "TLS": ssl.OPENSSL_VERSION,
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "busy cores beside, as the run began": f"{os.getloadavg()[0]:.1f}",
        "pinned": "not pinned" if core is None else "server and load on one core",
    }


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

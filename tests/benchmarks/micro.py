"""Runs `test_micro.py` for real, and reads what pytest-benchmark found."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.processes import ROOT, MeasurementError

PROGRAM = "tests/benchmarks/test_micro.py"


def measure_micro(seconds: float) -> dict[str, float]:
    """Return the median µs of each operation, `seconds` spent on each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "micro.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", PROGRAM),
                *("--benchmark-enable", "--benchmark-disable-gc", f"--benchmark-json={path}"),
                f"--benchmark-max-time={seconds}",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode or not path.exists():
            raise MeasurementError(f"{PROGRAM} failed:\n{done.stdout}{done.stderr}")
        found = json.loads(path.read_text())["benchmarks"]
    return {
        one["extra_info"].get("title", one["name"]): round(one["stats"]["median"] * 1e6, 4)
        for one in found
    }

"""Fuzz the targets with atheris: `python -m tests.fuzz.run --minutes 20 [TARGET ...]`.

Targets run two at a time, each in a process of its own, starting from the corpus of the
repository.  What a run finds beyond it (inputs that reach new code, made as small as it could)
is added to that corpus, the smallest first, up to `KEEP` in all.  A crash is printed with its
input in base64, and the exit code is 1: fix it, and add the line to the corpus.
"""

from __future__ import annotations

import argparse
import base64
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz import corpus_files

KEEP = 150
LARGEST = 2048


def fuzz_one(target: str) -> None:
    """Be the process that fuzzes `target`: never returns."""
    import atheris

    with atheris.instrument_imports(include=["trio_wsendpoint", "h11"]):
        from tests.fuzz.targets import TARGETS

    atheris.Setup(sys.argv, TARGETS[target])
    atheris.Fuzz()


def run(target: str, minutes: float) -> bool:
    """Fuzz `target` for `minutes`; return whether nothing was found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        (folder / "crashes").mkdir()
        for number, data in enumerate(corpus_files.load(target)):
            (folder / "corpus" / f"seed{number:04}").write_bytes(data)
        command = [sys.executable, "-m", "tests.fuzz.run", "--one", target]
        options = [f"-max_len={LARGEST}", "-timeout=20", "-rss_limit_mb=1024"]
        fuzzed = subprocess.run(
            [
                *command,
                *options,
                f"-max_total_time={int(minutes * 60)}",
                f"-artifact_prefix={folder}/crashes/",
                str(folder / "corpus"),
            ],
            capture_output=True,
            text=True,
        )
        print(f"{target}: {_last_line(fuzzed.stderr)}", flush=True)
        crashes = list((folder / "crashes").iterdir())
        for crash in crashes:
            print(f"  {crash.name}: {base64.b64encode(crash.read_bytes()).decode()}")
        if crashes or fuzzed.returncode:
            print(fuzzed.stderr[-3000:], flush=True)
            return False
        known = corpus_files.load(target)
        found = {path.read_bytes() for path in (folder / "corpus").iterdir()} - set(known)
        corpus_files.save(target, [*known, *sorted(found, key=len)][:KEEP])
    return True


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("#", "Done", "stat"))]
    return lines[-1] if lines else "(no output)"


def main() -> int:
    """Run what the command line says."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--minutes", type=float, default=1.0)
    arguments = parser.parse_args()
    targets = arguments.targets or list(TARGETS)
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"unknown targets: {', '.join(sorted(unknown))}")
    with ThreadPoolExecutor(2) as pool:
        clean = list(pool.map(lambda target: run(target, arguments.minutes), targets))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        target = sys.argv[2]
        del sys.argv[1:3]
        fuzz_one(target)
    else:
        sys.exit(main())

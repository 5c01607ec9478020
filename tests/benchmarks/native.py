"""The two programs in C, compiled if there is a compiler: the limit, and the loops of the load."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent / "native"
BUILT = Path(__file__).parents[2] / "build" / "benchmarks"
FLAGS = {"echo": ["-O2"], "load": ["-O2", "-shared", "-fPIC"]}


class CannotCompileError(Exception):
    """There is no compiler, or it refuses."""


def find_compiler() -> str:
    """Return the C compiler's path: $CC, or what the system calls `cc`, `gcc` or `clang`."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (path := shutil.which(name)):
            return path
    raise CannotCompileError("there is no C compiler")


@functools.cache
def build(name: str) -> Path:
    """Compile `native/NAME.c` unless that was done; return the program's or the library's path.

    Raises `CannotCompileError`, which says why.
    """
    source = HERE / f"{name}.c"
    flags = FLAGS[name]
    mark = hashlib.sha256(source.read_bytes() + " ".join(flags).encode()).hexdigest()[:12]
    built = BUILT / f"{name}-{mark}"
    if built.exists():
        return built
    BUILT.mkdir(parents=True, exist_ok=True)
    part = built.with_name(f"{built.name}.{os.getpid()}")
    command = [find_compiler(), *flags, "-o", str(part), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise CannotCompileError(f"the C compiler refuses {name}.c: {done.stderr.strip()[:200]}")
    part.replace(built)  # at once: another process may be about to run it
    return built


@functools.cache
def why_not(name: str) -> str | None:
    """Return why `native/NAME.c` cannot be had here, None if it can."""
    try:
        build(name)
    except CannotCompileError as error:
        return str(error)
    return None

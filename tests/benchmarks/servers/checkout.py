"""Our server of this checkout, over the library of another one.

`python -m tests.benchmarks.servers.checkout PATH [what ours.py takes]`
"""

from __future__ import annotations

import runpy
import sys


def main() -> None:
    path = sys.argv.pop(1)
    sys.path.insert(0, path)
    import trio_wsendpoint

    sys.path.remove(path)  # `tests` is this checkout's
    found = trio_wsendpoint.__file__ or ""
    if not found.startswith(path):
        raise SystemExit(f"there is no trio_wsendpoint in {path}: {found} was imported")
    runpy.run_module("tests.benchmarks.servers.ours", run_name="__main__")


if __name__ == "__main__":
    main()

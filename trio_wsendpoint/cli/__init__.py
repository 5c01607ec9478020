"""The command `trio-wsendpoint`: connect, ping, bench, serve, record, replay, doctor.

It needs the extra `cli`, of which nothing is imported before `main` is called.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

__all__ = ["main"]

#: What the extra `cli` installs.
EXTRA = frozenset({"click", "prompt_toolkit", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments`, by default the process's, and return its exit status."""
    try:
        command = importlib.import_module("trio_wsendpoint.cli.command")
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.stderr.write(f"! the command needs {error.name}: pip install 'trio-wsendpoint[cli]'\n")
        return 1
    return int(command.run_command(sys.argv[1:] if arguments is None else list(arguments)))

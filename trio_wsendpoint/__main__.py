"""Runs the command: `python -m trio_wsendpoint` is `trio-wsendpoint`."""

from __future__ import annotations

import sys

from trio_wsendpoint.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())

"""The subcommands: each module has the options of one or two, and calls what does the work."""

from __future__ import annotations

__all__: list[str] = []

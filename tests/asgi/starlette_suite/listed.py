"""The list of Starlette's tests that need its own client, which calls the application itself."""

from __future__ import annotations

from pathlib import Path

#: Tests without their parameters, one a line, below a line with their reason.
NEEDS_IN_PROCESS = Path(__file__).with_name("needs_in_process.txt")


def listed_tests(text: str) -> list[str]:
    """Return the names in the list."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]

"""What `import trio_wsendpoint` loads in addition to Trio: how long it takes depends on that.

No test judges the time itself.  A module that is new here was found to be needed, and light.
"""

from __future__ import annotations

import subprocess
import sys

from tests.examples.programs import ROOT

#: Top-level modules that may be loaded; Trio and what it loads are there already.
ALLOWED = {"trio_wsendpoint", "h11", "http", "dataclasses", "idna"}
#: `email.utils` writes the Date of answers; this is what it loads.
ALLOWED |= {"email", "calendar", "datetime", "_datetime", "quopri"}
#: The codec of typed messages that the standard library has.
ALLOWED |= {"json", "_json"}
#: What the compiled codec brings.
CODEC = ("cython_runtime", "_cython_")


def modules_after(statement: str) -> set[str]:
    """Return the names of the modules that a program has after `statement`."""
    program = f"import sys, trio\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_what_is_loaded() -> None:
    loaded = modules_after("import trio_wsendpoint") - modules_after("")
    tops = {name.partition(".")[0] for name in loaded if not name.startswith(CODEC)}
    assert "trio_wsendpoint" in tops
    assert tops <= ALLOWED


def test_what_is_for_tests_or_for_errors_is_not_loaded() -> None:
    loaded = modules_after("import trio_wsendpoint")
    ours = {name for name in loaded if name.startswith("trio_wsendpoint.testing")}
    assert ours | (loaded & {"difflib", "isal", "pytest", "trio.testing", "unittest"}) == set()


def test_a_heavy_module_would_be_found() -> None:
    assert "unittest" in modules_after("import unittest.mock") - modules_after("")

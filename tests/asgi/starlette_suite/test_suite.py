"""Starlette's own tests, against our server over live sockets: see `live_client.py`.

They come in Starlette's source distribution, which `STARLETTE_SDIST` names; `.ci/run` downloads it.
Each file runs in a process of its own, with the Starlette that is beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.asgi.starlette_suite.listed import NEEDS_IN_PROCESS, listed_tests

pytest.importorskip("httpx2", reason="httpx2, the client of Starlette's tests, is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")
pytestmark = pytest.mark.component

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
#: Seconds for one file.
PATIENCE = 300
FILES = (
    *("middleware/test_base", "middleware/test_body_limit", "middleware/test_cors"),
    *("middleware/test_errors", "middleware/test_gzip", "middleware/test_https_redirect"),
    *("middleware/test_middleware", "middleware/test_session", "middleware/test_trusted_host"),
    *("middleware/test_wsgi", "test_applications", "test_authentication", "test_background"),
    *("test_concurrency", "test_endpoints", "test_exceptions", "test_formparsers"),
    *("test_requests", "test_responses", "test_routing", "test_staticfiles", "test_websockets"),
)
#: Not the project's own options, and none of its plugins that would change the tests.
OPTIONS = (
    *("--noconftest", "-p", "live_client", "-q", "--tb=short"),
    *("-p", "no:trio", "-p", "no:hypothesispytest", "-p", "no:benchmark", "-p", "no:cacheprovider"),
    *("-o", "filterwarnings=default", "-o", "addopts="),
)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    sdist = os.environ.get("STARLETTE_SDIST")
    if not sdist:
        pytest.skip("STARLETTE_SDIST names no source distribution of Starlette")
    folder: Path = tmp_path_factory.mktemp("starlette")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.mark.parametrize("file", FILES)
def test_starlettes_tests_pass(file, unpacked) -> None:
    path = f"tests/{file}.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, path],
        cwd=unpacked,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    told = done.stdout[-5000:] + done.stderr[-2000:]
    if done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:  # the list has all of the file
        assert re.fullmatch(r"\s*\d+ deselected in .*\s*", done.stdout), told
        return
    assert done.returncode == 0, told
    assert " passed" in done.stdout


def test_the_list_has_only_tests_that_there_are(unpacked) -> None:
    for name in listed_tests(NEEDS_IN_PROCESS.read_text()):
        path, _, function = name.partition("::")
        assert f"def {function}(" in (unpacked / path).read_text(), name


def test_each_test_of_the_list_has_a_reason() -> None:
    blocks = NEEDS_IN_PROCESS.read_text().strip().split("\n\n")
    for block in blocks:
        reason, *names = block.splitlines()
        assert reason.startswith("# ")
        assert names
        assert all(name.startswith("tests/") and "::test_" in name for name in names)

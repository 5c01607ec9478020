"""What all tests need of the process that they run in."""

from __future__ import annotations

import signal
import ssl
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
import trustme

from tests.leaks import fail_if_it_leaks, watch_runs

__all__ = ["fail_if_it_leaks"]

watch_runs()

# A shell ignores SIGINT in what it starts in the background, and so would the programs that the
# tests start and interrupt: they inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, however slow the machine is.
hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")


#: Folders whose tests are run without measuring the coverage, which takes two thirds of the time of
#: a test that runs much of our code: what they cover, the tests of each part cover too.
UNMEASURED = (
    *("benchmarks", "browser", "cli", "deflate", "examples", "fleet", "hostile", "limits"),
    *("packaging", "pages", "peers", "rolls", "soak", "state_machine", "torture", "tutorial"),
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run those tests, and their fixtures, without the function that traces for the coverage."""
    if item.path.relative_to(Path(__file__).parent).parts[0] not in UNMEASURED:
        return (yield)
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        threading.settrace(of_threads)


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


@pytest.fixture(scope="session")
def server_context(ca):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost", "127.0.0.1", "example.test").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_context(ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context

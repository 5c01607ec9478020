"""Each row of the table of exit statuses, without a process."""

from __future__ import annotations

import socket

import pytest
import trio

from trio_wsendpoint import (
    BadResponse,
    CloseCause,
    HandshakeRefused,
    HandshakeTimeout,
    InvalidURL,
    Response,
    TLSFailed,
)
from trio_wsendpoint.cli.outcome import (
    ENDS,
    CheckFailed,
    Interrupted,
    Status,
    TimeOver,
    UsageFault,
    outcome_of_end,
    outcome_of_error,
)
from trio_wsendpoint.client.proxy_errors import ProxyError
from trio_wsendpoint.testing import connection_pair

ERRORS = [
    (UsageFault("--x"), 2),
    (InvalidURL("no scheme"), 2),
    (socket.gaierror(-2, "unknown"), 3),
    (ConnectionRefusedError(111, "refused"), 4),
    (OSError(113, "unreachable"), 4),
    (ProxyError("no way", "http://p"), 4),
    (TLSFailed("certificate"), 5),
    (HandshakeRefused("403", Response(403)), 6),
    (BadResponse("no HTTP"), 7),
    (HandshakeTimeout("slow"), 8),
    (TimeOver("--max-time"), 8),
    (trio.TooSlowError(), 8),
    (CheckFailed("a pong is missing"), 12),
    (Interrupted(Status.TERMINATED), 143),
    (KeyboardInterrupt(), 130),
    (BrokenPipeError(32, "pipe"), 141),
    (RuntimeError("a bug"), 1),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_has_its_status(error, status):
    for raised in (error, BaseExceptionGroup("", [BaseExceptionGroup("", [error])])):
        assert outcome_of_error(raised).status == status


def test_a_line_is_escaped_and_one_line():
    line = outcome_of_error(BadResponse("said \x1b[2J\nmore")).line
    assert line == "no good answer: said \\x1b[2J\\nmore"


def test_a_fault_of_ours_asks_for_a_report():
    line = outcome_of_error(RuntimeError("a bug")).line or ""
    assert "please report it: RuntimeError: a bug" in line


def test_every_cause_has_a_row():
    assert set(ENDS) == set(CloseCause)


@pytest.mark.parametrize(
    ("code", "status"), [(1000, 0), (1001, 0), (None, 0), (1008, 10), (4401, 10)]
)
async def test_a_close_of_the_peer(code, status, autojump_clock):
    async with connection_pair() as (client, server):
        await server.aclose(code, "" if code is None else "why \x1b[2J")
        await client.wait_closed()
        outcome = outcome_of_end(client)
    assert outcome.status == status
    assert "the peer closed first: " in (outcome.line or "")
    assert "\x1b" not in (outcome.line or "")


async def test_our_close(autojump_clock):
    async with connection_pair() as (client, _server):
        await client.aclose()
        assert outcome_of_end(client).status == Status.DONE

"""What is worth a retry: the table, error by error; and the page that shows it."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import pytest
import trio

from trio_wsendpoint import (
    BadResponse,
    BadUpgrade,
    CloseCause,
    CloseFrame,
    Codes,
    ConnectionEnded,
    ConnectionLost,
    HandshakeRefused,
    HandshakeTimeout,
    InvalidURL,
    ProxyError,
    ProxyRefused,
    RedirectRefused,
    Response,
    TLSFailed,
)
from trio_wsendpoint.client.codes import PRESETS
from trio_wsendpoint.client.retries import CLOSE_CODES, ROWS, STATUSES, Trouble, judge
from trio_wsendpoint.protocol.closing import Closing

PAGE = (Path(__file__).parents[2] / "docs" / "reconnecting.md").read_text()


def row(error, phase="opening", cause=None, *, codes=None, has_connected=False, may_renew=False):
    trouble = Trouble(error, phase, cause)
    return judge(trouble, codes=codes, has_connected=has_connected, may_renew=may_renew)


def caused(error, cause):
    error.__cause__ = cause
    return error


def proxy_error(cause=None):
    return caused(ProxyError("no way", "http://p:1"), cause)


def proxy_refused(response, *, status=None, is_final=True):
    return ProxyRefused("no", "http://p:1", status=status, response=response, is_final=is_final)


def closed(received=None, sent=None, kind=ConnectionLost):
    closing = Closing()
    closing.received = None if received is None else CloseFrame(received)
    closing.sent = None if sent is None else CloseFrame(sent)
    return kind(None, closing)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "name-unknown"),
        (socket.gaierror(socket.EAI_AGAIN, "later, please"), "name-unanswered"),
        (socket.gaierror(socket.EAI_FAIL, "no"), "name-unanswered"),
        (ConnectionRefusedError(), "unreachable"),
        (OSError("all attempts to connect failed"), "unreachable"),
        (trio.BrokenResourceError(), "unreachable"),
        (HandshakeTimeout("late"), "opening-timeout"),
        (trio.TooSlowError(), "opening-timeout"),
        (BadResponse("the connection was lost"), "opening-lost"),
        (BadUpgrade("another key", Response(101)), "wrong-answer"),
        (InvalidURL("none"), "bad-url"),
        (caused(TLSFailed("x"), ssl.SSLCertVerificationError("expired")), "tls"),
        (caused(TLSFailed("x"), ssl.SSLError("no common version")), "tls"),
        (caused(TLSFailed("x"), ssl.SSLEOFError("eof")), "opening-lost"),
        (caused(TLSFailed("x"), ConnectionResetError()), "opening-lost"),
        (proxy_error(), "proxy-failed"),
        (proxy_error(ConnectionRefusedError()), "proxy-failed"),
        (proxy_error(socket.gaierror(socket.EAI_NONAME, "no such name")), "name-unknown"),
        (proxy_error(caused(TLSFailed("x"), ssl.SSLError("expired"))), "tls"),
        (proxy_error(caused(TLSFailed("x"), ssl.SSLEOFError("eof"))), "opening-lost"),
        (proxy_refused(Response(407)), "http-proxy"),
        (proxy_refused(Response(403)), "proxy-refused"),
        (proxy_refused(Response(502)), "http-later"),
        (proxy_refused(Response(503)), "http-busy"),
        (proxy_refused(None, status=2), "proxy-refused"),
        (proxy_refused(None, status=5, is_final=False), "proxy-failed"),
        (RedirectRefused("in a circle", Response(302)), "http-refused"),
    ],
)
def test_an_opening(error, name):
    assert row(error) == ROWS[name]


def test_a_name_that_was_known_before():
    error = socket.gaierror(socket.EAI_NONAME, "no such name")
    assert row(error, has_connected=True) == ROWS["name-unknown-later"]


@pytest.mark.parametrize(
    ("statuses", "name", "verdict"),
    [
        ([408, 425, 500, 502, 504, 520, 521, 527, 530], "http-later", "later"),
        ([429, 503], "http-busy", "busy"),
        ([407], "http-proxy", "stop"),
        (
            [200, 301, 400, 401, 403, 404, 405, 410, 421, 426, 451, 501, 505, 528],
            "http-refused",
            "stop",
        ),
    ],
)
def test_a_status(statuses, name, verdict):
    for status in statuses:
        found = row(HandshakeRefused("no", Response(status)))
        assert (found.name, found.verdict) == (name, verdict), status


def test_a_401_may_mean_that_a_token_has_expired():
    refused = HandshakeRefused("no", Response(401))
    assert row(refused, may_renew=True) == ROWS["http-401-renewed"]
    assert row(HandshakeRefused("no", Response(403)), may_renew=True) == ROWS["http-refused"]


@pytest.mark.parametrize(
    ("codes", "name", "verdict"),
    [
        ([1000, None], "close-normal", "spread"),
        ([1001, 1012], "close-restart", "spread"),
        ([1011, 1014], "close-failed", "later"),
        ([1013], "close-busy", "busy"),
        ([1002, 1003, 1007, 1008, 1009, 1010], "close-rule", "stop"),
        ([3000, 3999, 4000, 4999], "close-other", "stop"),
    ],
)
def test_a_close_of_the_peer(codes, name, verdict):
    for code in codes:
        closing = Closing()
        closing.received = CloseFrame(code)
        for kind in (ConnectionEnded, ConnectionLost):
            found = row(kind(None, closing), "open", CloseCause.PEER)
            assert (found.name, found.verdict) == (name, verdict), code
            # In `on_connect` it is the same end.
            assert row(kind(None, closing), "on_connect", CloseCause.PEER) == found


@pytest.mark.parametrize(
    ("error", "cause", "name"),
    [
        (closed(), CloseCause.LOST, "close-lost"),
        # A peer that was given up for its silence, and may have answered after all.
        (closed(sent=1002), CloseCause.TIMEOUT, "close-lost"),
        (closed(received=1002, sent=1002), CloseCause.TIMEOUT, "close-lost"),
        # A rule that the peer broke, whether it has answered our Close or not.
        (closed(sent=1009), CloseCause.LIMIT, "close-rule"),
        (closed(received=1000, sent=1002), CloseCause.PROTOCOL_ERROR, "close-rule"),
        # What failed on our side.
        (closed(sent=1011), CloseCause.INTERNAL_ERROR, "close-failed"),
        (closed(received=1000, sent=1000), CloseCause.LOCAL, "close-local"),
    ],
)
def test_other_ends(error, cause, name):
    assert row(error, "open", cause) == ROWS[name]


def test_codes_go_first():
    codes = Codes({1000: "stop", range(4000, 4010): "busy", 1006: "now"})
    found = row(closed(received=4003), "open", CloseCause.PEER, codes=codes)
    assert (found.name, found.verdict) == ("codes 4000-4009", "busy")
    assert row(closed(received=1000), "open", CloseCause.PEER, codes=codes).verdict == "stop"
    assert row(closed(), "open", CloseCause.LOST, codes=codes).name == "codes 1006"
    assert row(closed(received=4010), "open", CloseCause.PEER, codes=codes) == ROWS["close-other"]


def test_functions_of_the_app():
    slow = Trouble(trio.TooSlowError(), "on_connect", is_timeout=True)
    assert judge(slow, codes=None, has_connected=True, may_renew=False) == ROWS["hook-timeout"]
    assert row(OSError("no token"), "credentials") == ROWS["credentials"]
    assert row(InvalidURL("none"), "credentials") == ROWS["bad-url"]


def test_every_row_that_is_named_is_there():
    assert {*STATUSES.values(), *CLOSE_CODES.values()} <= set(ROWS)
    assert all(name == row.name for name, row in ROWS.items())


# ---- the page ----------------------------------------------------------------------------------


def test_the_page_has_the_table():
    told = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert told == [(row.name, row.verdict, row.what) for row in ROWS.values()]


def test_the_page_has_the_presets():
    for service, table in PRESETS.items():
        [line] = re.findall(rf"^\| `{service}` \| (.+) \|$", PAGE, re.MULTILINE)
        told = [
            (int(first), int(last or first), word)
            for first, last, word in re.findall(r"(\d{4})(?:-(\d{4}))? (\w+)", line)
        ]
        assert told == [(*codes, word) for codes, word in table.items()]

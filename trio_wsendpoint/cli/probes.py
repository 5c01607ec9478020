"""Single probes of a server: each looks at one thing and returns what it finds.

Those that open connections of their own are in `deep_probes`.
"""

from __future__ import annotations

import socket

import trio

from trio_wsendpoint.cli.advice import advice_for_status, advice_for_tls
from trio_wsendpoint.cli.findings import Finding, Grade
from trio_wsendpoint.cli.outcome import Status, first_error, outcome_of_end, outcome_of_error
from trio_wsendpoint.cli.telling import milliseconds
from trio_wsendpoint.cli.tls import TLSFacts
from trio_wsendpoint.connection.closed import ConnectionClosed, PingTimeout
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.errors import HandshakeError, TLSFailed
from trio_wsendpoint.handshake.errors import HandshakeRefused

__all__ = [
    "look_up",
    "probe_close",
    "probe_ping",
    "probe_tcp",
    "tell_error",
    "tell_tls",
]

#: Days that a certificate must be good for at least.
LEAST_DAYS = 14
#: Addresses that are tried at most.
MOST_ADDRESSES = 8


async def look_up(
    host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
) -> tuple[Finding, list[str]]:
    """Look up a name: return the finding and its addresses, of one family if it is given."""
    began = trio.current_time()
    try:
        found = await trio.socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except OSError as error:
        change = "check its spelling, and the DNS of this machine"
        text = f"{host}: {error.strerror or error}"
        return Finding(Grade.FAIL, "name", text, change=change, status=Status.NAME), []
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))[:MOST_ADDRESSES]
    taken = milliseconds(trio.current_time() - began)
    return Finding(Grade.OK, "name", f"{host} is {', '.join(addresses)} ({taken})"), addresses


async def probe_tcp(addresses: list[str], port: int, limit: float) -> Finding:
    """Connect to each address."""
    told: list[str] = []
    reached = 0
    for address in addresses:
        began = trio.current_time()
        try:
            with trio.fail_after(limit):
                stream = await trio.open_tcp_stream(address, port)
        except (OSError, trio.TooSlowError) as error:
            told.append(f"{address}: {_reason(error, limit)}")
            continue
        told.append(f"{address} in {milliseconds(trio.current_time() - began)}")
        reached += 1
        await stream.aclose()
    text = f"port {port} on {', '.join(told)}"
    if reached == len(addresses):
        return Finding(Grade.OK, "TCP", text)
    if reached:
        change = "clients try that address too: let the server listen on it, or take it out of DNS"
        return Finding(Grade.WARN, "TCP", text, change=change)
    change = f"look whether the server runs, listens on port {port}, and a firewall lets it through"
    return Finding(Grade.FAIL, "TCP", text, change=change, status=Status.TCP)


def _reason(error: Exception, limit: float) -> str:
    if isinstance(error, trio.TooSlowError):
        return f"no answer within {limit:g} s"
    cause = first_error(error.__cause__ or error)  # of the one address that was tried
    text = getattr(cause, "strerror", None) or str(cause)
    return str(text).rpartition(": ")[2]


def tell_tls(facts: TLSFacts) -> Finding:
    """Return what a handshake told that has succeeded."""
    days = facts.days_left
    if days is not None and days < LEAST_DAYS:
        return Finding(Grade.WARN, "TLS", str(facts), change="renew the certificate")
    if facts.version in {"1", "1.0", "1.1"}:
        change = "turn on TLS 1.2 or 1.3 in the server"
        return Finding(Grade.WARN, "TLS", str(facts), change=change)
    return Finding(Grade.OK, "TLS", str(facts))


def tell_error(error: BaseException) -> Finding:
    """Return the finding of an opening that has failed with `error`."""
    outcome = outcome_of_error(error)
    change = None
    subject = "opening"
    if isinstance(error, TLSFailed):
        subject, change = "TLS", advice_for_tls(error)
    elif isinstance(error, HandshakeRefused):
        change = advice_for_status(error.response)
    elif isinstance(error, trio.TooSlowError):
        change = "look whether the server hangs, or this port belongs to something else"
    elif isinstance(error, HandshakeError):
        change = "look what listens there: it is no WebSocket server, or a proxy changes the answer"
    return Finding(Grade.FAIL, subject, outcome.line or "", change=change, status=outcome.status)


async def probe_ping(connection: Connection) -> Finding:
    """Ping, and look whether the pong comes, as RFC 6455 section 5.5.2 demands."""
    try:
        seconds = await connection.ping()
    except PingTimeout:
        return Finding(
            Grade.FAIL,
            "ping",
            "no pong came",
            change="answer pings in the server: a heartbeat closes this connection",
            status=Status.CHECK,
        )
    except ConnectionClosed:
        outcome = outcome_of_end(connection)
        status = outcome.status if outcome.status is not Status.DONE else Status.CHECK
        return Finding(Grade.FAIL, "ping", outcome.line or "closed", status=status)
    return Finding(Grade.OK, "ping", f"pong after {milliseconds(seconds)}")


async def probe_close(connection: Connection) -> Finding:
    """Close, and look whether the server answers with a Close frame and ends the connection."""
    began = trio.current_time()
    await connection.aclose()
    taken = milliseconds(trio.current_time() - began)
    closing = connection.endpoint.closing
    if closing.received is None:
        return Finding(
            Grade.WARN,
            "close",
            f"no Close frame answered ours within {taken}",
            change="answer a Close frame with one (RFC 6455 section 5.5.1)",
        )
    if closing.received.code not in {1000, None}:
        return Finding(
            Grade.WARN, "close", f"our 1000 was answered with {closing.received} after {taken}"
        )
    return Finding(Grade.OK, "close", f"answered after {taken}")

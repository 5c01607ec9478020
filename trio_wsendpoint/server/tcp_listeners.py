"""Opens TCP ports: one on every address of a host."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from logging import INFO, WARNING

import trio

from trio_wsendpoint.addressing.ip import normal_host
from trio_wsendpoint.session.session import Logger

__all__ = ["open_tcp_listeners"]

#: Errors that say that the machine does not have an address, or no address of its family.
_MISSING = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


async def open_tcp_listeners(
    port: int, host: str | None, backlog: int | None, logger: Logger
) -> list[trio.SocketListener]:
    """Open `port` on every address of `host`, once on each; for port 0, one free port for all.

    An address that the machine does not have is passed over if another one was opened, as the
    ::1 of `localhost` in a container without IPv6; `logger` is told.  Raises `OSError`, which
    names the host and the address that failed.
    """
    attempts = 10 if port == 0 else 1
    while True:
        attempts -= 1
        try:
            return await _open_each(port, host, backlog, logger)
        except OSError as error:
            # The port that was free on one address may be taken on another.
            if error.errno != errno.EADDRINUSE or not attempts:
                raise


async def _open_each(
    port: int, host: str | None, backlog: int | None, logger: Logger
) -> list[trio.SocketListener]:
    opened: list[trio.SocketListener] = []
    missing: list[OSError] = []
    chosen = port
    try:
        for address in await _resolve(host, port):
            try:
                opened += await trio.open_tcp_listeners(chosen, host=address, backlog=backlog)
            except OSError as error:
                failed = _listen_error(error, port, host, address)
                if error.errno not in _MISSING:
                    raise failed from error
                missing.append(failed)
            else:
                chosen = opened[-1].socket.getsockname()[1]
        if not opened:
            raise missing[0] from missing[0].__cause__
        for failed in missing:
            # That is how many machines are, and nothing of the operator's.
            level = INFO if host in {None, "localhost"} else WARNING
            logger.log(level, "%s; the other addresses are listened on", failed.strerror)
    except BaseException:
        for listener in opened:
            listener.socket.close()  # not `aclose`, which can be cancelled between two
        raise
    return opened


async def _resolve(host: str | None, port: int) -> Sequence[str]:
    """Return the IP addresses of `host`, each of them once; of any host, those of all hosts."""
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=trio.socket.SOCK_STREAM, flags=trio.socket.AI_PASSIVE
        )
    except OSError as error:
        raise _listen_error(error, port, host, host) from error
    # /etc/hosts may name an address twice, or once more as an IPv6 address (::ffff:127.0.0.1).
    return list(dict.fromkeys(normal_host(str(where[0])) for *_, where in found))


def _listen_error(error: OSError, port: int, host: str | None, address: str | None) -> OSError:
    """Return what to raise: of the kind of `error`, with the host and the address in its text."""
    where = "every address" if host is None else host
    if address != host:
        where = f"{where} ({address})"
    text = f"cannot listen on port {port} of {where}: {error.strerror or error}"
    kind = socket.gaierror if isinstance(error, socket.gaierror) else OSError
    return kind(error.errno, text)

"""Opens what a server listens on: all of the addresses, or none."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterable, Sequence

import trio

from trio_wsendpoint.addressing import TCPAddress, UnixAddress
from trio_wsendpoint.server.certificates import has_certificate
from trio_wsendpoint.server.inherited import claim_sockets, take_over
from trio_wsendpoint.server.listen import Listen, as_listens
from trio_wsendpoint.server.tcp_listeners import open_tcp_listeners
from trio_wsendpoint.server.unix_listeners import open_unix_listener
from trio_wsendpoint.server.wrappers import SocketWrapper, TLSListener
from trio_wsendpoint.session.session import Logger

__all__ = ["open_all", "open_each", "open_listeners", "warn_of_missing_certificates"]

_Listener = trio.abc.Listener[trio.abc.Stream]
_Socket = trio.SocketListener | SocketWrapper


async def open_listeners(
    *listen: str | Listen,
    ssl_context: ssl.SSLContext | None = None,
    backlog: int | None = None,
    logger: Logger | None = None,
) -> list[trio.abc.Listener[trio.abc.Stream]]:
    """Open listeners for `trio.serve_listeners`, or for `listeners=` of `serve_endpoint`.

    `listen`: addresses as `"tcp:0.0.0.0:8443"`, `"unix:/run/app.sock"`, `"systemd:"`, `"fd:3"`,
    or `Listen` objects.  There may be several listeners for one of them.
    `ssl_context`: speak TLS with this one, where a `Listen` does not say otherwise.
    `backlog`: connections that the system lets wait until they are accepted.

    If cancelled: none is open; inherited sockets are as they were.
    Raises: `ValueError` or `TypeError` for arguments; `OSError`, which names the address and the
        cause, if one cannot be listened on.  Then none is open.
    """
    used = logging.getLogger("trio_wsendpoint") if logger is None else logger
    return await open_all(as_listens(listen), ssl_context, backlog, used)


@trio.lowlevel.enable_ki_protection
async def open_all(
    listens: Sequence[Listen],
    ssl_context: ssl.SSLContext | None,
    backlog: int | None,
    logger: Logger,
) -> list[_Listener]:
    """Open the addresses of `listens`, in their order, as `open_listeners` does."""
    contexts = [_context_of(listen, ssl_context) for listen in listens]
    warn_of_missing_certificates(contexts, logger)
    found: list[_Listener] = []
    for context, ours in zip(contexts, await open_each(listens, backlog, logger), strict=True):
        found += ours if context is None else [TLSListener(one, context) for one in ours]
    return found


@trio.lowlevel.enable_ki_protection
async def open_each(
    listens: Sequence[Listen], backlog: int | None, logger: Logger
) -> list[Sequence[_Socket]]:
    """Open the addresses of `listens`; return the listeners of each, without TLS.

    Raises as `open_listeners`.
    """
    claims = claim_sockets([listen.parsed for listen in listens], os.environ)
    opened: list[Sequence[_Socket]] = []
    try:
        for listen in listens:
            opened += [await _open(listen, backlog, logger)]
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        for listener in (one for some in opened for one in some):
            if isinstance(listener, SocketWrapper):
                listener.close_nowait()
            else:
                listener.socket.close()  # not `aclose`, which can be cancelled between two
        raise
    inherited = take_over(claims, os.environ)
    pairs = zip(listens, opened, strict=True)
    return [ours or inherited[listen.parsed] for listen, ours in pairs]


async def _open(listen: Listen, backlog: int | None, logger: Logger) -> Sequence[_Socket]:
    """Open an address; for one of inherited sockets there is nothing to open."""
    where = listen.parsed
    if isinstance(where, TCPAddress):
        return await open_tcp_listeners(where.port, where.host, backlog, logger)
    if isinstance(where, UnixAddress):
        return [await open_unix_listener(listen, where, backlog)]
    return []


def _context_of(listen: Listen, servers: ssl.SSLContext | None) -> ssl.SSLContext | None:
    return servers if listen.ssl_context == "server's" else listen.ssl_context


def warn_of_missing_certificates(contexts: Iterable[ssl.SSLContext | None], logger: Logger) -> None:
    """Write a record for each context, once, that has no certificate to show."""
    for context in dict.fromkeys(contexts):
        if context is not None and not has_certificate(context):
            logger.warning(
                "ssl_context has no certificate, so no client can verify this server: "
                "load_cert_chain(...) of it reads one"
            )

"""What a server listens on: TCP ports opened, addresses told, and streams accepted for ever.

Imported by `server` and `serving`.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, cast

import trio

from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.transport.streams import AcceptedSocket
from trio_wsendpoint.transport.tls import TLSListener

__all__ = ["accept_streams", "addresses", "open_tcp_listeners", "urls_of"]

#: Errors of accept() that say that the machine is short of something, not that we are wrong.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: Seconds to wait when it is, and seconds between two lines about it in the log.
_BACK_OFF = 0.1
_LOG_INTERVAL = 1.0


async def open_tcp_listeners(
    port: int, host: str | None, backlog: int | None
) -> list[trio.SocketListener]:
    """Open `port` on every address of `host`; for port 0, one free port for all of them."""
    attempts = 10 if port == 0 else 1
    while True:
        attempts -= 1
        try:
            listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
            ports = {listener.socket.getsockname()[1] for listener in listeners}
            if len(ports) == 1:
                return listeners
            for listener in listeners:
                listener.socket.close()  # not `aclose`, which can be cancelled between two
            return await trio.open_tcp_listeners(min(ports), host=host, backlog=backlog)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and attempts > 0:
                continue
            where = "every address" if host is None else host
            raise OSError(
                error.errno, f"cannot listen on port {port} of {where}: {error.strerror or error}"
            ) from error


def addresses(listeners: Iterable[trio.abc.Listener[trio.abc.Stream]]) -> list[tuple[str, int]]:
    """Return host and port of each listener that has them, through TLS too."""
    found: list[tuple[str, int]] = []
    for listener in listeners:
        inner: Any = listener  # a Trio listener of any kind, which may wrap another
        while isinstance(inner, (TLSListener, trio.SSLListener)):
            inner = cast("trio.SSLListener[trio.SocketStream]", inner).transport_listener
        if isinstance(inner, trio.SocketListener):
            name: object = inner.socket.getsockname()
            if isinstance(name, tuple):  # a Unix socket has a path instead
                found.append(cast("tuple[str, int]", name[:2]))
    return found


def urls_of(listeners: Iterable[trio.abc.Listener[trio.abc.Stream]]) -> tuple[str, ...]:
    """Return a URL for each address, once, as `ws://127.0.0.1:8765/`."""
    urls: list[str] = []
    for listener in listeners:
        found = addresses([listener])
        scheme = "wss" if isinstance(listener, (TLSListener, trio.SSLListener)) else "ws"
        for host, port in found:
            name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104
            name = name.replace("%", "%25")  # before a zone (RFC 6874 section 2)
            url = f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/"
            if url not in urls:
                urls.append(url)
    return tuple(urls)


class _SpareDescriptor:
    """A file descriptor to give up when there are no more.

    With no descriptor free, a waiting connection can be neither accepted nor refused, and stays
    in the backlog for ever; with one it can be accepted and dropped.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.keep()

    def keep(self) -> None:
        if self._descriptor is None:
            try:
                self._descriptor = os.open(os.devnull, os.O_RDONLY)
            except OSError:
                return  # there is none to spare: the next time, perhaps

    def give_up(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _Accepter:
    """Accepts from a listener; from a `trio.SocketListener` in fewer steps than that takes itself.

    Most connections come one by one, and have to be waited for: the first try of its `accept` is
    nearly always in vain.
    """

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        self._listener = listener
        self._waits_on: trio.socket.SocketType | None = None
        self._socket: socket.socket | None = None
        if type(listener) is trio.SocketListener and os.name == "posix":
            number = listener.socket.fileno()
            if number >= 0:  # else it is closed already, which its own `accept` tells
                self._waits_on = listener.socket
                # The same descriptor, which stays the listener's own: see `let_go`.
                self._socket = socket.socket(fileno=number)

    async def accept(self) -> trio.abc.Stream:
        """Wait for the next stream; raises as the listener's `accept`."""
        if self._waits_on is not None and self._socket is not None:
            await trio.lowlevel.wait_readable(self._waits_on)
            try:
                # If it was closed meanwhile, the number may be somebody else's by now.
                accepted = self._socket.accept()[0] if self._waits_on.fileno() >= 0 else None
            except OSError:  # which is for Trio to judge, and not to be raised for every client
                accepted = None
            if accepted is not None:
                return AcceptedSocket(accepted)
        return await self._listener.accept()

    def let_go(self) -> None:
        """Leave the descriptor to the listener."""
        if self._socket is not None:
            self._socket.detach()


async def accept_streams(
    listener: trio.abc.Listener[trio.abc.Stream],
    take: Callable[[trio.abc.Stream], object],
    logger: Logger,
) -> None:
    """Accept streams and give each to `take`, until cancelled or `listener` is closed.

    When the machine is short of descriptors or memory, it drops what waits, tries again ten
    times a second, and says so in the log once a second.  Any other `OSError` is raised.
    """
    logged = -_LOG_INTERVAL
    spare = _SpareDescriptor()
    accepter = _Accepter(listener)
    try:
        while True:
            try:
                take(await accepter.accept())
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno not in _SHORTAGES:
                    raise
                if trio.current_time() - logged >= _LOG_INTERVAL:
                    logged = trio.current_time()
                    logger.error("cannot accept connections: %s", error)
                await _shed(listener, spare)
                await trio.sleep(_BACK_OFF)
    finally:
        accepter.let_go()
        spare.give_up()


async def _shed(listener: trio.abc.Listener[trio.abc.Stream], spare: _SpareDescriptor) -> None:
    """Accept a connection with the spare descriptor, and drop it."""
    spare.give_up()
    try:
        with trio.move_on_after(_BACK_OFF):
            await trio.aclose_forcefully(await listener.accept())
    except (OSError, trio.ClosedResourceError):
        return  # somebody else has taken it: there is nothing to be done
    finally:
        spare.keep()

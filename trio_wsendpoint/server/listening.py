"""What a server listens on: addresses told, and streams accepted for ever."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast

import trio

from trio_wsendpoint.addressing import SocketAddress, UnixAddress
from trio_wsendpoint.addressing.ends import path_named
from trio_wsendpoint.server.wrappers import SocketWrapper, TLSListener
from trio_wsendpoint.session.session import Logger
from trio_wsendpoint.transport.accepted_socket import AcceptedSocket
from trio_wsendpoint.transport.poller import Poller

__all__ = ["accept_streams", "addresses", "close_listeners", "texts_of", "urls_of", "without_tls"]

#: Errors of accept() that say that the machine is short of something, not that we are wrong.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: Of the `OSError`s, those that tell of one stream; every other tells of the listener.
_OF_ONE_STREAM = (ConnectionError, TimeoutError, ssl.SSLError)
#: Seconds to wait in a shortage, and seconds between two lines about it in the log.
_BACK_OFF = 0.1
_LOG_INTERVAL = 1.0
#: Streams that may fail one after another before accepting slows down: a listener that raises
#: always, and waits for nothing, must not take the whole processor.
_FAILURES_IN_A_ROW = 16
#: Hosts of a listener whose streams come to any address of the machine.
_ALL_ADDRESSES = frozenset({"0.0.0.0", "::", "::ffff:0.0.0.0"})  # noqa: S104


def addresses(listeners: Iterable[trio.abc.Listener[trio.abc.Stream]]) -> list[tuple[str, int]]:
    """Return host and port of each listener that has them, through TLS too."""
    names = [_name_of(listener) for listener in listeners]
    # A Unix socket has a path instead.
    return [cast("tuple[str, int]", name[:2]) for name in names if isinstance(name, tuple)]


def _name_of(listener: trio.abc.Listener[trio.abc.Stream]) -> object:
    """Return what the listener's socket says that it is called; None without a socket."""
    inner: Any = without_tls(listener)
    if isinstance(inner, SocketWrapper):
        inner = inner.transport_listener
    return inner.socket.getsockname() if isinstance(inner, trio.SocketListener) else None


def without_tls(
    listener: trio.abc.Listener[trio.abc.Stream],
) -> trio.abc.Listener[trio.abc.Stream]:
    """Return the listener that accepts the streams over which `listener` speaks TLS."""
    inner: Any = listener  # a Trio listener of any kind, which may wrap another
    while isinstance(inner, (TLSListener, trio.SSLListener)):
        inner = cast("trio.SSLListener[trio.SocketStream]", inner).transport_listener
    return cast("trio.abc.Listener[trio.abc.Stream]", inner)


def texts_of(listeners: Iterable[trio.abc.Listener[trio.abc.Stream]]) -> tuple[str, ...]:
    """Return the address of each listener's socket, once, as `listen=` takes it."""
    texts: list[str] = []
    for name in map(_name_of, listeners):
        if isinstance(name, tuple):
            host, port = cast("tuple[str, int]", name[:2])
            texts.append(f"tcp:{SocketAddress(host, port)}")
        elif isinstance(name, (str, bytes)):
            texts.append(str(UnixAddress(path_named(name))))
    return tuple(dict.fromkeys(texts))


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


async def close_listeners(
    listeners: Iterable[trio.abc.Listener[trio.abc.Stream]], logger: Logger
) -> None:
    """Close each of them, even if cancelled; an error of one is logged."""
    for listener in listeners:
        try:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(listener)
        except Exception as error:
            logger.error("a listener could not be closed", exc_info=error)


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
    """Accepts from a listener; from a `trio.SocketListener` without a Trio socket for each stream.

    Trio's own way costs 0.9 KiB more for each connection, and, for one that is opened and closed,
    9 % more instructions and 19 system calls instead of 16: its first try nearly always fails,
    for most connections come one by one.  The sockets wait with `poller`, if there is one.
    """

    def __init__(
        self, listener: trio.abc.Listener[trio.abc.Stream], poller: Poller | None = None
    ) -> None:
        self._listener = listener
        self._poller = poller
        self._tls = listener if type(listener) is TLSListener else None
        self._waits_on: trio.socket.SocketType | None = None
        self._socket: socket.socket | None = None
        self._name: object = None  # of our end of each stream, if they all have the same
        inner: object = listener if self._tls is None else self._tls.transport_listener
        if isinstance(inner, SocketWrapper):
            inner = inner.transport_listener
        if type(inner) is trio.SocketListener and os.name == "posix":
            number = inner.socket.fileno()
            if number >= 0:  # else it is closed already, which its own `accept` tells
                self._waits_on = inner.socket
                # The same descriptor, which stays the listener's own: see `let_go`.
                self._socket = socket.socket(fileno=number)
                # `socket.setdefaulttimeout()` would have it wait, and the whole program with it,
                # for a client that another process, which listens here too, has accepted first.
                self._socket.setblocking(False)
                self._name = _only_name(self._socket)

    async def accept(self) -> trio.abc.Stream:
        """Wait for the next stream; raises as the listener's `accept`."""
        if self._waits_on is not None and self._socket is not None:
            await trio.lowlevel.wait_readable(self._waits_on)
            try:
                # If it was closed meanwhile, the number may be another file's by now.
                accepted = self._socket.accept() if self._waits_on.fileno() >= 0 else None
            except OSError:  # which is for Trio to judge, and not to be raised for every client
                accepted = None
            if accepted is not None:
                return self._stream_of(*accepted)
        return await self._listener.accept()

    def _stream_of(self, accepted: socket.socket, peer: object) -> trio.abc.Stream:
        """Return the stream of an accepted socket; raises `trio.BrokenResourceError`."""
        stream: AcceptedSocket | None = None
        try:
            names = peer, self._name or accepted.getsockname()
            stream = AcceptedSocket(accepted, self._poller, names)
            return stream if self._tls is None else self._tls.over(stream)
        except BaseException as error:
            if stream is None:
                accepted.close()
            else:
                stream.close_nowait()
            if isinstance(error, OSError):
                raise trio.BrokenResourceError(f"an accepted socket is no good: {error}") from error
            raise

    def let_go(self) -> None:
        """Leave the descriptor to the listener."""
        if self._socket is not None:
            self._socket.detach()


def _only_name(listener: socket.socket) -> object:
    """Return the name that our end of each stream has; None if they differ."""
    name: Any = listener.getsockname()
    is_ip = listener.family in {socket.AF_INET, socket.AF_INET6}
    return None if is_ip and name[0] in _ALL_ADDRESSES else name


class _Accepting:
    """Accepts from one listener for ever, whatever happens to a single stream."""

    def __init__(
        self,
        listener: trio.abc.Listener[trio.abc.Stream],
        take: Callable[[trio.abc.Stream], object],
        logger: Logger,
        poller: Poller | None,
    ) -> None:
        self._listener = listener
        self._take = take
        self._logger = logger
        self._logged = -_LOG_INTERVAL  # when a line was written last
        self._failures = 0  # in a row
        self._spare = _SpareDescriptor()
        self._accepter = _Accepter(listener, poller)

    async def run(self) -> None:
        """Accept until cancelled or the listener is closed; raises what tells of the listener."""
        try:
            while True:
                try:
                    stream = await self._accepter.accept()
                except trio.ClosedResourceError:
                    return
                except Exception as error:  # noqa: BLE001 - most of them are one stream's
                    await self._pass_over(error)
                else:
                    await self._hand_over(stream)
        finally:
            self._accepter.let_go()
            self._spare.give_up()

    async def _hand_over(self, stream: trio.abc.Stream) -> None:
        try:
            self._take(stream)
        except Exception as error:  # noqa: BLE001 - this stream's
            self._log("a stream could not be served: %r", error)
            with contextlib.suppress(Exception):
                await trio.aclose_forcefully(stream)
        else:
            self._failures = 0

    async def _pass_over(self, error: Exception) -> None:
        """Go on after `error`, unless it tells of the listener: then raise it."""
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            self._log("cannot accept connections: %s", error, traceback=False)
            await self._shed()
            await trio.sleep(_BACK_OFF)
            return
        if isinstance(error, OSError) and not isinstance(error, _OF_ONE_STREAM):
            raise error
        self._log("a stream could not be accepted: %r", error)
        self._failures += 1
        await trio.sleep(_BACK_OFF if self._failures > _FAILURES_IN_A_ROW else 0)

    def _log(self, text: str, error: Exception, traceback: bool = True) -> None:
        """Write a record about `error`, one a second at most."""
        now = trio.current_time()
        if now - self._logged >= _LOG_INTERVAL:
            self._logged = now
            with contextlib.suppress(Exception):  # a logger that raises is the user's as well
                self._logger.error(text, error, exc_info=error if traceback else None)

    async def _shed(self) -> None:
        """Accept a connection with the spare descriptor, and drop it."""
        self._spare.give_up()
        try:
            with trio.move_on_after(_BACK_OFF):
                await trio.aclose_forcefully(await self._listener.accept())
        except Exception:  # noqa: BLE001 - nothing waits any more, or it is gone already
            return
        finally:
            self._spare.keep()


async def accept_streams(
    listener: trio.abc.Listener[trio.abc.Stream],
    take: Callable[[trio.abc.Stream], object],
    logger: Logger,
    poller: Poller | None = None,
) -> None:
    """Accept streams and give each to `take`, until cancelled or `listener` is closed.

    When the machine is short of descriptors or memory, it drops what waits, tries again ten
    times a second, and says so in the log once a second.  Any other `OSError` tells of the
    listener, and is raised, except those of a connection and of TLS.  Those, and whatever else
    `accept` or `take` raises, are the failure of one stream: it is closed, and the log says so.
    Sockets that are accepted here wait with `poller`, if there is one.
    """
    await _Accepting(listener, take, logger, poller).run()

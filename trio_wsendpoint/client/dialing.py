"""Opens a stream to a host and a port by TCP, or to a Unix socket, and says why that failed.

Names are looked up and addresses tried as `trio.open_tcp_stream` does (Happy Eyeballs, RFC 8305):
here in two steps, because that tells nobody how long each has taken.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from trio_wsendpoint.addressing import UnixAddress
from trio_wsendpoint.client.stopwatch import Stopwatch
from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["open_tcp", "open_unix", "place"]

#: Seconds that one address has for itself before the next is tried as well (RFC 8305 section 5).
HEAD_START = 0.25

#: What `getaddrinfo` returns of each address: family, type, protocol, and the address itself.
_Found = tuple[socket.AddressFamily, socket.SocketKind, int, tuple[object, ...]]


def place(host: str, port: int) -> str:
    """Return `host:port` for the text of an error."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def open_tcp(host: str, port: int, watch: Stopwatch) -> trio.SocketStream:
    """Connect to a host, whose name is looked up first.

    Raises `socket.gaierror` if the name has no address, and else the `OSError` of the address that
    failed last, with its `errno`; the text has all that was tried.  If cancelled, all is closed.
    """
    watch.begin("dns")
    addresses = await _look_up(host, port)
    watch.end()
    watch.begin("tcp")
    race = _Race(addresses)
    connected = await race.run()
    watch.end()
    if connected is not None:
        return connected
    text = f"cannot connect to {place(host, port)}"
    why = "; ".join(map(_reason, race.failures))
    # The last one makes it a `ConnectionRefusedError`, for one.
    errno = race.failures[-1].errno
    message = f"{text}: {why}"
    error = OSError(message) if errno is None else OSError(errno, message)
    raise error from ExceptionGroup(f"all attempts to {text[len('cannot ') :]}", race.failures)


def _reason(failure: OSError) -> str:
    told = failure.strerror or str(failure)
    return told.removeprefix("Error connecting to ")  # and then comes the address


async def _look_up(host: str, port: int) -> Sequence[_Found]:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        text = f"no address of the host {host!a} was found: {error.strerror}"
        raise socket.gaierror(error.errno, text) from error
    addresses = [(family, kind, protocol, at) for family, kind, protocol, _, at in found]
    # The second one tried is of the other family, if there is one: RFC 6555 section 5.4.
    for number, address in enumerate(addresses):
        if address[0] != addresses[0][0]:
            addresses.insert(1, addresses.pop(number))
            break
    return addresses


class _Race:
    """Tries addresses, each with a head start before the next; the first to answer wins.

    `failures`: why the others did not, in the order in which they failed.
    """

    def __init__(self, addresses: Sequence[_Found]) -> None:
        self.failures: list[OSError] = []
        self._addresses = addresses
        self._scope = trio.CancelScope()  # cancelled by the winner
        self._are_all_lost = trio.Event()
        self._made: list[trio.SocketStream] = []  # the winner, and any that came in behind it

    async def run(self) -> trio.SocketStream | None:
        """Return the stream of the first one that answers, None if all have failed."""
        if len(self._addresses) == 1:
            await self._try(self._addresses[0], trio.Event())
            return self._made[0] if self._made else None
        block = BlockNursery()
        nursery = await block.enter()
        error: BaseException | None = None
        try:
            with self._scope:
                for address in self._addresses:
                    has_failed = trio.Event()
                    nursery.start_soon(self._try, address, has_failed)
                    with trio.move_on_after(HEAD_START):
                        await has_failed.wait()
                await self._are_all_lost.wait()
        except BaseException as raised:  # noqa: BLE001 - it is raised when the tasks have ended
            error = raised
        nursery.cancel_scope.cancel()
        left = await block.leave()
        winner = self._made.pop(0) if self._made and not (error or left) else None
        for late in self._made:
            late.socket.close()
        raise_beside(error, left)
        if error is not None:
            raise error
        return winner

    # A Ctrl-C is for the main task: here it would leave the socket open.
    @trio.lowlevel.enable_ki_protection
    async def _try(self, address: _Found, has_failed: trio.Event) -> None:
        family, kind, protocol, at = address
        try:
            made = trio.socket.socket(family, kind, protocol)
            try:
                await made.connect(at)
            except BaseException:
                made.close()
                raise
        except OSError as error:
            self.failures.append(error)
            has_failed.set()
            if len(self.failures) == len(self._addresses):
                self._are_all_lost.set()
            return
        self._made.append(trio.SocketStream(made))
        self._scope.cancel()


async def open_unix(address: UnixAddress, watch: Stopwatch) -> trio.SocketStream:
    """Connect to a Unix socket; raises `OSError` that names it.  If cancelled, it is closed."""
    watch.begin("tcp")
    made = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await made.connect(address.sockaddr)
    except BaseException as error:
        made.close()
        if isinstance(error, OSError):
            text = f"cannot connect to {quoted(str(address), 200)[1:-1]}: {error.strerror}"
            raise OSError(error.errno, text) from error
        raise
    watch.end()
    return trio.SocketStream(made)

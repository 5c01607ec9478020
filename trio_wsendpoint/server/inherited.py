"""Takes over sockets that were opened before this process: by systemd, or by a parent process.

All are looked at before the first one is changed.  A socket that is taken over stays that of the
process that opened it: closing closes our descriptor, and shuts down and unlinks nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import MutableMapping, Sequence

import trio

from trio_wsendpoint.addressing import (
    LISTEN_VARIABLES,
    FdAddress,
    InheritedSocket,
    ListenAddress,
    SystemdAddress,
    claim_inherited,
    parse_listen_fds,
)
from trio_wsendpoint.server.listening import without_tls
from trio_wsendpoint.server.wrappers import SocketWrapper

__all__ = ["InheritedListener", "claim_sockets", "is_inherited", "take_over"]

_FAMILIES = frozenset(
    getattr(socket, name) for name in ("AF_INET", "AF_INET6", "AF_UNIX") if hasattr(socket, name)
)


class InheritedListener(SocketWrapper):
    """Listens on a socket that this process was given: `address` says how it was asked for."""

    def __init__(
        self, transport_listener: trio.SocketListener, address: ListenAddress, number: int
    ) -> None:
        super().__init__(transport_listener)
        self.address = address
        self.number = number

    def __repr__(self) -> str:
        return f"<InheritedListener {self.address}, descriptor {self.number}>"


def is_inherited(listener: trio.abc.Listener[trio.abc.Stream]) -> bool:
    """Tell whether another process may go on accepting from the socket of `listener`."""
    return isinstance(without_tls(listener), InheritedListener)


def claim_sockets(
    addresses: Sequence[ListenAddress], environ: MutableMapping[str, str]
) -> dict[ListenAddress, tuple[int, ...]]:
    """Return the descriptors for each `systemd:` and `fd:` of `addresses`, looked at and right.

    Nothing is changed.  Raises `OSError` that names the address, and the descriptor or variable.
    """
    sockets: tuple[InheritedSocket, ...] = ()
    try:
        if any(isinstance(address, SystemdAddress) for address in addresses):
            sockets = parse_listen_fds(environ, os.getpid())
        claims = claim_inherited(addresses, sockets)
    except ValueError as error:
        wanted = [str(one) for one in addresses if isinstance(one, (SystemdAddress, FdAddress))]
        text = f"cannot listen on {', '.join(dict.fromkeys(wanted))}: {error}"
        raise OSError(errno.EINVAL, text) from None
    for address, numbers in claims.items():
        for number in numbers:
            try:
                _check(number)
            except OSError as error:
                text = f"cannot listen on {address}: descriptor {number} {error.strerror}"
                raise OSError(error.errno, text) from error
    return claims


def take_over(
    claims: dict[ListenAddress, tuple[int, ...]], environ: MutableMapping[str, str]
) -> dict[ListenAddress, list[InheritedListener]]:
    """Return listeners for the descriptors that `claim_sockets` returned; raises nothing.

    The sockets no longer block, and no child process inherits them.  The variables of systemd
    leave `environ`, if `systemd:` was asked for.
    """
    if any(isinstance(address, SystemdAddress) for address in claims):
        for name in LISTEN_VARIABLES:
            environ.pop(name, None)
    return {
        address: [InheritedListener(_adopt(number), address, number) for number in numbers]
        for address, numbers in claims.items()
    }


def _adopt(number: int) -> trio.SocketListener:
    os.set_inheritable(number, False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=number)))


def _check(number: int) -> None:
    """Raise `OSError` unless a server can accept there; its text goes on after "descriptor 3"."""
    try:
        mode = os.fstat(number).st_mode
    except OSError as error:
        raise OSError(error.errno, f"is not open: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, "is no socket")
    given = socket.socket(fileno=number)
    try:
        if given.family not in _FAMILIES:
            raise OSError(errno.EAFNOSUPPORT, "is no socket of TCP or Unix")
        if given.type != socket.SOCK_STREAM:
            raise OSError(errno.EPROTOTYPE, "is a socket of datagrams: ListenStream= makes streams")
        if not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(errno.EINVAL, _why_not_listening(given))
    finally:
        given.detach()  # the descriptor stays as it is


def _why_not_listening(given: socket.socket) -> str:
    try:
        given.getpeername()
    except OSError:
        return "does not listen: listen() was not called"
    return "is a connection: Accept=yes hands over connections, Accept=no the listening socket"

"""Reads the addresses that a server listens on: `tcp:`, `unix:`, `systemd:` or `fd:`.

`parse_listen` makes a value of such a text, or raises `ValueError` that says what it expected.
Nothing is opened here, and no name is resolved.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from trio_wsendpoint.addressing.peer import SocketAddress
from trio_wsendpoint.handshake.authority import parse_authority
from trio_wsendpoint.handshake.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FdAddress",
    "ListenAddress",
    "SystemdAddress",
    "TCPAddress",
    "UnixAddress",
    "parse_listen",
]

#: Bytes of a path that fit into the address of a Unix socket, with the NUL behind it.
MAX_PATH = 107
#: Characters of a socket's name in systemd (FileDescriptorName=).
_MAX_NAME = 255
_EXPECTED = (
    "expected 'tcp:HOST:PORT', 'unix:/PATH', 'unix:@NAME', 'systemd:', 'systemd:NAME' or 'fd:N'"
)
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_MAX_DIGITS = 9  # of a file descriptor's number: an int of C


@dataclass(frozen=True, slots=True)
class TCPAddress:
    """A TCP port of a host; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return (
            f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"
        )


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket at `path`; with `@` first, an abstract name of Linux.

    An abstract socket has no file and no mode: every local user can connect to it.
    """

    path: str

    @property
    def is_abstract(self) -> bool:
        """Whether this is a name without a file."""
        return self.path.startswith("@")

    @property
    def sockaddr(self) -> bytes:
        """The address as `socket.bind` takes it."""
        encoded = os.fsencode(self.path)
        return b"\0" + encoded[1:] if self.is_abstract else encoded

    def __str__(self) -> str:
        return str(SocketAddress(self.path, family="unix"))


@dataclass(frozen=True, slots=True)
class SystemdAddress:
    """The sockets that systemd hands over: those called `name`, or all if it is None."""

    name: str | None = None

    def __str__(self) -> str:
        return f"systemd:{self.name or ''}"


@dataclass(frozen=True, slots=True)
class FdAddress:
    """An open, listening socket, by the number of its file descriptor."""

    number: int

    def __str__(self) -> str:
        return f"fd:{self.number}"


ListenAddress: TypeAlias = TCPAddress | UnixAddress | SystemdAddress | FdAddress


def parse_listen(text: str) -> ListenAddress:
    """Return the address that `text` names.

    `str()` of an address is a text that names it.  Raises `ValueError` with what is wrong and
    what was expected, `TypeError` for anything but a string.

    >>> parse_listen("tcp:0.0.0.0:8443").port
    8443
    """
    if not isinstance(text, str):
        raise TypeError(f"a listening address is a string, not {quoted(repr(text))}")
    scheme, colon, rest = text.partition(":")
    parse = _PARSERS.get(scheme)
    if not colon or parse is None:
        raise ValueError(f"listening address {quoted(text)}: {_EXPECTED}")
    try:
        return parse(rest)
    except ValueError as error:
        raise ValueError(f"listening address {quoted(text)}: {error}") from None


def _tcp(rest: str) -> TCPAddress:
    if rest.startswith(":"):
        raise ValueError("it has no host: write '0.0.0.0' or '[::]' for every address")
    zone = ""
    if rest.startswith("[") and "%" in rest:
        # A link-local address needs the interface to listen on.
        before, _, behind = rest.partition("%")
        zone, _, port = behind.partition("]")
        if not _ZONE.fullmatch(zone):
            raise ValueError(f"{quoted(zone)} is not the name of an interface")
        rest = f"{before}]{port}"
    if rest.count(":") > 1 and not rest.startswith("["):
        raise ValueError("an IPv6 address stands in brackets, as in 'tcp:[::1]:8080'")
    host, port_number = parse_authority(rest)
    if port_number is None:
        raise ValueError("it has no port: write ':0' for any free one")
    return TCPAddress(f"{host}%{zone}" if zone else host, port_number)


def _unix(rest: str) -> UnixAddress:
    if rest in {"", "@"}:
        raise ValueError("it has no path")
    if "\0" in rest:
        raise ValueError("there is a NUL in it: write '@' first for an abstract name")
    address = UnixAddress(rest)
    size = len(address.sockaddr)
    room = MAX_PATH + 1 if address.is_abstract else MAX_PATH
    if size > room:
        raise ValueError(f"a path of {size} bytes: at most {room} fit into a Unix address")
    return address


def _systemd(rest: str) -> SystemdAddress:
    if not rest:
        return SystemdAddress()
    if not (rest.isascii() and rest.isprintable()) or ":" in rest or len(rest) > _MAX_NAME:
        raise ValueError(f"{quoted(rest)} is not the name of a socket in systemd")
    return SystemdAddress(rest)


def _fd(rest: str) -> FdAddress:
    if not (rest.isascii() and rest.isdigit()) or len(rest) > _MAX_DIGITS:
        raise ValueError("expected the number of a file descriptor, as in 'fd:3'")
    return FdAddress(int(rest))


_PARSERS: dict[str, Callable[[str], ListenAddress]] = {
    "tcp": _tcp,
    "unix": _unix,
    "systemd": _systemd,
    "fd": _fd,
}

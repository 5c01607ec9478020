"""Finds the sockets that systemd has handed over, by the variables of sd_listen_fds(3).

Pure functions of a mapping and a process id: no descriptor is touched.  The caller removes
`LISTEN_VARIABLES` from its environment afterwards, so that no child takes the sockets for its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trio_wsendpoint.addressing.listeners import FdAddress, ListenAddress, SystemdAddress
from trio_wsendpoint.handshake.quoting import quoted

__all__ = ["LISTEN_VARIABLES", "InheritedSocket", "claim_inherited", "parse_listen_fds"]

#: The variables that systemd sets for the sockets.
LISTEN_VARIABLES = ("LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES")

#: The number of the first socket (SD_LISTEN_FDS_START).
FIRST = 3
#: More than any unit has; a wrong variable must not make a million of them.
MAX_SOCKETS = 4096


@dataclass(frozen=True, slots=True)
class InheritedSocket:
    """A socket that was handed over: its number, and its name, None if it was given none."""

    number: int
    name: str | None = None


def parse_listen_fds(environ: Mapping[str, str], pid: int) -> tuple[InheritedSocket, ...]:
    """Return the sockets that `environ` has for the process `pid`, in order; at least one.

    Raises `ValueError` that names the variable if there are none: it is not set, meant for
    another process, or malformed.
    """
    meant = environ.get("LISTEN_PID")
    if meant is None:
        raise ValueError("systemd has handed over no socket: LISTEN_PID is not set")
    if not _is_number(meant):
        raise ValueError(f"LISTEN_PID is {quoted(meant)}, which is no process id")
    if int(meant) != pid:
        raise ValueError(f"LISTEN_PID is {meant}: the sockets are not for this process ({pid})")
    text = environ.get("LISTEN_FDS")
    if text is None:
        raise ValueError("systemd has handed over no socket: LISTEN_FDS is not set")
    if not _is_number(text) or not 1 <= int(text) <= MAX_SOCKETS:
        raise ValueError(f"LISTEN_FDS is {quoted(text)}: expected 1 to {MAX_SOCKETS}")
    count = int(text)
    listed = environ.get("LISTEN_FDNAMES", "")
    names: list[str | None] = [name or None for name in listed.split(":")] if listed else []
    if len(names) > count:
        raise ValueError(f"LISTEN_FDNAMES has {len(names)} names for {count} sockets")
    names += [None] * (count - len(names))
    return tuple(InheritedSocket(FIRST + at, name) for at, name in enumerate(names))


def claim_inherited(
    addresses: Iterable[ListenAddress], sockets: Sequence[InheritedSocket]
) -> dict[ListenAddress, tuple[int, ...]]:
    """Return the descriptors that each `systemd:` and `fd:` of `addresses` stands for.

    `systemd:` is all of `sockets`, `systemd:name` all of that name.  Raises `ValueError` for a
    name that none has, and for a socket that is claimed twice.
    """
    claims: dict[ListenAddress, tuple[int, ...]] = {}
    owners: dict[int, ListenAddress] = {}
    for address in addresses:
        if isinstance(address, SystemdAddress):
            numbers = _numbers_of(address, sockets)
        elif isinstance(address, FdAddress):
            numbers = (address.number,)
        else:
            continue
        for number in numbers:
            if number in owners:
                raise ValueError(f"{owners[number]} and {address} both claim descriptor {number}")
            owners[number] = address
        claims[address] = numbers
    return claims


def _numbers_of(address: SystemdAddress, sockets: Sequence[InheritedSocket]) -> tuple[int, ...]:
    found = [socket for socket in sockets if address.name in {None, socket.name}]
    if found:
        return tuple(socket.number for socket in found)
    names = ", ".join(sorted({quoted(socket.name) for socket in sockets if socket.name}))
    known = f"the names are {names}" if names else "the sockets have no names"
    raise ValueError(f"{address}: no socket is called that: {known} (LISTEN_FDNAMES)")


def _is_number(text: str) -> bool:
    # `int` alone would take "+3", " 3" and digits of every script; 9 digits are any pid or count.
    return text.isascii() and text.isdigit() and len(text) <= 9

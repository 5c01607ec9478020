"""What a server is told to listen on: an address, and what goes with it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from trio_wsendpoint.addressing import ListenAddress, UnixAddress, parse_listen
from trio_wsendpoint.entries.arguments import check_ssl_context

__all__ = ["Listen", "as_listens"]

_FILE_ONLY = "mode, owner and group are those of a Unix socket's file"


@dataclass(frozen=True, slots=True)
class Listen:
    """One address to listen on, with what it needs in addition.

    `address`: `"tcp:HOST:PORT"`, `"unix:/PATH"`, `"unix:@NAME"` (an abstract name of Linux, which
    every local user can connect to), `"systemd:"`, `"systemd:NAME"`, or `"fd:N"`, an inherited
    socket by its number.
    `mode`: the permissions of a Unix socket's file, as 0o660.  By default the umask decides.
    `owner`, `group`: whose the file is, by name or number.  By default the system decides.
    `ssl_context`: speak TLS with this one, None for no TLS.  By default it is the server's.

    Raises `ValueError` or `TypeError` for what could never be listened on.
    """

    address: str
    _: KW_ONLY
    mode: int | None = None
    owner: str | int | None = None
    group: str | int | None = None
    ssl_context: ssl.SSLContext | Literal["server's"] | None = "server's"
    #: `address`, as it was understood.
    parsed: ListenAddress = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parsed", parse_listen(self.address))
        self._check_file()
        # A string would be a mistake for the path of a certificate, except this one.
        if self.ssl_context is not None and self.ssl_context != "server's":
            check_ssl_context(self.ssl_context, server_side=True)

    def _check_file(self) -> None:
        for name, kinds, expected in (
            ("mode", int, "an int, as 0o660"),
            ("owner", (str, int), "a name or a number"),
            ("group", (str, int), "a name or a number"),
        ):
            value: object = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise TypeError(f"{name} of {self.parsed} must be {expected}, not {value!r}")
            if not isinstance(self.parsed, UnixAddress) or self.parsed.is_abstract:
                raise ValueError(f"{self.parsed} has no {name}: {_FILE_ONLY}")
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} of {self.parsed} must be 0 or more, not {value}")
        if self.mode is not None and self.mode > 0o777:
            raise ValueError(f"mode of {self.parsed} must be 0 to 0o777, not {self.mode:#o}")


def as_listens(listen: Iterable[str | Listen]) -> tuple[Listen, ...]:
    """Return a `Listen` for each entry; raises `TypeError` or `ValueError` for a wrong one."""
    if isinstance(listen, (str, Listen)):
        raise TypeError(f"listen must be a list of addresses: write listen=[{listen!r}]")
    if not isinstance(listen, Iterable):
        raise TypeError(f"listen must be a list of addresses, not {listen!r}")
    entries = tuple(one if isinstance(one, Listen) else Listen(one) for one in listen)
    if not entries:
        raise ValueError("listen is empty: name at least one address to listen on")
    return entries

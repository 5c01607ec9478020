"""Opens TCP streams over one family of addresses, for `-4` and `-6`."""

from __future__ import annotations

import socket

import trio

from trio_wsendpoint.client.settings import OpenStream

__all__ = ["over_family"]


def over_family(family: socket.AddressFamily) -> OpenStream:
    """Return what opens a stream to a host over `family` alone, its addresses one after another.

    It raises `socket.gaierror` if the host has no such address, else the `OSError` of the last
    address.
    """

    async def open_stream(host: str, port: int) -> trio.abc.Stream:
        found = await trio.socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        failure: OSError | None = None
        for _family, kind, protocol, _name, at in found:
            made = trio.socket.socket(family, kind, protocol)
            try:
                await made.connect(at)
            except OSError as error:
                made.close()
                failure = error
            except BaseException:
                made.close()
                raise
            else:
                return trio.SocketStream(made)
        raise failure or OSError(f"no address of {host!a} was found")

    return open_stream

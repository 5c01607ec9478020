"""How long each step of a client's opening has taken."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Timings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long the steps of a client's opening took, in seconds by Trio's clock.

    `dns`: to look up the name of the host, or of the proxy; an address takes next to nothing.
    `tcp`: to connect to that, by TCP or by a Unix socket, or the time that `open_stream` took.
    `proxy`: from there until the proxy's tunnel was open, TLS to an `https://` proxy included.
    `tls`: the TLS handshake with the server.  `answer`: from our request to the end of the 101.
    A step that was not taken is None: all but the last two for a `stream` of the caller's.

    `total`: all of it.  After redirects the steps are those of the last connection, and the time
    that the ones before took is in `total` alone.
    """

    total: float
    answer: float
    dns: float | None = None
    tcp: float | None = None
    proxy: float | None = None
    tls: float | None = None

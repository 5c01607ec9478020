"""The options of a client, completed and checked.

`ConnectOptions` is the keyword arguments as a caller writes them; `ConnectSettings`, of the same
fields, is what they become: frozen, with defaults, and checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from trio_wsendpoint._version import __version__
from trio_wsendpoint.connection.settings import ConnectionOptions, ConnectionSettings
from trio_wsendpoint.handshake import Headers
from trio_wsendpoint.protocol.endpoint import ClientEndpoint

__all__ = ["ConnectOptions", "ConnectSettings"]


class ConnectOptions(ConnectionOptions, total=False):
    """What a client may be told in addition to `ConnectionOptions`.

    `origin`: the Origin header to send, for a client that acts for a web page.
    `host_header`: the Host header to send instead of the URL's, as `name` or `name:port`; where
    to connect, and which certificate to expect, the URL says all the same.
    `user_agent`: the User-Agent header to send, unless `headers` has one; None for none.
    """

    origin: str | None
    host_header: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSettings(ConnectionSettings):
    """`ConnectOptions`, complete."""

    origin: str | None = None
    host_header: str | None = None
    user_agent: str | None = f"trio_wsendpoint/{__version__}"

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self.check_endpoint_class(ClientEndpoint)
        if self.user_agent is not None and not isinstance(self.user_agent, str):
            raise TypeError(f"user_agent must be a str, or None for none, not {self.user_agent!r}")
        headers = Headers(self.headers)
        if self.user_agent is not None and "User-Agent" not in headers:
            named = Headers([*headers.items(), ("User-Agent", self.user_agent)])
            object.__setattr__(self, "headers", named)

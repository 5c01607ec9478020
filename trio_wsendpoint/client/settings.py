"""The options of a client, completed and checked.

`ConnectOptions` is the keyword arguments as a caller writes them; `ConnectSettings`, of the same
fields, is what they become: frozen, with defaults, and checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from trio_wsendpoint.connection.settings import ConnectionOptions, ConnectionSettings
from trio_wsendpoint.protocol.endpoint import ClientEndpoint

__all__ = ["ConnectOptions", "ConnectSettings"]


class ConnectOptions(ConnectionOptions, total=False):
    """What a client may be told in addition.

    `origin`: the Origin header to send.
    `host_header`: the Host header to send instead of the URL's, as `name` or `name:port`; where
    to connect, and which certificate to expect, the URL says all the same.
    """

    origin: str | None
    host_header: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSettings(ConnectionSettings):
    """`ConnectOptions`, complete."""

    origin: str | None = None
    host_header: str | None = None

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self.check_endpoint_class(ClientEndpoint)

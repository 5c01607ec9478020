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
    """What a client may be told beside: `origin`, the Origin header to send."""

    origin: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSettings(ConnectionSettings):
    """`ConnectOptions`, complete."""

    origin: str | None = None

    def __post_init__(self) -> None:
        ConnectionSettings.__post_init__(self)
        self.check_endpoint_class(ClientEndpoint)

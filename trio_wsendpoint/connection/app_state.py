"""What an app keeps with a connection, if it has put nothing of its own there."""

from __future__ import annotations

from types import SimpleNamespace

from trio_wsendpoint.protocol.endpoint import Endpoint

__all__ = ["AppState"]


class AppState(SimpleNamespace):
    """A namespace for the app: `connection.state.user = user`.

    `value` is no attribute of the app's: it says how far the endpoint is, as
    `connection.endpoint.state.value` does (`open`, `closing`, ...), because `connection.state` was
    that state in 0.1.  Before the 101 it is `opening`.
    """

    __slots__ = ("_endpoint",)

    def __init__(self) -> None:
        super().__init__()
        self._endpoint: Endpoint | None = None  # that of the connection, once there is one

    def follow(self, endpoint: Endpoint) -> None:
        """Let `value` tell of `endpoint` from now on."""
        self._endpoint = endpoint

    @property
    def value(self) -> str:
        """How far the endpoint is."""
        return "opening" if self._endpoint is None else self._endpoint.state.value

"""A client's way in."""

from trio_wsendpoint.client.connecting import connect_endpoint
from trio_wsendpoint.client.opening import HandshakeTimeout
from trio_wsendpoint.client.reconnecting import reconnecting_endpoint

__all__ = ["HandshakeTimeout", "connect_endpoint", "reconnecting_endpoint"]

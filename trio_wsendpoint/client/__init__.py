"""A client's way in."""

from trio_wsendpoint.client.connecting import connect_endpoint
from trio_wsendpoint.client.opening import HandshakeTimeout

__all__ = ["HandshakeTimeout", "connect_endpoint"]

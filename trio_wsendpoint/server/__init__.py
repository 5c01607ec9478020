"""The ways in for servers, and what a server is made of."""

from trio_wsendpoint.server.server import EndpointServer, Handler
from trio_wsendpoint.server.serving import accept_endpoint, run_endpoint, serve_endpoint

__all__ = ["EndpointServer", "Handler", "accept_endpoint", "run_endpoint", "serve_endpoint"]

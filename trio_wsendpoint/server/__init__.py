"""The ways in for servers, and what a server is made of."""

from trio_wsendpoint.server.listen import Listen
from trio_wsendpoint.server.listeners import open_listeners
from trio_wsendpoint.server.server import EndpointServer, Handler
from trio_wsendpoint.server.serving import accept_endpoint, run_endpoint, serve_endpoint

__all__ = [
    "EndpointServer",
    "Handler",
    "Listen",
    "accept_endpoint",
    "open_listeners",
    "run_endpoint",
    "serve_endpoint",
]

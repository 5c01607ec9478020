"""ASGI applications on the port of a server.

`serve_asgi(app, 8000)` serves one for the length of an `async with` block; `AsgiApp` gives the
handlers of one to a server that has handlers of its own in addition.
"""

from trio_wsendpoint._public import publish
from trio_wsendpoint.asgi.application import AsgiApp
from trio_wsendpoint.asgi.errors import ClientDisconnected, LifespanError
from trio_wsendpoint.asgi.lifespan import Application, LifespanMode
from trio_wsendpoint.asgi.serving import AsgiServeOptions, run_asgi, serve_asgi
from trio_wsendpoint.asgi.settings import AsgiOptions

__all__ = [
    "Application",
    "AsgiApp",
    "AsgiOptions",
    "AsgiServeOptions",
    "ClientDisconnected",
    "LifespanError",
    "LifespanMode",
    "run_asgi",
    "serve_asgi",
]

publish(globals(), __all__)

"""What goes wrong between a server and an ASGI application."""

from __future__ import annotations

__all__ = ["ClientDisconnected", "LifespanError"]


class ClientDisconnected(OSError):
    """An application sent to a WebSocket whose client has gone (www.rst 2.4).

    It says nothing of the application: when it leaves the application, the server logs nothing.
    """


class LifespanError(Exception):
    """The startup or the shutdown of an application failed; the text is the application's."""

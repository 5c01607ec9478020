"""ASGI applications on the port of a server."""

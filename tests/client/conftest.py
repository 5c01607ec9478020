"""Fixtures for clients: the same certificates as the servers have."""

from __future__ import annotations

from tests.server.conftest import ca, client_context, server_context

__all__ = ["ca", "client_context", "server_context"]

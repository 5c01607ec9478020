"""Fixtures of the hostile rows: certificates."""

from __future__ import annotations

import ssl

import pytest
import trustme


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


@pytest.fixture(scope="session")
def server_context(ca):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost", "127.0.0.1", "example.test").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_context(ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context

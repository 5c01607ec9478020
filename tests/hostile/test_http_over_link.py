"""Sections F and G again, over the server's link and both forms of streams.

Each test of these sections that says what a client sends, and what it gets, is run here with a
link in place of the bare `HttpConnection`.
"""

from __future__ import annotations

import ast
import inspect

import pytest

from . import test_http_f_framing as framing
from . import test_http_g_exchange as exchange
from .http_over_link import ServedOverLink


def rows_that_are_served(module):
    """The tests that look at nothing but the outcome of `served`."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or inspect.signature(test).parameters:
            continue
        source = inspect.getsource(test)
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        if used & {"served", "check", "check_served"} and ".http" not in source:
            yield pytest.param(module, test, id=name)


TESTS = [*rows_that_are_served(framing), *rows_that_are_served(exchange)]


def test_most_rows_are_here():
    assert len(TESTS) >= 28


@pytest.mark.parametrize("nonblocking", [True, False], ids=["nonblocking", "plain"])
@pytest.mark.parametrize(("module", "test"), TESTS)
def test_a_row_over_a_link(module, test, nonblocking, monkeypatch):
    monkeypatch.setattr(module, "served", ServedOverLink)
    monkeypatch.setattr(ServedOverLink, "nonblocking", nonblocking)
    test()


@pytest.mark.parametrize("nonblocking", [True, False], ids=["nonblocking", "plain"])
@pytest.mark.parametrize("data", framing.test_f133_a_body_that_is_cut_short.pytestmark[0].args[1])
def test_f133_over_a_link(data, nonblocking, monkeypatch):
    monkeypatch.setattr(framing, "served", ServedOverLink)
    monkeypatch.setattr(ServedOverLink, "nonblocking", nonblocking)
    framing.test_f133_a_body_that_is_cut_short(data)

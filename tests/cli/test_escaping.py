"""A peer's text cannot steer a terminal, and stays readable."""

from __future__ import annotations

import pytest

from trio_wsendpoint.cli.escaping import escaped, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hello, world", "hello, world"),
        ("naïve 日本 🙂", "naïve 日本 🙂"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J", "\\x9b2J"),  # the one-byte form of ESC [
        ("\x7f\0", "\\x7f\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # turns the direction of writing
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_is_shown(text, shown):
    assert escaped(text) == shown


def test_every_character_comes_out_printable():
    assert all(escaped(chr(number)).isprintable() for number in range(0x3000))


def test_a_long_text_is_cut():
    assert shortened("x" * 10, 4) == "xxxx... (6 more)"
    assert shortened("\x1b" * 4, 4) == "\\x1b" * 4

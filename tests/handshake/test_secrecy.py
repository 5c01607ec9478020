from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.secrecy import (
    hide_in_line,
    hide_in_url,
    hide_in_value,
    hide_secrets,
    name_character,
    secrets_of,
)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a?", "/a?"),
        ("/a?b", "/a?..."),
        ("/a?b=c", "/a?b=..."),
        ("/a?b=c=d&e=&f&&g=h?i", "/a?b=...&e=...&...&&g=..."),
        ("/a?to=http://u:p@h/", "/a?to=..."),
        ("/a#b", "/a#..."),
        ("/a?b=c#d?e", "/a?b=...#..."),
        ("https://h:1/a@b", "https://h:1/a@b"),
        ("https://u:p@h:1/a", "https://...@h:1/a"),
        ("https://u@v@h", "https://...@h"),
        ("u:p@h", "...@h"),
        ("u:p@h/a", "...@h/a"),
        ("https://h?u:p@x", "https://h?..."),
    ],
)
def test_urls(url, shown):
    assert hide_in_url(url) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("authorization", "..."),
        ("Set-Cookie", "..."),
        ("Location", "/?x=..."),
        ("X-Y", "/?x=y"),
    ],
)
def test_values(name, shown):
    assert hide_in_value(name, "/?x=y") == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", "''"),
        (b"220 mail ready? yes\r\nmore", "'220 mail ready? yes'"),
        (b"\r\nGET /x?a=b HTTP/1.1\nHost: y", "'GET /x?a=... HTTP/1.1'"),
        (b"GET ws://u:p@h/ HTTP/1.1", "'GET ws://...@h/ HTTP/1.1'"),
        (b"cookie: a=b", "'cookie: ...'"),
        (b"\xff\x00", r"'\xff\x00'"),
    ],
)
def test_lines(data, shown):
    assert hide_in_line(data) == shown


@pytest.mark.parametrize(
    ("character", "named"),
    [("\n", r"'\n'"), (" ", "' '"), (":", "':'"), ("\x7f", r"'\x7f'"), ("\xe9", "a character")],
)
def test_characters(character, named):
    assert name_character(character).startswith(named)


def test_the_secrets_of_a_request():
    basic = b64encode(b"user:password").decode()
    headers = Headers(
        [
            ("Host", "example.com"),
            ("Authorization", f"Basic {basic}"),
            ("Proxy-Authorization", "Bearer abcdef"),
            ("Cookie", "session=12345; x=1"),
        ]
    )
    secrets = secrets_of("/chat?token=a%20secret&page=2&lonely", headers.items())
    assert secrets == {
        *("a%20secret", "a secret", "lonely"),
        *(f"Basic {basic}", basic, "user:password", "password"),
        *("Bearer abcdef", "abcdef"),
        *("session=12345; x=1", "12345"),
    }
    text = f"Cannot GET /chat?token=a%20secret&page=2 for {basic} (password, abcdef)"
    assert hide_secrets(text, secrets) == "Cannot GET /chat?token=...&page=2 for ... (..., ...)"


def test_credentials_that_are_no_base64():
    assert secrets_of("/", Headers({"Authorization": "Basic \xe9\xe9\xe9\xe9"}).items()) == {
        "Basic \xe9\xe9\xe9\xe9",
        "\xe9\xe9\xe9\xe9",
    }


@given(st.text(), st.binary())
def test_nothing_raises(text, data):
    hide_in_url(text)
    assert hide_in_line(data).isascii()
    secrets = secrets_of(text, Headers({"Authorization": data.hex()}).items())
    assert all(secret not in hide_secrets(text, secrets) for secret in secrets if "." not in secret)

"""Which proxy the environment names for a server, and for which servers it names none."""

from __future__ import annotations

import pytest

from trio_wsendpoint import connect_endpoint
from trio_wsendpoint.client.environment import is_exempt, proxy_from_environment
from trio_wsendpoint.handshake import WebSocketURL


def chosen(url, **environ):
    proxy = proxy_from_environment(WebSocketURL.parse(url), environ)
    return None if proxy is None else proxy.host


WS, WSS = "ws://example.test/", "wss://example.test/"


@pytest.mark.parametrize(
    ("url", "environ", "host"),
    [
        (WSS, {}, None),
        (WSS, {"HTTPS_PROXY": "http://a"}, "a"),
        (WSS, {"HTTPS_PROXY": "http://a", "https_proxy": "http://b"}, "b"),
        (WSS, {"HTTPS_PROXY": "http://a", "wss_proxy": "http://b"}, "b"),
        (WSS, {"HTTPS_PROXY": "http://a", "ALL_PROXY": "http://b"}, "a"),
        (WSS, {"ALL_PROXY": "socks5h://b"}, "b"),
        (WSS, {"https_proxy": "  ", "all_proxy": "http://b"}, "b"),
        (WSS, {"http_proxy": "http://a"}, None),
        (WSS, {"HTTPS_PROXY": "a:3128"}, "a"),
        (WS, {"http_proxy": "http://a"}, "a"),
        (WS, {"HTTP_PROXY": "http://a"}, None),  # a client of a CGI program may have set it
        (WS, {"HTTP_PROXY": "http://a", "ALL_PROXY": "http://b"}, "b"),
        (WS, {"HTTPS_PROXY": "http://a"}, None),
        (WS, {"WS_PROXY": "http://a", "http_proxy": "http://b"}, "a"),
        (WS, {"http_proxy": "http://a", "NO_PROXY": "example.test"}, None),
        (WS, {"http_proxy": "http://a", "NO_PROXY": "*", "no_proxy": "other.test"}, "a"),
        (WSS, {"ALL_PROXY": "http://a", "no_proxy": "x, example.test:443"}, None),
        (WSS, {"ALL_PROXY": "http://a", "no_proxy": "example.test:80"}, "a"),
    ],
)
def test_a_choice(url, environ, host):
    assert chosen(url, **environ) == host


@pytest.mark.parametrize(
    ("host", "entry", "expected"),
    [
        ("example.test", "example.test", True),
        ("example.test", "EXAMPLE.test.", True),
        ("example.test.", "example.test", True),
        ("www.example.test", "example.test", True),
        ("www.example.test", ".example.test", True),
        ("example.test", ".example.test", True),
        ("badexample.test", "example.test", False),
        ("example.test", "www.example.test", False),
        ("example.test", "example.test:8080", True),
        ("example.test", "example.test:8081", False),
        ("example.test", "*", True),
        ("example.test", "*.test", False),  # as in curl: only the star alone
        ("example.test", "", False),
        ("example.test", ".", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:8080", True),
        ("10.1.2.3", "10.1.2.3:80", False),
        ("10.1.2.3", "10.0.0.0/8:80", False),
        ("10.1.2.3", "10.0.0.0/8:8080", True),
        ("10.1.2.3", "10.0.0.0/99", False),
        ("10.1.2.3", "2.3", False),
        ("fd00::5", "fd00::/8", True),
        ("fd00::5", "[fd00::]/8", True),
        ("fd00::5", "fd00::5", True),
        ("fd00::5", "[fd00::5]:8080", True),
        ("fd00::5", "[fd00::5]:80", False),
        ("fe80::1%eth0", "fe80::/10", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("example.test", "10.0.0.0/8", False),
        ("example.test", "nonsense/\x00,example.test", True),
        ("example.test", "a.test example.test\tb.test", True),
    ],
)
def test_an_exemption(host, entry, expected):
    assert is_exempt(host, 8080, entry) is expected


def test_a_value_that_is_no_url(monkeypatch):
    monkeypatch.setenv("https_proxy", "ftp://me:SECRET@proxy.test")
    with pytest.raises(ValueError, match="the environment's https_proxy: the URL of a pr") as got:
        connect_endpoint(WSS, proxy=True)
    assert "SECRET" not in str(got.value)
    connect_endpoint(WSS)  # which does not look at the environment
    connect_endpoint(WSS, proxy=False)

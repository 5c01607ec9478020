"""`Proxy.parse`: what URLs of proxies stand for, and what is refused without showing a password."""

from __future__ import annotations

import pytest

from trio_wsendpoint import connect_endpoint
from trio_wsendpoint.client.proxy_url import Proxy


@pytest.mark.parametrize(
    ("url", "shown", "user", "password"),
    [
        ("http://proxy.test", "http://proxy.test:80", None, None),
        ("http://proxy.test:3128/", "http://proxy.test:3128", None, None),
        ("https://proxy.test", "https://proxy.test:443", None, None),
        ("socks4://proxy.test", "socks4://proxy.test:1080", None, None),
        ("socks4a://me@proxy.test", "socks4a://proxy.test:1080", b"me", None),
        ("socks5://a:b@[::1]:9050", "socks5://[::1]:9050", b"a", b"b"),
        ("SOCKS5H://proxy.test:1", "socks5h://proxy.test:1", None, None),
        ("http://a:b%3A%40%2f@proxy.test:1", "http://proxy.test:1", b"a", b"b:@/"),
        ("http://a@proxy.test:1", "http://proxy.test:1", b"a", None),
        ("http://a:@proxy.test:1", "http://proxy.test:1", b"a", b""),
        ("http://%C3%BC:x@stra\xdfe.test:1", "http://xn--strae-oqa.test:1", b"\xc3\xbc", b"x"),
        ("http://a:b@c@proxy.test:1", "http://proxy.test:1", b"a", b"b@c"),
    ],
)
def test_a_url(url, shown, user, password):
    proxy = Proxy.parse(url)
    assert (str(proxy), proxy.user, proxy.password) == (shown, user, password)
    assert "user" not in repr(proxy)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("proxy.test:3128", "it has no scheme: expected http://"),
        ("ftp://proxy.test", "'ftp' is not what a proxy speaks: expected http://"),
        ("http://", "there is no host"),
        ("http://:3128", "there is no host"),
        ("http://proxy.test:0", "the port must be 1 to 65535, not 0"),
        ("http://proxy.test:99999", "'99999' is not a port"),
        ("http://proxy.test:1/path", "ends with its port: percent-encode"),
        ("http://u:SECRET/SECRET@proxy.test", "ends with its port: percent-encode"),
        ("http://u:SECRET#SECRET@proxy.test", "ends with its port: percent-encode"),
        ("http://::1:3128", "an IPv6 address stands in brackets"),
        ("http://u:SECRET%0a@proxy.test", "a colon, or user or password a control character"),
        ("http://u%3Ax:SECRET@proxy.test", "the user has a colon"),
        ("socks5://u:SECRET%C3@proxy.test", "user and password of SOCKS are ASCII"),
        ("socks5://u:@proxy.test", "a user and a password of 1 to 255 bytes"),
        ("socks5://u@proxy.test", "a user and a password of 1 to 255 bytes"),
        (f"socks5h://u:{'x' * 256}@proxy.test", "a user and a password of 1 to 255 bytes"),
        ("socks4://u:SECRET@proxy.test", "SOCKS4 has a user and no password"),
    ],
)
def test_a_url_that_is_none(url, says):
    with pytest.raises(ValueError, match="the URL of a proxy") as caught:
        connect_endpoint("ws://example.test/", proxy=url)
    assert says in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("proxy", [5, b"http://u:SECRET@p", ["http://u:SECRET@p"]])
def test_what_is_no_url(proxy):
    with pytest.raises(TypeError, match="proxy must be a URL, or True") as caught:
        connect_endpoint("ws://example.test/", proxy=proxy)
    assert "SECRET" not in str(caught.value)

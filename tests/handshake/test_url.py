import dataclasses
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import InvalidURL
from trio_wsendpoint.handshake.url import WebSocketURL

from .fakes import check_message

parse = WebSocketURL.parse


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "target", "host_header"),
    [
        ("ws://example.com", False, "example.com", 80, "/", "example.com"),
        ("wss://example.com/", True, "example.com", 443, "/", "example.com"),
        ("WSS://EXAMPLE.com:443/A?b", True, "example.com", 443, "/A?b", "example.com"),
        ("ws://example.com:443", False, "example.com", 443, "/", "example.com:443"),
        ("ws://example.com:", False, "example.com", 80, "/", "example.com"),
        ("ws://localhost:8765/a/b?c=d&e", False, "localhost", 8765, "/a/b?c=d&e", "localhost:8765"),
        ("ws://h?a=b", False, "h", 80, "/?a=b", "h"),
        ("ws://h?u=x://y/z@w", False, "h", 80, "/?u=x://y/z@w", "h"),
        ("ws://[::1]:8080/x", False, "::1", 8080, "/x", "[::1]:8080"),
        ("wss://[0:0::1]", True, "::1", 443, "/", "[::1]"),
        ("ws://127.0.0.1", False, "127.0.0.1", 80, "/", "127.0.0.1"),
        (
            "ws://b\xfccher.example",
            False,
            "xn--bcher-kva.example",
            80,
            "/",
            "xn--bcher-kva.example",
        ),
        ("ws://a_b.example.", False, "a_b.example.", 80, "/", "a_b.example."),
        # As browsers and Trio have it: the new IDNA, with the mapping of UTS 46.
        ("ws://stra\xdfe.de", False, "xn--strae-oqa.de", 80, "/", "xn--strae-oqa.de"),
        ("ws://B\xdcCHER.example\u3002", False, "xn--bcher-kva.example.", 80, "/", None),
        ("ws://\uff41.example:81", False, "a.example", 81, "/", "a.example:81"),
        ("ws://[fe80::1%25eth0]:81/x", False, "fe80::1%eth0", 81, "/x", "[fe80::1]:81"),
        ("wss://[FE80:0::1%25en%2D0]", True, "fe80::1%en-0", 443, "/", "[fe80::1]"),
        (f"ws://{'a' * 63}:65535", False, "a" * 63, 65535, "/", f"{'a' * 63}:65535"),
    ],
)
def test_good(url, secure, host, port, target, host_header):
    parsed = parse(url)
    assert parsed == WebSocketURL(secure, host, port, target)
    assert parsed.host_header == (host_header or host)
    assert parsed.authorization is None


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("", "starts with ws://"),
        ("example.com", "starts with ws://"),
        ("ws:/example.com", "starts with ws://"),
        ("http://example.com", "use ws://"),
        ("HTTPS://example.com", "use wss://"),
        ("ftp://example.com", "use ws:// or wss://"),
        (" ws://example.com", "scheme"),
        ("ws://", "no host"),
        ("ws:///path", "no host"),
        ("ws://:80", "no host"),
        ("ws://u@:80", "no host"),
        ("ws://::1/", "in brackets"),
        ("ws://[::1/", "in brackets"),
        ("ws://[::1]x/", "bracket"),
        ("ws://[fe80::1%eth0]/", r"written \[fe80::1%25eth0\]"),
        ("ws://[fe80::1%25]/", r"written \[fe80::1%25eth0\]"),
        ("ws://[fe80::1%25%20]/", r"written \[fe80::1%25eth0\]"),
        ("ws://[fe80::1%25a%25b]/", r"written \[fe80::1%25eth0\]"),
        ("ws://[fe80::x%25eth0]/", "in brackets"),
        ("ws://fe80::1%25eth0/", "in brackets"),
        ("ws://h%25eth0/", "not a domain name"),
        ("ws://h:0", "1 to 65535"),
        ("ws://h:65536", "not a port"),
        ("ws://h:x", "not a port"),
        ("ws://h:-1", "not a port"),
        ("ws://a b/", "not a domain name"),
        ("ws://a%20b/", "not a domain name"),
        ("ws://a\\b/", "not a domain name"),
        ("ws://h\r\nX/", "not a domain name"),
        ("ws://a..b/", "empty or overlong"),
        ("ws://./", "empty or overlong"),
        (f"ws://{'a' * 64}/", "empty or overlong"),
        (f"ws://{'a.' * 127}b/", "empty or overlong"),
        ("ws://\xe9..b/", "not a domain name"),
        ("ws://" + "\xe9" * 64, "not a domain name"),
        ("ws://\uff0f/", "not a domain name"),
        ("ws://h/#top", "fragment"),
        ("ws://h#top", "fragment"),
        ("ws://h/a b", "' '.* percent-encode it"),
        ("ws://h/a\r\nb", "percent-encode it"),
        ("ws://h/\xe9", "not ASCII in it: percent-encode it"),
        ("ws://h/\x7f", "percent-encode it"),
        ("ws://h/a\t", "percent-encode it"),
        ("ws://u@v@h/", "percent-encoded"),
        ("ws://u v@h/", "percent-encoded"),
        ("ws://u\\@h/", "percent-encoded"),
        ("ws://u\xe9@h/", "percent-encoded"),
        ("ws://a%3Ab:c@h/", "colon"),
        ("ws://a%0D:c@h/", "control"),
        ("ws://a:c%7f@h/", "control"),
    ],
)
def test_bad(url, match):
    # B41.
    with pytest.raises(InvalidURL, match=match) as caught:
        parse(url)
    assert str(caught.value).isascii()
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("url", [b"ws://h", None, 5])
def test_not_text(url):
    with pytest.raises(TypeError, match="a URL must be a str"):
        parse(url)


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [
        ("user:pass", b"user:pass"),
        ("user", b"user:"),
        ("", b":"),
        ("u:p:q", b"u:p:q"),
        ("u%40x:%C3%A9%3A", b"u@x:\xc3\xa9:"),
    ],
)
def test_userinfo_is_basic_authorization(userinfo, credentials):
    url = parse(f"wss://{userinfo}@h:1/x")
    assert url.authorization is not None
    scheme, _, value = url.authorization.partition(" ")
    assert scheme == "Basic"
    assert b64decode(value) == credentials
    assert url.host_header == "h:1"


def test_credentials_are_not_shown():
    url = parse("ws://user:secret@h/")
    assert url.authorization is not None
    assert url.authorization not in repr(url)
    assert dataclasses.replace(url, port=81).authorization == url.authorization
    with pytest.raises(InvalidURL) as caught:
        parse("ws://user:sec ret@h/")
    assert "ret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("wss://example.com:8443/", "example.com"),
        ("wss://example.com./", "example.com"),
        ("wss://[fe80::1%25eth0]/", "fe80::1"),
        ("wss://127.0.0.1/", "127.0.0.1"),
        ("wss://stra\xdfe.de./", "xn--strae-oqa.de"),
    ],
)
def test_the_name_in_a_certificate(url, name):
    assert parse(url).server_name == name


def test_the_query_is_not_shown():
    url = parse("wss://h/chat?token=secret&room=secret&secret")
    assert repr(url) == (
        "WebSocketURL(secure=True, host='h', port=443, target='/chat?token=...&room=...&...')"
    )
    assert url.target == "/chat?token=secret&room=secret&secret"


@pytest.mark.parametrize(
    "url",
    [
        # Where the user information ends depends on what is forgotten.
        "ws://user:SECRET@h:x/",
        "ws://user:SECRET@h h/",
        "ws://user:SECRET@[::1/",
        "ws://user:SECRET/x@h/",
        "ws://user:SECRET?x@h/",
        "ws://user:SECRET#x@h/",
        "ws://:SECRET/x@h/",
        "ws://user:SECRET:x/y@h/",
        "ws://SECRET \xe9/:x@h/",
        "ws://user:SECRET%zz\n@h/",
        "ws://user:SECRET\\@h/",
        "ws://user:SECRET\xe9@h/",
        "http://user:SECRET@h/",
        "user:SECRET@h/",
        "user:SECRET@h/?to=ws://x",
        "SECRET@h/?to=ws://x",
        "ws:/user:SECRET@h/",
        "wss//user:SECRET@h/?x=http://h",
        "ws://h/?token=SECRET\n",
        "ws://h/?token=SECRET#",
        "ws://h/?token=SECRET x",
        "ws://h/?SECRET\xe9",
        "ws://h:x/?SECRET",
        "ws://h /?SECRET",
        "ws://h:0/?SECRET",
        "://h:0/?SECRET",
    ],
)
def test_a_secret_is_not_shown_whatever_is_wrong(url):
    with pytest.raises(InvalidURL) as caught:
        parse(url)
    error: BaseException | None = caught.value
    while error is not None:  # what is chained as well, shown or not
        assert "SECRET" not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


@given(st.text() | st.text("wsh:/@[]?#.%1 \xe9").map("ws://{}".format))
def test_nothing_but_invalid_url(text):
    try:
        url = parse(text)
    except InvalidURL as error:
        check_message(error, 400)
    else:
        assert url.target.isascii()
        assert url.target.startswith("/")
        assert url.host
        assert 1 <= url.port <= 65535

import socket

import pytest

from trio_wsendpoint.addressing import (
    FdAddress,
    SystemdAddress,
    TCPAddress,
    UnixAddress,
    parse_listen,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp:0.0.0.0:8443", TCPAddress("0.0.0.0", 8443)),
        ("tcp:[::]:80", TCPAddress("::", 80)),
        ("tcp:localhost:0", TCPAddress("localhost", 0)),
        ("tcp:[fe80::1%eth0]:80", TCPAddress("fe80::1%eth0", 80)),
        ("unix:/run/app.sock", UnixAddress("/run/app.sock")),
        ("unix:app.sock", UnixAddress("app.sock")),
        ("unix:@abstract", UnixAddress("@abstract")),
        ("systemd:", SystemdAddress()),
        ("systemd:web", SystemdAddress("web")),
        ("fd:3", FdAddress(3)),
        ("fd:0", FdAddress(0)),
        ("fd:999999999", FdAddress(999999999)),
    ],
)
def test_addresses(text, expected):
    assert parse_listen(text) == expected
    assert str(expected) == text
    assert len({expected, parse_listen(text)}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected 'tcp:HOST:PORT'"),
        ("8080", "expected 'tcp:HOST:PORT'"),
        ("http://a", "expected 'tcp:HOST:PORT'"),
        ("TCP:a:1", "expected 'tcp:HOST:PORT'"),
        ("tcp", "expected 'tcp:HOST:PORT'"),
        ("tcp:", "has no host"),
        ("tcp::80", "has no host: write '0.0.0.0'"),
        ("tcp:80", "has no port"),
        ("tcp:a:", "has no port"),
        ("tcp:a:x", "'x' is not a port"),
        ("tcp:a:65536", "is not a port"),
        ("tcp:::1:80", "has no host"),
        ("tcp:fe80::1:80", "stands in brackets"),
        ("tcp:[::1", "brackets"),
        ("tcp:[1.2.3.4]:80", "not an IPv6 address"),
        ("tcp:[::1%a b]:80", "'a b' is not the name of an interface"),
        ("tcp:[fe80::1%]:80", "not the name of an interface"),
        ("tcp:a b:80", "not the name of a host"),
        ("unix:", "has no path"),
        ("unix:@", "has no path"),
        ("unix:/a\0b", "NUL"),
        ("unix:" + "/" * 108, "108 bytes: at most 107 fit"),
        ("unix:" + "\xe9" * 54, "108 bytes: at most 107 fit"),
        ("unix:@" + "a" * 108, "109 bytes: at most 108 fit"),
        ("systemd:a:b", "not the name of a socket"),
        ("systemd:a\n", "not the name of a socket"),
        ("systemd:\xe9", "not the name of a socket"),
        ("systemd:" + "a" * 256, "not the name of a socket"),
        ("fd:", "number of a file descriptor"),
        ("fd:-1", "number of a file descriptor"),
        ("fd:\u0663", "number of a file descriptor"),
        ("fd:1234567890", "number of a file descriptor"),
    ],
)
def test_what_is_refused(text, expected):
    with pytest.raises(ValueError, match=expected) as caught:
        parse_listen(text)
    assert str(caught.value).startswith("listening address '")


def test_what_is_no_string():
    with pytest.raises(TypeError, match="is a string, not '8080'"):
        parse_listen(8080)  # type: ignore[arg-type]


def test_the_address_for_bind(tmp_path):
    path = str(tmp_path / "a")
    assert UnixAddress(path).sockaddr == path.encode()
    longest = parse_listen("unix:@" + "a" * 107)
    assert isinstance(longest, UnixAddress)
    assert longest.is_abstract
    assert longest.sockaddr == b"\0" + b"a" * 107
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(longest.sockaddr)
        assert listener.getsockname() == longest.sockaddr

from ipaddress import IPv4Address, IPv6Address

import pytest

from trio_wsendpoint.addressing.ip import normal_host, parse_ip, unmapped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:DB8::1", IPv6Address("2001:db8::1")),
        ("::ffff:10.0.0.1", IPv4Address("10.0.0.1")),
        ("::FFFF:a00:1", IPv4Address("10.0.0.1")),
        ("::1.2.3.4", IPv6Address("::102:304")),
    ],
)
def test_addresses(text, expected):
    assert parse_ip(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "01.2.3.4",
        "0x7f.0.0.1",
        "1.2.3.4 ",
        "fe80::1%eth0",
        "::1%a b",
        "[::1]",
        "1",
        "\u0661.2.3.4",
        ":" * 46,
        "::" + "0" * 60,
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="is not an IP address"):
        parse_ip(text)


def test_unmapped():
    assert unmapped(IPv6Address("::ffff:1.2.3.4")) == IPv4Address("1.2.3.4")
    assert unmapped(IPv6Address("::1")) == IPv6Address("::1")
    assert unmapped(IPv4Address("1.2.3.4")) == IPv4Address("1.2.3.4")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("::ffff:192.0.2.1%eth0", "::ffff:192.0.2.1%eth0"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("localhost", "localhost"),
        ("", ""),
    ],
)
def test_the_host_of_a_socket(host, expected):
    assert normal_host(host) == expected

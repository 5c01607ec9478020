from ipaddress import ip_address

import pytest

from trio_wsendpoint.addressing.nodes import (
    Node,
    parse_forwarded_node,
    parse_node,
    parse_proxy_port,
)

IPV4, IPV6 = ip_address("1.2.3.4"), ip_address("2001:db8::1")

BOTH = [
    ("1.2.3.4", Node(IPV4)),
    ("1.2.3.4:5678", Node(IPV4, 5678)),
    ("[2001:db8::1]", Node(IPV6)),
    ("[2001:db8::1]:80", Node(IPV6, 80)),
    ("[::ffff:1.2.3.4]", Node(IPV4)),
    ("unknown", Node(None)),
    ("Unknown:80", Node(None, 80)),
    ("_hidden", Node(None)),
    ("_a.b-c_D9", Node(None)),
    ("1.2.3.4:_port", Node(IPV4)),
]
NEITHER = [
    "",
    "_",
    "_a b",
    "1.2.3",
    "01.2.3.4",
    "0x7f.1",
    "1.2.3.4:",
    "1.2.3.4:0",
    "1.2.3.4:65536",
    "1.2.3.4:+80",
    "1.2.3.4:080000",
    "[1.2.3.4]",
    "[::1",
    "[::1]80",
    "[::1]:",
    "[fe80::1%eth0]",
    "fe80::1%eth0",
    "::1%a b",
    "a.example",
    "caf\xe9",
    "1.2.3.4 5.6.7.8",
]


@pytest.mark.parametrize(("text", "node"), [*BOTH, ("2001:db8::1", Node(IPV6)), ("-", Node(None))])
def test_elements_of_x_forwarded_for(text, node):
    assert parse_node(text) == node


@pytest.mark.parametrize(("text", "node"), BOTH)
def test_the_for_of_forwarded(text, node):
    assert parse_forwarded_node(text) == node


@pytest.mark.parametrize("text", NEITHER)
def test_what_neither_takes(text):
    for parse in (parse_node, parse_forwarded_node):
        with pytest.raises(ValueError, match="is not"):
            parse(text)


@pytest.mark.parametrize("text", ["2001:db8::1", "-", "::1"])
def test_what_only_x_forwarded_for_takes(text):
    with pytest.raises(ValueError, match="is not"):
        parse_forwarded_node(text)


def test_ports():
    assert [parse_proxy_port(text) for text in ("1", "080", "65535")] == [1, 80, 65535]
    for text in ("", "0", "65536", "+80", "8_0", " 80", "\u0663", "123456"):
        with pytest.raises(ValueError, match="is not a port"):
            parse_proxy_port(text)

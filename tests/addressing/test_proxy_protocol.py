import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.addressing import (
    BadProxyHeader,
    NoProxyHeader,
    Peer,
    PeerTLS,
    ProxyHeader,
    ProxyReader,
    SocketAddress,
)

from .wire import AUTHORITY, CERTIFICATE, CN, SIGNATURE, SSL, tlv, v2, with_sum

A, B = SocketAddress("192.0.2.1", 41652), SocketAddress("10.0.0.9", 9221)
IPV4 = bytes([192, 0, 2, 1, 10, 0, 0, 9]) + (41652).to_bytes(2, "big") + (9221).to_bytes(2, "big")
LINE = b"PROXY TCP4 192.0.2.1 10.0.0.9 41652 9221\r\n"


def read(data, *, size=None):
    """Return the header and what is behind it, for `data` in pieces of `size` bytes."""
    reader = ProxyReader()
    header = None
    for at in range(0, len(data), size or max(len(data), 1)):
        found = reader.receive_data(data[at : at + (size or len(data))])
        header = header or found
    assert reader.complete == (header is not None)
    return header, reader.trailing


def receive_bytewise(data, taken):
    """Give `data` to a reader in bytes, and note each in `taken` before."""
    reader = ProxyReader()
    for byte in data:
        taken.append(byte)
        assert reader.receive_data(bytes([byte])) is None


def refusal(data):
    """Return how `data` is refused, the same however it is cut, and after how many bytes."""
    reader = ProxyReader()
    with pytest.raises(BadProxyHeader) as whole:
        reader.receive_data(data)
    taken: list[int] = []
    with pytest.raises(BadProxyHeader) as cut:
        receive_bytewise(data, taken)
    assert (cut.type, str(cut.value)) == (whole.type, str(whole.value))
    return cut.type, str(cut.value), len(taken)


def both_ways(data):
    header = read(data)
    assert read(data, size=1) == header
    return header


# ---- version 1 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "source", "destination"),
    [
        (LINE, A, B),
        (
            b"PROXY TCP6 2001:db8::1 ::ffff:10.0.0.9 0 65535\r\n",
            SocketAddress("2001:db8::1", 0),
            SocketAddress("10.0.0.9", 65535),
        ),
        (b"PROXY UNKNOWN\r\n", None, None),
        (b"PROXY UNKNOWN x y  z\r\n", None, None),
        (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None, None),
    ],
)
def test_lines(line, source, destination):
    header, trailing = both_ways(line + b"\x16\x03")
    assert header == ProxyHeader(1, source=source, destination=destination)
    assert trailing == b"\x16\x03"


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 192.0.2.1 10.0.0.9 1 2\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 1 2\rX",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 10.0.0.9 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 056.1.1.1 10.0.0.9 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 0443 2\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 65536 2\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 123456 2\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 1\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 1 2 3\r\n",
        b"PROXY TCP4  192.0.2.1 10.0.0.9 1 2\r\n",
        b"PROXY  TCP4 192.0.2.1 10.0.0.9 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 1 2 \r\n",
        b"PROXY tcp4 192.0.2.1 10.0.0.9 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 10.0.0.9 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY UNKNOWN \x80\r\n",
        b"PROXY UNKNOWN\t\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    ],
)
def test_lines_that_are_refused(line):
    kind, message, count = refusal(line)
    assert kind is BadProxyHeader
    assert message.isascii()
    assert message.isprintable()
    assert count <= 107


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"GET / HTTP/1.1\r\n", 1),
        (b"\x16\x03\x01", 1),
        (b"proxy TCP4", 1),
        (b"PROXZ", 5),
        (b"PROXY\r\n", 6),
        (b"PROXYTCP4", 6),
        (b"\r\n\r\nGET", 5),
        (SIGNATURE[:-1] + b"X", 12),
    ],
)
def test_what_is_no_header_at_all(data, count):
    kind, message, at = refusal(data)
    assert (kind, at) == (NoProxyHeader, count)
    assert message.startswith("no PROXY header, but b")


# ---- version 2 -----------------------------------------------------------------------------------


def test_addresses():
    ipv6 = bytes(15) + b"\1" + bytes(10) + b"\xff\xff\x0a\0\0\x09" + b"\0\x50\0\x51"
    for data, source, destination in (
        (v2(IPV4), A, B),
        (v2(ipv6, family=0x21), SocketAddress("::1", 80), SocketAddress("10.0.0.9", 81)),
    ):
        header, trailing = both_ways(data + b"GET")
        assert header == ProxyHeader(2, source=source, destination=destination)
        assert trailing == b"GET"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/run/a.sock", "/run/a.sock"),
        (b"/a\0rest", "/a"),
        (b"\0name", "@name"),
        (b"\0name\0rest", "@name"),
        (b"", ""),
        (b"/\xff", "/\udcff"),
        (b"/" * 108, "/" * 108),
    ],
)
def test_unix_addresses(path, expected):
    header, _ = both_ways(v2(path.ljust(108, b"\0") + bytes(108), family=0x31))
    assert header.source == SocketAddress(expected, family="unix")
    assert header.destination == SocketAddress("", family="unix")


@pytest.mark.parametrize("block", [b"", bytes(25), IPV4, b"\x03\0\4\0\0\0\0", bytes(4080)])
def test_local_is_skipped_whole(block):
    for family in (0x00, 0x11, 0xFF):
        header, trailing = both_ways(v2(block, family=family, command=0x20) + b"X")
        assert (header, trailing) == (ProxyHeader(2, is_local=True), b"X")


def test_an_unknown_family_is_skipped_whole():
    for block in (b"", b"xyz"):
        assert both_ways(v2(block, family=0)) == (ProxyHeader(2), b"")


@pytest.mark.parametrize(
    ("data", "expected", "count"),
    [
        (v2(IPV4, command=0x31), "PROXY version 3", 13),
        (v2(IPV4, command=0x11), "PROXY version 1", 13),
        (v2(IPV4, command=0x22), "command 2", 13),
        (v2(IPV4, command=0x2F), "command 15", 13),
        (v2(IPV4, family=0x12), r"for datagrams \(0x12\)", 14),
        (v2(IPV4, family=0x32), "for datagrams", 14),
        *((v2(IPV4, family=family), "unknown family or protocol", 14)
          for family in (0x01, 0x10, 0x13, 0x1F, 0x41, 0xF1)),
        (v2(bytes(4)), "4 bytes where the addresses have 12", 16),
        (v2(bytes(35), family=0x21), "35 bytes where the addresses have 36", 16),
        (v2(bytes(215), family=0x31), "where the addresses have 216", 16),
        (v2(bytes(4081)), "of 4097 bytes: at most 4096", 16),
        (v2(bytes(4081), command=0x20), "of 4097 bytes", 16),
        (SIGNATURE + b"\x21\x11\xff\xff", "of 65551 bytes", 16),
    ],
)  # fmt: skip
def test_headers_that_are_refused(data, expected, count):
    kind, message, at = refusal(data)
    assert kind is BadProxyHeader
    assert at == count
    assert re.search(expected, message)


def test_the_largest_header():
    block = IPV4 + tlv(0xEE, bytes(4096 - 16 - 12 - 3))
    header, trailing = read(v2(block) + b"X")
    assert header.fields == ((0xEE, bytes(4065)),)
    assert trailing == b"X"


def test_fields():
    fields = tlv(0x01, b"h2") + tlv(0xEA, b"aws") + AUTHORITY + tlv(0x05, b"id") + tlv(0x04, b"")
    header, _ = both_ways(v2(IPV4 + fields))
    assert (header.alpn, header.authority, header.unique_id) == (b"h2", "caf\xe9.test", b"id")
    assert header.fields[1] == (0xEA, b"aws")
    header, _ = both_ways(v2(IPV4 + tlv(0x02, b"\xff")))
    assert header.authority is None


@pytest.mark.parametrize("rest", [b"\x04", b"\x04\0", b"\x04\0\1", tlv(0x20, b"\1\0\0\0")])
def test_fields_that_are_cut_off(rest):
    for block in (rest, tlv(0x05, b"id") + rest):
        kind, _, at = refusal(v2(IPV4 + block))
        assert (kind, at) == (BadProxyHeader, 16 + len(IPV4 + block))


def test_the_sum():
    good = with_sum(v2(IPV4 + tlv(0x05, b"id") + tlv(0x03, bytes(4)) + tlv(0x04, b"x")))
    header, _ = both_ways(good)
    assert header.source == A
    for at in (*range(16, 28), len(good) - 1):
        wrong = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert "CRC32C is wrong" in refusal(wrong)[1]
    assert "instead of 4" in refusal(v2(IPV4 + tlv(0x03, b"123")))[1]


def ssl_field(client, verify, *inner):
    return tlv(0x20, bytes([client]) + verify.to_bytes(4, "big") + b"".join(inner))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (ssl_field(0, 1), None),
        (ssl_field(0, 0, SSL, CN), None),
        (ssl_field(2, 0, CN), None),
        (ssl_field(1, 1), PeerTLS()),
        (ssl_field(1, 0, SSL, CN, CERTIFICATE), PeerTLS("TLSv1.3", "AES")),
        (ssl_field(3, 1, SSL, CN, CERTIFICATE), PeerTLS("TLSv1.3", "AES")),
        (ssl_field(7, 0, SSL, CN, CERTIFICATE), PeerTLS("TLSv1.3", "AES", "Ann", b"der")),
        (ssl_field(3, 0, tlv(0x22, b"\xff")), PeerTLS()),
    ],
)
def test_the_clients_tls(field, expected):
    header, _ = both_ways(v2(IPV4 + field))
    assert header.tls == expected


def test_an_ssl_field_that_is_cut_off_inside():
    assert refusal(v2(IPV4 + ssl_field(1, 0, b"\x21\0\x05abc")))[0] is BadProxyHeader


# ---- how it is read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [LINE, b"PROXY UNKNOWN\r\n", v2(IPV4 + bytes(30)), v2(b"", family=0)]
)
def test_wanted_never_passes_the_end(data):
    for most in (1, 7, 4096):
        reader = ProxyReader()
        at = 0
        while not reader.complete:
            assert 0 < reader.wanted <= len(data) - at
            piece = data[at : at + min(reader.wanted, most)]
            at += len(piece)
            reader.receive_data(piece)
        assert (at, reader.wanted, reader.trailing) == (len(data), 0, b"")


def test_more_behind_it():
    reader = ProxyReader()
    assert reader.receive_data(LINE + b"a") is not None
    assert reader.receive_data(b"b") is None
    assert reader.trailing == b"ab"
    reader.receive_eof()


def test_the_end_of_the_bytes():
    with pytest.raises(NoProxyHeader, match="ended before a PROXY header"):
        ProxyReader().receive_eof()
    reader = ProxyReader()
    reader.receive_data(b"PROXY TCP4")
    with pytest.raises(BadProxyHeader, match="ended 10 bytes into"):
        reader.receive_eof()


@given(st.binary(max_size=60))
def test_no_other_error_comes(data):
    for start in (b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x20"):
        reader = ProxyReader()
        with contextlib.suppress(BadProxyHeader):
            reader.receive_data(start + data)


# ---- the peer ------------------------------------------------------------------------------------


def test_the_peer_behind():
    hop = Peer(address="10.0.0.1", port=5, proxies=("10.0.0.2",))
    header = ProxyHeader(2, source=A, destination=B, tls=PeerTLS("TLSv1.2"))
    assert header.peer_behind(hop) == Peer(
        address="192.0.2.1",
        port=41652,
        tls=PeerTLS("TLSv1.2"),
        proxies=("10.0.0.1", "10.0.0.2"),
    )
    assert ProxyHeader(1).peer_behind(hop) is hop
    local = Peer(address="/a", transport="unix")
    told = ProxyHeader(2, source=SocketAddress("@b", family="unix")).peer_behind(local)
    assert repr(told) == "unix:@b via unix:"

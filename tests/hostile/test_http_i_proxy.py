"""Section I: the PROXY protocol."""

from __future__ import annotations

import pytest

from tests.addressing.wire import CERTIFICATE, CN, SIGNATURE, SSL, tlv, v2, with_sum
from tests.http.wire import request, served
from trio_wsendpoint.addressing import (
    BadProxyHeader,
    NoProxyHeader,
    Peer,
    PeerTLS,
    ProxyReader,
    SocketAddress,
)

HOP = Peer(address="10.0.0.1", port=5)
LINE = b"PROXY TCP4 127.0.0.1 127.0.0.1 41652 9221\r\n"
#: As haproxy sends it: 12 bytes of addresses, a sum, a unique id, SSL.
ADDRESSES = bytes([127, 0, 0, 1] * 2) + (41652).to_bytes(2, "big") + (9221).to_bytes(2, "big")
HAPROXY = with_sum(
    v2(ADDRESSES + tlv(0x03, bytes(4)) + tlv(0x05, b"id") + tlv(0x20, bytes([0, 0, 0, 0, 0])))
)
SOURCE = SocketAddress("127.0.0.1", 41652)


def read(data, *, pieces=None):
    """Return the header and what is behind it."""
    reader = ProxyReader()
    header = None
    size = pieces or len(data)
    for at in range(0, len(data), size):
        header = reader.receive_data(data[at : at + size]) or header
    return header, reader.trailing


def feed(reader, data, taken):
    for byte in data:
        taken.append(byte)
        reader.receive_data(bytes([byte]))


def check_dropped(*inputs, within=None, kind=BadProxyHeader):
    """Each is refused, at the byte `within` at the latest, with one line for the log."""
    for data in inputs:
        taken: list[int] = []
        with pytest.raises(kind) as caught:
            feed(ProxyReader(), data, taken)
        assert len(taken) <= (within or len(data))
        assert str(caught.value).isprintable()
        with pytest.raises(kind):
            read(data)


def test_i185_cut_at_each_byte():
    for data in (LINE, HAPROXY):
        expected = read(data)
        assert expected[0] is not None
        assert expected[0].source == SOURCE
        for at in range(1, len(data)):
            reader = ProxyReader()
            assert reader.receive_data(data[:at]) is None
            assert reader.receive_data(data[at:]) == expected[0]
        assert read(data, pieces=1) == expected


def test_i186_what_is_behind_the_header():
    for behind in (b"\x16\x03\x01\0\xf4", request(), HAPROXY):
        for data in (LINE, HAPROXY, b"PROXY UNKNOWN\r\n", v2(b"", command=0x20)):
            assert read(data + behind)[1] == behind
            assert read(data + behind, pieces=1)[1] == behind
            reader = ProxyReader()  # which is read with no byte too many
            at = 0
            while not reader.complete:
                piece = (data + behind)[at : at + reader.wanted]
                reader.receive_data(piece)
                at += len(piece)
            assert (at, reader.trailing) == (len(data), b"")


def test_i187_local():
    for block in (b"", bytes(25), tlv(0x03, b"1234"), b"\xff"):
        header, _ = read(v2(block, command=0x20, family=0) + request())
        assert header is not None
        assert header.is_local
        assert header.peer_behind(HOP) is HOP
        reader = ProxyReader()
        reader.receive_data(v2(block, command=0x20))
        reader.receive_eof()  # nothing is wrong with that


def test_i188_unknown():
    for data in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x y z\r\n", v2(b"", family=0)):
        header, _ = read(data)
        assert header is not None
        assert (header.source, header.is_local) == (None, False)
        assert header.peer_behind(HOP) is HOP


def test_i189_version_1():
    check_dropped(
        b"PROXY TCP4 " + b"1" * 200,
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 056.1.1.1 127.0.0.1 1 2\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 0443 2\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 65536\r\n",
        b"PROXY TCP4  127.0.0.1 127.0.0.1 1 2\r\n",
        within=107,
    )
    check_dropped(b"proxy TCP4 127.0.0.1 127.0.0.1 1 2\r\n", within=1, kind=NoProxyHeader)


def test_i190_no_header():
    check_dropped(request(), b"\x16\x03\x01\0\xf4", b"\0", within=1, kind=NoProxyHeader)
    check_dropped(b"\r\n" + request(), within=3, kind=NoProxyHeader)
    with pytest.raises(NoProxyHeader):
        ProxyReader().receive_eof()


@pytest.mark.parametrize("pieces", [None, 1])
def test_i191_a_header_that_nobody_expects(pieces):
    for data in (LINE + request(), HAPROXY + request(), LINE + b"\r\n", LINE + b"A: b\r\n\r\n"):
        result = served(data, pieces=pieces)
        assert result.statuses == [400]
        assert result.closes
        assert b"a PROXY protocol header" in result.written
    assert b"PROXY" not in served(b"PRXY / HTTP/1.1\n").written


def test_i192_two_headers():
    for data in (LINE, HAPROXY):
        _, trailing = read(data + data + request())
        assert trailing == data + request()
        assert served(trailing).statuses == [400]


def test_i193_what_version_2_may_say():
    commands = [*range(0x22, 0x30), 0x11, 0x01, 0x31]
    check_dropped(*(v2(ADDRESSES, command=command) for command in commands), within=13)
    families = [*range(0x40, 0x100, 0x10), 0x13, 0x1F, 0x12, 0x22, 0x32, 0x01, 0x10]
    check_dropped(*(v2(ADDRESSES, family=family) for family in families), within=14)


def test_i194_lengths():
    check_dropped(v2(bytes(4)), v2(bytes(11)), v2(bytes(35), family=0x21), within=16)
    check_dropped(SIGNATURE + b"\x21\x11\x10\x01", SIGNATURE + b"\x20\0\xff\xff", within=16)
    header, _ = read(v2(ADDRESSES + tlv(0x28, bytes(4000))))  # certificates take some KiB
    assert header is not None


def test_i195_fields_past_the_end():
    check_dropped(
        v2(ADDRESSES + b"\x05\0\x03ab"),
        v2(ADDRESSES + b"\x05"),
        v2(ADDRESSES + b"\x05\0"),
        v2(ADDRESSES + tlv(0x05, b"") + b"\x05\xff\xff"),
        v2(ADDRESSES + tlv(0x20, bytes(4))),
        v2(ADDRESSES + tlv(0x20, b"\1\0\0\0\0\x21\0\x09x")),
    )
    header, _ = read(v2(ADDRESSES + tlv(0xEE, b"x") + tlv(0x00, b"")))
    assert header is not None
    assert header.source == SOURCE


def test_i196_the_sum():
    assert read(HAPROXY)[0] is not None
    for at in range(16, len(HAPROXY)):
        if not 28 <= at < 31:  # where the field would be another
            wrong = HAPROXY[:at] + bytes([HAPROXY[at] ^ 0x40]) + HAPROXY[at + 1 :]
            check_dropped(wrong)


def test_i197_what_tls_told():
    inner = SSL + CN + CERTIFICATE
    for client, verify, expected in (
        (0, 0, None),
        (1, 0, PeerTLS("TLSv1.3", "AES")),
        (3, 0, PeerTLS("TLSv1.3", "AES", "Ann", b"der")),
        (3, 1, PeerTLS("TLSv1.3", "AES")),
        (2, 0, None),
    ):
        field = tlv(0x20, bytes([client]) + verify.to_bytes(4, "big") + inner)
        header, _ = read(v2(ADDRESSES + field))
        assert header is not None
        assert header.tls == expected
        assert header.peer_behind(HOP).kind == ("tcp" if expected is None else "tls")
    for value, name in ((b"\xff", None), (b"a", "a")):
        header, _ = read(v2(ADDRESSES + tlv(0x02, value)))
        assert header is not None
        assert header.authority == name


def test_i198_unix_addresses():
    for path, expected in (
        (b"/run/a", "/run/a"),
        (b"\0abstract", "@abstract"),
        (b"/\xff\0x", "/\udcff"),
        (b"", ""),
    ):
        header, _ = read(v2(path.ljust(108, b"\0") + bytes(108), family=0x31))
        assert header is not None
        peer = header.peer_behind(HOP)
        assert (peer.address, peer.kind, peer.proxies) == (expected, "unix", ("10.0.0.1",))
        assert repr(peer).isascii()

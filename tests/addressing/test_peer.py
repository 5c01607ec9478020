import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from trio_wsendpoint.addressing import Peer, PeerTLS, SocketAddress


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (SocketAddress("192.0.2.1", 80), "192.0.2.1:80"),
        (SocketAddress("::ffff:192.0.2.1", 80), "192.0.2.1:80"),
        (SocketAddress("::1", 80), "[::1]:80"),
        (SocketAddress("::1"), "::1"),
        (SocketAddress("/run/a.sock", family="unix"), "unix:/run/a.sock"),
        (SocketAddress("@name", family="unix"), "unix:@name"),
        (SocketAddress("", family="unix"), "unix:"),
        (SocketAddress("a\nb\udcff", family="unix"), "unix:a\\nb\\udcff"),
        # A path keeps its letters: it is no address.
        (SocketAddress("::ffff:192.0.2.1", family="unix"), "unix:::ffff:192.0.2.1"),
    ],
)
def test_a_socket_address_as_text(address, expected):
    assert str(address) == expected


TLS = PeerTLS("TLSv1.3", "TLS_AES_128_GCM_SHA256", "Ann\n", b"der", {"subject": ()})


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (Peer(address="192.0.2.1", port=4711), "192.0.2.1:4711"),
        (Peer(address="::ffff:192.0.2.1", port=4711), "192.0.2.1:4711"),
        (Peer(address="::1", port=1, proxies=("10.0.0.1",)), "[::1]:1 via 10.0.0.1"),
        (Peer(address="192.0.2.1"), "192.0.2.1"),
        (Peer(address="", transport="unix"), "unix:"),
        (Peer(address=None, proxies=("10.0.0.1", "unix:")), "unknown via 10.0.0.1, unix:"),
        (Peer(address=None, transport="stream"), "stream:"),
        (Peer(address="a", port=1, tls=PeerTLS()), "a:1 TLS"),
        (
            Peer(address="a", port=1, tls=TLS),
            "a:1 TLSv1.3 TLS_AES_128_GCM_SHA256 CN='Ann\\n'",
        ),
        (Peer(address="a", tls=PeerTLS("x\ny")), "a x\\ny"),
    ],
)
def test_repr_is_a_log_line(peer, expected):
    assert repr(peer) == expected
    assert repr(peer).isascii()
    assert repr(peer).isprintable()


def test_a_long_path_is_cut():
    assert len(repr(Peer(address="\udcff" * 500, transport="unix"))) < 250


@pytest.mark.parametrize(
    ("peer", "kind", "counted_as"),
    [
        (Peer(address="192.0.2.1", port=1), "tcp", "192.0.2.1"),
        (Peer(address="::ffff:192.0.2.1", tls=PeerTLS()), "tls", "192.0.2.1"),
        (Peer(address="/a", transport="unix"), "unix", None),
        (Peer(address=None, transport="stream"), "stream", None),
        (Peer(address=None, proxies=("10.0.0.1", "10.0.0.2")), "tcp", "10.0.0.1"),
        (Peer(address=None), "tcp", None),
    ],
)
def test_kind_and_how_it_is_counted(peer, kind, counted_as):
    assert (peer.kind, peer.counted_as) == (kind, counted_as)


def test_it_is_a_value():
    peer = Peer(address="192.0.2.1", port=1, tls=TLS)
    assert peer == Peer(address="192.0.2.1", port=1, tls=replace(TLS, details={}))
    assert hash(peer) == hash(replace(peer))
    assert peer != replace(peer, port=2)
    with pytest.raises(FrozenInstanceError):
        peer.port = 2  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(peer)) == peer


def test_a_certificate_stays_out_of_the_log():
    assert "der" not in repr(TLS)
    assert "subject" not in repr(TLS)

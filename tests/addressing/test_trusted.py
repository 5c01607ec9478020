from ipaddress import ip_address

import pytest

from trio_wsendpoint.addressing import Peer, PeerTLS, TrustedProxies

TRUSTED = TrustedProxies(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "fe80::/10"])


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:1::", True),
        ("2001:db9::", False),
    ],
)
def test_addresses(address, expected):
    assert TRUSTED.trusts(ip_address(address)) is expected
    assert TRUSTED.trusts_peer(Peer(address=address, port=1)) is expected
    assert TRUSTED.trusts_peer(Peer(address=address, tls=PeerTLS())) is expected


def test_mapped_addresses_are_ipv4_on_either_side():
    assert TRUSTED.trusts_peer(Peer(address="::ffff:10.0.0.1"))
    for text in ("::ffff:10.0.0.0/104", "::ffff:a00:0/104"):
        assert TrustedProxies([text]).trusts(ip_address("10.9.9.9"))
    assert TrustedProxies(["::ffff:10.0.0.1"]).trusts(ip_address("10.0.0.1"))
    assert not TrustedProxies(["::ffff:10.0.0.1"]).trusts(ip_address("10.0.0.2"))


def test_the_scope_id_of_a_peer_does_not_matter():
    assert TRUSTED.trusts_peer(Peer(address="fe80::1%eth0"))
    assert not TRUSTED.trusts_peer(Peer(address="fd00::1%eth0"))


def test_unix_sockets():
    peer = Peer(address="", transport="unix")
    assert not TRUSTED.trusts_peer(peer)
    assert TrustedProxies(["unix:"]).trusts_peer(peer)
    # One that a PROXY header tells of is on another machine.
    told = Peer(address="/a", transport="unix", proxies=("10.0.0.1",))
    assert not TrustedProxies(["unix:", "10.0.0.0/8"]).trusts_peer(told)


@pytest.mark.parametrize(
    "peer",
    [
        Peer(address=None, transport="stream"),
        Peer(address=None, proxies=("10.0.0.1",)),
        Peer(address="localhost"),
    ],
)
def test_what_has_no_address_is_not_trusted(peer):
    assert not TrustedProxies(["0.0.0.0/0", "::/0", "unix:"]).trusts_peer(peer)


def test_nobody_is_trusted_by_default():
    assert not TrustedProxies()
    assert TrustedProxies(["unix:"])
    assert TRUSTED
    assert not TrustedProxies().trusts(ip_address("127.0.0.1"))


@pytest.mark.parametrize(
    ("proxies", "error", "expected"),
    [
        (["10.1.2.3/8"], ValueError, r"did you mean '10\.0\.0\.0/8'"),
        (["::1/64"], ValueError, r"did you mean '::/64'"),
        (["proxy.example"], ValueError, "is no address: expected"),
        (["*"], ValueError, "is no address"),
        (["unix:/run/a"], ValueError, "is no address"),
        (["10.0.0.0/33"], ValueError, "is no address"),
        (["fe80::1%eth0"], ValueError, "has a scope id"),
        ("10.0.0.0/8", TypeError, "list of strings"),
        ([10], TypeError, "is a string"),
    ],
)
def test_what_is_refused(proxies, error, expected):
    with pytest.raises(error, match=expected):
        TrustedProxies(proxies)

"""Section H: forwarding headers, true and forged."""

from __future__ import annotations

import pytest

from tests.http.wire import request, served
from trio_wsendpoint.addressing import Forwarding, Peer, ProxyReader, TrustedProxies
from trio_wsendpoint.handshake.errors import BadRequest

TRUSTED = TrustedProxies(["10.0.0.0/8", "unix:"])
PROXY = Peer(address="10.0.0.1", port=4711)
X = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port")


def find(*lines, names=X, peer=PROXY):
    """Return the client of a request with these header lines, which our own reader has read."""
    [head] = served(request(*lines, host="own")).heads
    forwarding = Forwarding(TRUSTED, names)
    return forwarding.client_of(head.request.headers, peer, scheme="http", host=head.request.host)


def client(*values, peer=PROXY):
    return find(*(f"X-Forwarded-For: {value}" for value in values), peer=peer).peer


def check_400(*lines, names=X):
    with pytest.raises(BadRequest, match=r"from 10\.0\.0\.1:4711: ") as caught:
        find(*lines, names=names)
    assert caught.value.response.status == 400


FORGED = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 1",
    "Forwarded: for=6.6.6.6;proto=https;host=evil",
)


def test_h168_from_an_address_that_is_not_trusted():
    peer = Peer(address="192.0.2.1", port=1)
    for names in (X, ["Forwarded"]):
        found = find(*FORGED, names=names, peer=peer)
        assert (found.peer, found.scheme, found.host) == (peer, "http", "own")
    [head] = served(request(*FORGED)).heads
    assert head.request.headers["X-Forwarded-For"] == "6.6.6.6"


def test_h169_the_walk_goes_from_the_right():
    assert client("6.6.6.6, 192.0.2.1").address == "192.0.2.1"
    assert client("6.6.6.6", "192.0.2.1").address == "192.0.2.1"
    peer = client("6.6.6.6, 192.0.2.1", "10.0.0.2")
    assert (peer.address, peer.proxies) == ("192.0.2.1", ("10.0.0.2", "10.0.0.1"))
    assert client("<script>, 192.0.2.1").address == "192.0.2.1"


def test_h170_all_are_trusted():
    assert client("10.0.0.4, 10.0.0.3, 10.0.0.2").address == "10.0.0.4"


def test_h171_only_configured_headers_are_believed():
    found = find(*FORGED[1:], "X-Forwarded-For: 192.0.2.1", names=["X-Forwarded-For"])
    assert (found.peer.address, found.scheme, found.host) == ("192.0.2.1", "http", "own")
    found = find("X-Forwarded-For: 6.6.6.6", "Forwarded: for=192.0.2.1", names=["Forwarded"])
    assert found.peer.address == "192.0.2.1"
    with pytest.raises(ValueError, match="cannot both"):
        Forwarding(TRUSTED, ["X-Forwarded-For", "Forwarded"])
    [default] = [Forwarding(TRUSTED)]
    [head] = served(request(*FORGED)).heads
    found = default.client_of(head.request.headers, PROXY, scheme="http", host="own")
    assert (found.peer.address, found.scheme, found.host) == ("6.6.6.6", "http", "own")


def test_h173_ports():
    for text, address, port in (
        ("1.2.3.4:5678", "1.2.3.4", 5678),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("2001:db8::1", "2001:db8::1", None),
    ):
        peer = client(text)
        assert (peer.address, peer.port) == (address, port)
    # Trust is judged without the port.
    assert client("192.0.2.1, 10.0.0.2:5678").address == "192.0.2.1"


def test_h174_mapped_addresses():
    peer = Peer(address="::ffff:10.0.0.1", port=1)
    assert client("::ffff:192.0.2.1", peer=peer) == Peer(address="192.0.2.1", proxies=("10.0.0.1",))
    assert client("192.0.2.1, ::ffff:10.0.0.2").address == "192.0.2.1"
    assert peer.counted_as == "10.0.0.1"
    with pytest.raises(ValueError, match=r"did you mean '10\.0\.0\.0/8'"):
        TrustedProxies(["10.1.2.3/8"])


@pytest.mark.parametrize("text", ["fe80::1%eth0", "::1%a b", "01.2.3.4", "0x7f.1", "1.2.3"])
def test_h175_what_is_no_address(text):
    check_400(f"X-Forwarded-For: {text}")
    check_400(f"X-Forwarded-For: {text}, 10.0.0.2")


@pytest.mark.parametrize("text", ["unknown", "UNKNOWN", "-", "_hidden"])
def test_h176_a_hidden_client(text):
    peer = client(f"6.6.6.6, {text}")
    assert repr(peer) == "unknown via 10.0.0.1"
    assert (peer.address, peer.counted_as) == (None, "10.0.0.1")
    assert client(f"6.6.6.6, {text}, 10.0.0.2").counted_as == "10.0.0.2"


@pytest.mark.parametrize(
    "text", ["a.example", "1.2.3.4:0", "1.2.3.4:+80", "\xe9", "1.2.3.4;5", "@"]
)
def test_h177_what_is_malformed_at_the_walk(text):
    check_400(f"X-Forwarded-For: {text}")
    check_400(f"X-Forwarded-For: 192.0.2.1, {text}, 10.0.0.2")


def test_h178_empty_and_many_elements():
    assert client("192.0.2.1,,10.0.0.2").address == "192.0.2.1"
    assert client("192.0.2.1,").address == "192.0.2.1"
    assert client("") == client(" , ,") == PROXY
    assert client("," * 10_000 + "192.0.2.1").address == "192.0.2.1"
    check_400("X-Forwarded-For: " + ",".join(["10.0.0.2"] * 1000))
    check_400("Forwarded: " + ",".join(["for=10.0.0.2"] * 1000), names=["Forwarded"])


def test_h179_the_element_beside_the_clients():
    two = "X-Forwarded-For: 192.0.2.1, 10.0.0.2"
    found = find(two, "X-Forwarded-Proto: https, http", "X-Forwarded-Host: a, b")
    assert (found.scheme, found.host) == ("https", "a")
    one = "X-Forwarded-For: 192.0.2.1"
    found = find(one, "X-Forwarded-Proto: https, http", "X-Forwarded-Host: evil, a")
    assert (found.scheme, found.host) == ("http", "a")
    found = find(one, "X-Forwarded-Host: evil", "X-Forwarded-Host: a")
    assert found.host == "a"
    for text in ("HTTPS", "wss", "WSS"):
        assert find(one, f"X-Forwarded-Proto: {text}").scheme == "https"


def test_h179a_what_is_malformed_beside_it():
    one = "X-Forwarded-For: 192.0.2.1"
    for line in (
        "X-Forwarded-Proto: ftp",
        "X-Forwarded-Port: +80",
        "X-Forwarded-Port: 0",
        "X-Forwarded-Port: 65536",
        "X-Forwarded-Port: \xb2",
        "X-Forwarded-Host: a/b",
        "X-Forwarded-Host: a:99999",
    ):
        check_400(one, line)


def test_h180_a_forwarded_header():
    value = 'for="[2001:db9::1]:4711";proto=https;host="a:8443";secret="a,b;c=\\"d"'
    for text in (value, value.replace("for", "FOR", 1).replace("proto", "Proto")):
        found = find(f"Forwarded: {text}", names=["Forwarded"])
        assert (found.peer.address, found.peer.port) == ("2001:db9::1", 4711)
        assert (found.scheme, found.host) == ("https", "a:8443")


def test_h181_a_forwarded_header_that_breaks_the_grammar():
    for value in (
        "for=1.2.3.4;for=5.6.7.8",
        "for=2001:db8::1",
        'for="6.6.6.6, for=192.0.2.1',
        'for="6.6.6.6, for=192.0.2.1"x',
        "for=6.6.6.6;;=, for=192.0.2.1",
        "for = 192.0.2.1",
    ):
        check_400(f"Forwarded: {value}", names=["Forwarded"])


def test_h182_a_unix_listener():
    peer = Peer(address="", transport="unix")
    assert client("192.0.2.1", peer=peer).proxies == ("unix:",)
    [head] = served(request("X-Forwarded-For: 6.6.6.6")).heads
    forwarding = Forwarding(TrustedProxies(["10.0.0.0/8"]))
    found = forwarding.client_of(head.request.headers, peer, scheme="http", host=None)
    assert found.peer == peer


def test_h183_the_client_is_the_requests():
    data = b"".join(request(f"X-Forwarded-For: 192.0.2.{number}") for number in (1, 2, 3))
    forwarding = Forwarding(TRUSTED)
    peers = [
        forwarding.client_of(head.request.headers, PROXY, scheme="http", host=None).peer
        for head in served(data).heads
    ]
    assert [peer.counted_as for peer in peers] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_h184_a_proxy_header_as_well():
    for source, expected in (("10.0.0.9", "6.6.6.6"), ("192.0.2.9", "192.0.2.9")):
        reader = ProxyReader()
        line = f"PROXY TCP4 {source} 10.0.0.1 5 6\r\n".encode()
        header = reader.receive_data(line + request("X-Forwarded-For: 6.6.6.6"))
        assert header is not None
        [head] = served(reader.trailing).heads
        hop = header.peer_behind(PROXY)
        found = Forwarding(TRUSTED).client_of(head.request.headers, hop, scheme="http", host=None)
        assert found.peer.address == expected
        assert found.peer.proxies[-1] == "10.0.0.1"

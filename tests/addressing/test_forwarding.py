import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.addressing import Forwarding, Peer, PeerTLS, TrustedProxies
from trio_wsendpoint.handshake import Headers
from trio_wsendpoint.handshake.errors import BadRequest

TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "unix:"])
PROXY = Peer(address="10.0.0.1", port=555)
X = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port")


def find(lines, *, names=X, peer=PROXY, scheme="http", host="own:8000"):
    """Return what is found for header lines, whose names may leave out `X-Forwarded-`."""
    full = [
        (f"X-Forwarded-{name}" if name != "Forwarded" else name, value) for name, value in lines
    ]
    return Forwarding(TRUSTED, names).client_of(Headers(full), peer, scheme=scheme, host=host)


def client(*values, **options):
    return find([("For", value) for value in values], **options).peer


def forwarded(*values, **options):
    return find([("Forwarded", value) for value in values], names=["Forwarded"], **options)


# ---- X-Forwarded-For -----------------------------------------------------------------------------


def test_the_client_of_one_proxy():
    found = find([("For", "192.0.2.1")])
    assert found.peer == Peer(address="192.0.2.1", proxies=("10.0.0.1",))
    assert (found.scheme, found.host) == ("http", "own:8000")
    assert repr(found.peer) == "192.0.2.1 via 10.0.0.1"


def test_no_header_is_the_proxy_itself():
    for values in ([], [""], [" , "]):
        assert client(*values) == PROXY


def test_the_walk_ends_at_the_first_hop_that_is_not_trusted():
    peer = client("6.6.6.6, 192.0.2.1, 10.0.0.3", "10.0.0.2")
    assert (peer.address, peer.proxies) == ("192.0.2.1", ("10.0.0.3", "10.0.0.2", "10.0.0.1"))
    assert client("192.0.2.9", "192.0.2.1").address == "192.0.2.1"
    assert client("!, 192.0.2.1").address == "192.0.2.1"  # the rest is not looked at


def test_all_trusted_is_the_leftmost():
    peer = client("10.0.0.9, 10.0.0.8")
    assert (peer.address, peer.proxies) == ("10.0.0.9", ("10.0.0.8", "10.0.0.1"))


def test_ports_and_mapped_addresses():
    peer = client("[2001:db9::1]:4711, [::ffff:10.0.0.2]:80")
    assert (peer.address, peer.port, peer.proxies) == (
        "2001:db9::1",
        4711,
        ("10.0.0.2", "10.0.0.1"),
    )


def test_tls_is_the_proxys_and_not_the_clients():
    peer = Peer(address="10.0.0.1", port=1, tls=PeerTLS("TLSv1.3"))
    assert client("192.0.2.1", peer=peer).tls is None


@pytest.mark.parametrize("hidden", ["unknown", "-", "_hidden", "unknown:80"])
def test_a_hidden_client_is_never_guessed(hidden):
    peer = client(f"192.0.2.1, {hidden}, 10.0.0.2")
    assert (peer.address, peer.proxies) == (None, ("10.0.0.2", "10.0.0.1"))
    assert (peer.counted_as, repr(peer)) == ("10.0.0.2", "unknown via 10.0.0.2, 10.0.0.1")


@pytest.mark.parametrize(
    "value", ["a.example", "192.0.2.1:0", "01.2.3.4", "caf\xe9", "!, 10.0.0.2"]
)
def test_what_is_malformed_at_the_walk(value):
    with pytest.raises(BadRequest, match=r"a forwarding header from 10\.0\.0\.1:555: ") as caught:
        client(value)
    assert caught.value.response.status == 400
    assert b"10.0.0.1" not in caught.value.response.body  # which is for the log


def test_how_many_hops_are_looked_at():
    peer = client(", ".join(["192.0.2.1", *["10.0.0.2"] * 31]))
    assert (peer.address, len(peer.proxies)) == ("192.0.2.1", 32)
    assert client(",".join(["10.0.0.2"] * 32)).address == "10.0.0.2"
    with pytest.raises(BadRequest, match="more than 32 hops"):
        client(",".join(["10.0.0.2"] * 33))
    assert client("," * 10_000 + "192.0.2.1" + "," * 10_000).address == "192.0.2.1"
    assert client("1.1.1.1," * 10_000).address == "1.1.1.1"


# ---- who is believed -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "peer",
    [
        Peer(address="192.0.2.9", port=1),
        Peer(address=None, transport="stream"),
        Peer(address="/a", transport="unix", proxies=("10.0.0.1",)),
    ],
)
def test_nothing_is_believed_of_others(peer):
    lines = [("For", "!"), ("Proto", "ftp"), ("Host", "/"), ("Port", "x"), ("Forwarded", "!")]
    for names in (X, ["Forwarded"]):
        found = find(lines, names=names, peer=peer)
        assert (found.peer, found.scheme, found.host) == (peer, "http", "own:8000")


def test_a_unix_socket_may_be_trusted():
    peer = client("192.0.2.1", peer=Peer(address="", transport="unix"))
    assert peer == Peer(address="192.0.2.1", proxies=("unix:",))


def test_only_named_headers_are_looked_at():
    lines = [("For", "192.0.2.1"), ("Proto", "ftp"), ("Host", "evil"), ("Forwarded", "!")]
    found = Forwarding(TRUSTED).client_of(
        Headers([(f"X-Forwarded-{name}", value) for name, value in lines[:3]] + [lines[3]]),
        PROXY,
        scheme="http",
        host=None,
    )
    assert (found.peer.address, found.scheme, found.host) == ("192.0.2.1", "http", None)
    found = find(lines[1:3], names=["X-Forwarded-Host"])
    assert (found.peer, found.host) == (PROXY, "evil")


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["X-Real-IP"], ValueError, "'x-real-ip' is no forwarding header"),
        (["Forwarded", "X-Forwarded-For"], ValueError, "cannot both"),
        ("X-Forwarded-For", TypeError, "list of names"),
    ],
)
def test_names_that_are_refused(names, error, expected):
    with pytest.raises(error, match=expected):
        Forwarding(TRUSTED, names)


# ---- scheme, host, port --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [("https", "https"), ("HTTPS", "https"), ("http", "http"), ("wss", "https"), ("Ws", "http")],
)
def test_schemes(value, expected):
    other = {"https": "http", "http": "https"}[expected]
    assert find([("For", "192.0.2.1"), ("Proto", value)], scheme=other).scheme == expected


def test_the_element_beside_the_clients():
    lines = [("For", "192.0.2.1, 10.0.0.2"), ("Proto", "https, http"), ("Host", "a, b")]
    found = find(lines)
    assert (found.scheme, found.host) == ("https", "a")
    # As many as hops, or the rightmost.
    lines = [("For", "192.0.2.1"), ("Proto", "https, http"), ("Host", "evil"), ("Host", "a")]
    found = find(lines)
    assert (found.scheme, found.host) == ("http", "a")
    # The proxy speaks for itself.
    found = find([("Proto", "https")])
    assert (found.peer, found.scheme) == (PROXY, "https")


@pytest.mark.parametrize(
    ("host", "scheme", "port", "expected"),
    [
        ("a", "https", "443", "a"),
        ("a", "http", "443", "a:443"),
        ("a", "http", "8443", "a:8443"),
        ("a:1", "http", "8443", "a:1"),
        ("[::1]", "http", "8443", "[::1]:8443"),
    ],
)
def test_ports_of_the_host(host, scheme, port, expected):
    assert find([("Host", host), ("Port", port)], scheme=scheme).host == expected


def test_a_port_without_a_host():
    assert find([("Port", "8443")], host=None).host is None


@pytest.mark.parametrize(
    "line",
    [
        ("Proto", "ftp"),
        ("Proto", "htt ps"),
        ("Port", "+80"),
        ("Port", "0"),
        ("Port", "65536"),
        ("Host", "a/b"),
        ("Host", "a:99999"),
        ("Host", "caf\xe9"),
    ],
)
def test_what_is_malformed_in_the_others(line):
    with pytest.raises(BadRequest):
        find([("For", "192.0.2.1"), line])


# ---- Forwarded -----------------------------------------------------------------------------------


def test_a_forwarded_header():
    value = 'for="[2001:db9::1]:4711";proto=https;host="a:8443";by=10.0.0.1;x=y'
    found = forwarded(value)
    assert found.peer == Peer(address="2001:db9::1", port=4711, proxies=("10.0.0.1",))
    assert (found.scheme, found.host) == ("https", "a:8443")


def test_the_walk_through_forwarded():
    found = forwarded("for=6.6.6.6;proto=http", "for=192.0.2.1;proto=wss, FOR=10.0.0.2;proto=http")
    assert (found.peer.address, found.peer.proxies) == ("192.0.2.1", ("10.0.0.2", "10.0.0.1"))
    assert (found.scheme, found.host) == ("https", "own:8000")
    assert forwarded("for=10.0.0.3, for=10.0.0.2").peer.address == "10.0.0.3"
    assert forwarded("for=bad!, for=192.0.2.1").peer.address == "192.0.2.1"


def test_forwarded_hides_the_client():
    for value in ("for=unknown", 'for="_x:_y"', "proto=https"):
        peer = forwarded(f"for=192.0.2.1, {value}").peer
        assert (peer.address, peer.proxies) == (None, ("10.0.0.1",))
    assert forwarded().peer == PROXY


@pytest.mark.parametrize(
    "value",
    [
        "for=1.2.3.4;for=5.6.7.8",
        "for=2001:db8::1",
        'for="2001:db8::1"',
        'for="unfinished, for=192.0.2.1',
        "for=192.0.2.1;proto=ftp",
        'for=192.0.2.1;host="a/b"',
        "for=a.example",
        "for=-",
    ],
)
def test_forwarded_that_is_refused(value):
    with pytest.raises(BadRequest):
        forwarded(value)


@given(st.lists(st.sampled_from(["10.0.0.2", "192.0.2.1", "unknown", "!", ""]), max_size=6))
def test_the_client_is_the_first_untrusted_from_the_right(elements):
    lines = [element for element in elements if element]
    expected = next((e for e in reversed(lines) if e != "10.0.0.2"), (lines or ["10.0.0.1"])[0])
    if expected == "!":
        with pytest.raises(BadRequest):
            client(",".join(elements))
        return
    peer = client(",".join(elements))
    assert peer.address == (None if expected == "unknown" else expected)
    assert peer.proxies[-1:] == (("10.0.0.1",) if lines else ())

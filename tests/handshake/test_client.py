import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.errors import BadResponse, InvalidURL
from trio_wsendpoint.handshake import (
    ClientHandshake,
    Headers,
    Request,
    RequestReader,
    Response,
    ResponseReader,
    ServerHandshake,
    WebSocketURL,
    serialize_request,
    serialize_response,
)
from trio_wsendpoint.handshake.errors import BadUpgrade, HandshakeRefused

from .fakes import ACCEPT, KEY, FakeNegotiator, check_message, cut, random_bytes

URL = "ws://example.com:8080/chat?a=b"
GOOD = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}


def client(**options):
    return ClientHandshake(options.pop("url", URL), random_bytes=random_bytes, **options)


def answer(*more, without=(), status=101):
    items = [item for item in GOOD.items() if item[0] not in without]
    return Response(status, [*items, *more])


def bad(response, **options):
    handshake = client(**options)
    with pytest.raises(BadUpgrade) as caught:
        handshake.check(response)
    assert isinstance(caught.value, BadResponse)
    assert caught.value.response is response
    assert handshake.subprotocol is None
    assert handshake.extension is None
    assert str(caught.value).isascii()
    return str(caught.value)


# ---- the request -------------------------------------------------------------------------------


def test_the_request():
    request = client().request()
    assert request == Request(
        "/chat?a=b",
        [
            ("Host", "example.com:8080"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
        ],
    )
    assert request.is_upgrade


def test_everything_in_its_order():
    handshake = client(
        url="wss://user:pass@[::1]/",
        subprotocols=["a", "b"],
        origin="https://page",
        headers=[("Cookie", "c=d"), ("X", "1"), ("X", "2")],
        extensions=[FakeNegotiator(), FakeNegotiator("x-two", ((), (("q", None),)))],
    )
    assert handshake.request().headers.items() == (
        ("Host", "[::1]"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "a, b"),
        ("Sec-WebSocket-Extensions", "x-fake; level=3; flag, x-two, x-two; q"),
        ("Origin", "https://page"),
        ("Authorization", "Basic dXNlcjpwYXNz"),
        ("Cookie", "c=d"),
        ("X", "1"),
        ("X", "2"),
    )


def test_a_parsed_url():
    url = WebSocketURL.parse(URL)
    handshake = client(url=url)
    assert handshake.url is url
    assert handshake.request().target == "/chat?a=b"


def test_keys_differ():
    first, second = ClientHandshake(URL), ClientHandshake(URL)
    assert first.request() == first.request()
    assert first.request() != second.request()


def test_a_bad_url():
    with pytest.raises(InvalidURL):
        client(url="http://example.com")


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Host": "other"}},
        {"headers": {"upgrade": "x"}},
        {"headers": {"Connection": "x"}},
        {"headers": {"Sec-WebSocket-Key": KEY}},
        {"headers": {"Content-Length": "5"}},
        {"headers": {"Origin": "https://a"}, "origin": "https://b"},
        {"headers": {"Authorization": "x"}, "url": "ws://u:p@h/"},
        {"headers": {"X": "a\r\nb"}},
        {"headers": {"X\nY": "a"}},
        {"origin": "https://a\r\nX: y"},
        {"subprotocols": ["a, b"]},
        {"subprotocols": ["a\r\nX: y"]},
        {"subprotocols": ["a", "a"]},
        {"extensions": [FakeNegotiator("x\r\ny")]},
    ],
)
def test_b41_bad_options(options):
    with pytest.raises(ValueError, match=r"header|token|twice"):
        client(**options)


def test_headers_that_are_free():
    handshake = client(headers={"Origin": "https://a", "Authorization": "Bearer x"})
    assert handshake.request().origin == "https://a"
    assert handshake.request().headers["Authorization"] == "Bearer x"


# ---- the answer --------------------------------------------------------------------------------


def test_a_good_answer():
    handshake = client(subprotocols=["a"], extensions=[FakeNegotiator()])
    handshake.check(answer())
    assert handshake.subprotocol is None
    assert handshake.extension is None


def test_case_does_not_matter():
    fields = [("upgrade", "WebSocket"), ("CONNECTION", "keep-alive, UPGRADE")]
    client().check(Response(101, [*fields, ("sec-websocket-accept", ACCEPT)]))


def test_what_was_agreed():
    handshake = client(subprotocols=["a", "b"], extensions=[FakeNegotiator()])
    agreed = [("Sec-WebSocket-Protocol", "b"), ("Sec-WebSocket-Extensions", 'x-fake; l="4"')]
    handshake.check(answer(*agreed))
    assert handshake.subprotocol == "b"
    assert handshake.extension.parameters == [("l", "4")]


def test_a_refusal():
    response = Response(403, body="no\x1b[31m " + "x" * 200)
    with pytest.raises(HandshakeRefused) as caught:
        client().check(response)
    assert caught.value.response is response
    message = str(caught.value)
    assert message.startswith(r"the server answered 403 Forbidden: 'no\x1b[31m xxx")
    assert message.endswith("'...")
    assert len(message) < 300


@pytest.mark.parametrize(
    ("status", "location", "shown"),
    [
        (301, "https://h/a", "301 Moved Permanently, Location: https://h/a"),
        (
            302,
            "https://u:SECRET@h/a?token=SECRET#SECRET",
            "302 Found, Location: https://...@h/a?token=...#...",
        ),
        (307, "/\xe9", r"307 Temporary Redirect, Location: /\xe9"),
        (403, "/a", "403 Forbidden"),
    ],
)
def test_a_redirect_shows_where_to(status, location, shown):
    with pytest.raises(HandshakeRefused) as caught:
        client().check(Response(status, {"Location": location}))
    assert str(caught.value) == f"the server answered {shown}"


@pytest.mark.parametrize("status", [0, 99, 600, 999])
def test_what_is_no_status_is_a_refusal(status):
    response = Response.of_checked(status, Headers())
    with pytest.raises(HandshakeRefused, match=f"^the server answered {status:03} Unknown$"):
        client().check(response)


def test_a_refusal_that_repeats_our_secrets():
    handshake = ClientHandshake(
        "ws://user:PASSWORD@h/chat?token=SECRET&x=y", headers={"Cookie": "session=COOKIE"}
    )
    authorization = handshake.request().headers["Authorization"]
    body = f"Cannot GET /chat?token=SECRET&x=y COOKIE PASSWORD {authorization}"
    with pytest.raises(HandshakeRefused, match=r"'Cannot GET /chat\?token=\.\.\.&x=y") as caught:
        handshake.check(Response(404, body=body))
    text = f"{caught.value}"
    for secret in ("SECRET", "COOKIE", "PASSWORD", authorization.partition(" ")[2]):
        assert secret not in text


def test_a_refusal_without_a_body():
    with pytest.raises(HandshakeRefused, match=r"^the server answered 599 Unknown$"):
        client().check(Response(599))


@pytest.mark.parametrize(
    ("response", "match"),
    [
        (answer(without=["Upgrade"]), "Upgrade header is missing"),
        (answer(("Upgrade", "websocket")), "Upgrade header is 'websocket, websocket'"),
        (answer(("Upgrade", "h2c"), without=["Upgrade"]), "Upgrade header is 'h2c'"),
        (answer(("Upgrade", "a b"), without=["Upgrade"]), "Upgrade header: 'a b' is not"),
        (answer(without=["Connection"]), "Connection header is missing"),
        (answer(("Connection", "close"), without=["Connection"]), "Connection header is 'close'"),
        (answer(("Connection", "\xe9")), r"Connection header: '\xe9' is not a token"),
        (answer(without=["Sec-WebSocket-Accept"]), "Accept header is missing"),
        (answer(("Sec-WebSocket-Accept", ACCEPT)), "Accept header is"),
        (
            answer(("Sec-WebSocket-Accept", ACCEPT.lower()), without=["Sec-WebSocket-Accept"]),
            f"expected {ACCEPT}",
        ),
    ],
)
def test_b35_wrong_answers(response, match):
    assert match in bad(response)


@pytest.mark.parametrize("value", ["c", "A", "", "a, b", "a b", "\xe9\x85"])
def test_b36_subprotocols_that_were_not_offered(value):
    message = bad(answer(("Sec-WebSocket-Protocol", value)), subprotocols=["a", "b"])
    assert "expected one that was offered (a, b)" in message
    assert "offered (none)" in bad(answer(("Sec-WebSocket-Protocol", value)))


def test_a_subprotocol_may_be_required():
    handshake = client(subprotocols=["a", "b"], subprotocol_required=True)
    with pytest.raises(BadResponse, match=r"Protocol header is missing: expected one .*\(a, b\)"):
        handshake.check(answer())
    handshake.check(answer(("Sec-WebSocket-Protocol", "b")))
    assert handshake.subprotocol == "b"
    with pytest.raises(ValueError, match="there are no subprotocols to choose from"):
        client(subprotocol_required=True)


@pytest.mark.parametrize("url", ["ws://h:81/", "ws://[fe80::1%25eth0]:81/"])
def test_another_host(url):
    request = client(url=url, host_header="stra\xdfe.de:8080").request()
    assert request.headers.get_all("Host") == ("xn--strae-oqa.de:8080",)
    assert client(url="ws://[fe80::1%25eth0]:81/").request().host == "[fe80::1]:81"
    with pytest.raises(ValueError, match="header host: the handshake writes it itself: use host_"):
        client(headers={"Host": "x"})
    with pytest.raises(ValueError, match="host_header: "):
        client(host_header="http://x")


def test_b36_two_subprotocols():
    twice = [("Sec-WebSocket-Protocol", "a")] * 2
    assert "'a, a'" in bad(answer(*twice), subprotocols=["a"])


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("x-else", "an extension not offered: 'x-else'"),
        ("x-fake, x-else", "an extension not offered: 'x-else'"),
        ("X-Fake", "an extension not offered"),
        ("x-fake, x-fake", "more than one extension: 'x-fake, x-fake'"),
        ("x-fake, x-two", "more than one extension"),
        ("x-fake; bad", "bad parameters"),
        ("x-fake;", "Extensions header: '' is not a parameter"),
        (", ".join(["x-fake"] * 99), "more than 32 items"),
    ],
)
def test_b36_extensions(value, match):
    extensions = [FakeNegotiator(), FakeNegotiator("x-two")]
    response = answer(("Sec-WebSocket-Extensions", value))
    assert match in bad(response, extensions=extensions, subprotocols=["a"])


def test_extensions_that_were_never_offered():
    assert "not offered" in bad(answer(("Sec-WebSocket-Extensions", "x-fake")))


names = st.sampled_from([*GOOD, "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"])
values = st.text(st.characters(codec="iso-8859-1", exclude_categories=["Cc"]), max_size=20)


@given(st.lists(st.tuples(names, values), max_size=3), st.booleans(), st.integers(100, 599))
def test_nothing_but_handshake_errors(fields, replace, status):
    without = {name for name, _ in fields} if replace else ()
    try:
        client(extensions=[FakeNegotiator()]).check(answer(*fields, without=without, status=status))
    except (BadResponse, HandshakeRefused) as error:
        check_message(error)


# ---- both sides, over the wire -----------------------------------------------------------------

tokens = st.text("abcXYZ019-_.", min_size=1, max_size=6)
cuts = st.lists(st.integers(0, 10**6), max_size=6)


@given(
    st.lists(tokens, unique=True, max_size=4),
    st.lists(tokens, unique=True, max_size=4),
    st.booleans(),
    st.booleans(),
    st.binary(min_size=16, max_size=16),
    cuts,
    cuts,
    st.binary(max_size=20),
)
def test_a_round_trip(theirs, ours, offer, accept, key, there, back, frames):
    asks = ClientHandshake(
        URL,
        subprotocols=theirs,
        extensions=[FakeNegotiator()] if offer else [],
        random_bytes=lambda _size: key,
    )
    answers = ServerHandshake(subprotocols=ours, extensions=[FakeNegotiator()] if accept else [])
    requests, responses = RequestReader(), ResponseReader()
    wire = serialize_request(asks.request())
    [request] = [found for data in cut(wire, there) if (found := requests.receive_data(data))]
    assert request == asks.request()
    wire = serialize_response(answers.answer(request), request) + frames
    [response] = [came for data in cut(wire, back) if (came := responses.receive_data(data))]
    asks.check(response)
    assert asks.subprotocol == answers.subprotocol
    assert asks.subprotocol == next((name for name in theirs if name in ours), None)
    assert (asks.extension is None) == (answers.extension is None) == (not (offer and accept))
    assert responses.trailing == frames

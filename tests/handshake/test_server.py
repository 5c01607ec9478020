import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.headers import Headers
from trio_wsendpoint.handshake.http import Request, Response
from trio_wsendpoint.handshake.origin import OriginPolicy
from trio_wsendpoint.handshake.server import ServerHandshake
from trio_wsendpoint.handshake.writing import serialize_response
from trio_wsendpoint.options import Limits

from .fakes import ACCEPT, KEY, UPGRADE, FakeExtension, FakeNegotiator, check_message


def upgrade(*more, without=(), **changed):
    """An opening request; `changed` replaces values, with `_` for `-` in the names."""
    items = [(name, value) for name, value in UPGRADE.items() if name not in without]
    swaps = {name.replace("_", "-").lower(): value for name, value in changed.items()}
    return Request("/", [*((n, swaps.get(n.lower(), v)) for n, v in items), *more])


def refusal(request, **options):
    handshake = ServerHandshake(**options)
    with pytest.raises(BadRequest) as caught:
        handshake.answer(request)
    assert handshake.subprotocol is None
    assert handshake.extension is None
    assert str(caught.value).isascii()
    return caught.value.response


def test_the_example_of_the_rfc():
    handshake = ServerHandshake()
    response = handshake.answer(upgrade())
    assert response == Response(
        101,
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT},
    )
    assert handshake.subprotocol is None
    assert handshake.extension is None


def test_the_order_of_the_headers():
    handshake = ServerHandshake(
        subprotocols=["chat"], extensions=[FakeNegotiator()], headers=[("A", "1"), ("A", "2")]
    )
    request = upgrade(
        ("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Extensions", "x-fake; level=3")
    )
    assert handshake.answer(request).headers.items() == (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Extensions", "x-fake; agreed"),
        ("A", "1"),
        ("A", "2"),
    )
    extension: object = handshake.extension
    assert isinstance(extension, FakeExtension)
    assert extension.parameters == [("level", "3")]


def test_only_get_and_http_1_1():
    request = upgrade()
    response = refusal(Request("/", request.headers, method="POST"))
    assert response.status == 405
    assert response.headers["Allow"] == "GET"
    assert refusal(Request("/", request.headers, http_version="1.0")).status == 505


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "h2c, websocket"),
        ("Upgrade", "HTTP/2.0, websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", "UPGRADE"),
        ("Connection", ", upgrade,"),
    ],
)
def test_a9_spellings_of_upgrade(name, value):
    assert ServerHandshake().answer(upgrade(**{name: value})).status == 101


def test_a9_several_lines():
    request = upgrade(
        ("Connection", "keep-alive"),
        ("Connection", "Upgrade"),
        ("Upgrade", "h2c"),
        ("Upgrade", "websocket"),
        without=["Connection", "Upgrade"],
    )
    assert ServerHandshake().answer(request).status == 101


@pytest.mark.parametrize(
    "request_",
    [
        upgrade(without=["Upgrade"]),
        upgrade(without=["Connection"]),
        upgrade(Upgrade="h2c"),
        upgrade(Upgrade="websockets"),
        upgrade(Upgrade="websocket/13"),
        upgrade(Connection="keep-alive"),
        upgrade(Connection="Upgrades"),
        upgrade(Sec_WebSocket_Version="8"),
        upgrade(Sec_WebSocket_Version="12"),
        upgrade(Sec_WebSocket_Version="13, 8"),
        upgrade(Sec_WebSocket_Version="013"),
        upgrade(Sec_WebSocket_Version=""),
        upgrade(("Sec-WebSocket-Version", "13")),
        upgrade(without=["Sec-WebSocket-Version"]),
    ],
)
def test_a8_a9_an_upgrade_is_required(request_):
    response = refusal(request_)
    assert response.status == 426
    assert response.headers["Sec-WebSocket-Version"] == "13"
    assert response.headers["Upgrade"] == "websocket"
    assert b"\r\nConnection: Upgrade, close\r\n" in serialize_response(response)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (upgrade(Connection="close"), "the Connection header is 'close': expected Upgrade"),
        (upgrade(without=["Connection"]), "the Connection header is missing: expected Upgrade"),
        (upgrade(Upgrade="h2c"), "the Upgrade header is 'h2c': expected websocket"),
        (upgrade(without=["Upgrade"]), "the Upgrade header is missing: expected websocket"),
        (
            upgrade(("Upgrade", "x"), Upgrade="h2c"),
            "the Upgrade header is 'h2c, x': expected websocket",
        ),
        (
            upgrade(Sec_WebSocket_Version="8"),
            "the Sec-WebSocket-Version header is '8': expected 13",
        ),
        (
            upgrade(("Sec-WebSocket-Version", "13")),
            "the Sec-WebSocket-Version header is '13, 13': expected 13",
        ),
        (
            upgrade(without=["Sec-WebSocket-Version"]),
            "the Sec-WebSocket-Version header is missing: expected 13",
        ),
        (
            upgrade(without=["Sec-WebSocket-Key"]),
            "the Sec-WebSocket-Key header is missing: expected one, of 16 bytes in base64",
        ),
        (
            upgrade(("Sec-WebSocket-Key", "x"), Sec_WebSocket_Key="y"),
            "the Sec-WebSocket-Key header is 'y, x': expected one, of 16 bytes in base64",
        ),
        (upgrade(Sec_WebSocket_Key="x"), "Sec-WebSocket-Key: 'x' is not 16 bytes in base64"),
        (upgrade(Connection="a b"), "Connection: 'a b' is not a token"),
        (
            upgrade(("Origin", "https://evil:1")),
            "the origin 'https://evil:1' is not that of the host 'example.com'",
        ),
    ],
)
def test_the_answer_names_the_header_that_is_wrong_and_its_value(request_, says):
    assert says in refusal(request_).body.decode()


@pytest.mark.parametrize(
    "request_",
    [
        upgrade(without=["Sec-WebSocket-Key"]),
        upgrade(("Sec-WebSocket-Key", KEY)),
        upgrade(Sec_WebSocket_Key="x"),
        upgrade(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ"),
        upgrade(Sec_WebSocket_Key="\xff" * 24),
    ],
)
def test_a6_a7_keys(request_):
    response = refusal(request_)
    assert response.status == 400
    assert b"Sec-WebSocket-Key" in response.body


@pytest.mark.parametrize(
    "request_",
    [
        upgrade(Connection="Upgrade, \xe9"),
        upgrade(Upgrade="websocket, \xe9"),
        upgrade(Upgrade="websocket;"),
        upgrade(("Sec-WebSocket-Protocol", "caf\xe9")),
        upgrade(("Sec-WebSocket-Protocol", "b" + " " * 8_000 + "x")),
        upgrade(("Sec-WebSocket-Extensions", "x; y=\xe9")),
        upgrade(("Sec-WebSocket-Extensions", "x;")),
    ],
)
def test_a11_a13_malformed_lists(request_):
    assert refusal(request_, extensions=[FakeNegotiator()]).status == 400


@pytest.mark.parametrize(
    "name", ["Upgrade", "Connection", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]
)
def test_a14_lists_over_the_limit(name):
    own = UPGRADE.get(name, "own")
    request = upgrade(
        (name, own), (name, ", ".join("ab")), (name, ", ".join(["a"] * 4_000)), without=[name]
    )
    response = refusal(request, limits=Limits(list_items=5))
    assert response.status == 431
    assert name.encode() in response.body
    request = upgrade((name, own), (name, "a, b"), without=[name])
    assert ServerHandshake(limits=Limits(list_items=3)).answer(request).status == 101
    assert refusal(request, limits=Limits(list_items=2)).status == 431


@pytest.mark.parametrize("values", [["https://evil"], ["null"], ["http://example.com"] * 2])
def test_a25_origins(values):
    request = upgrade(*(("Origin", value) for value in values))
    response = refusal(request)
    assert response.status == 403
    assert ServerHandshake(origins="any").answer(request).status == 101


def test_origins_allowed():
    request = upgrade(("Origin", "https://example.com"))
    for origins in (
        "same",
        "any",
        ["https://example.com"],
        {re.compile(r"https://.*\.com")},
        OriginPolicy(["https://example.com"]),
    ):
        assert ServerHandshake(origins=origins).answer(request).status == 101
    assert refusal(request, origins=[]).status == 403
    assert refusal(upgrade(), origins=["https://example.com"]).status == 403


def test_over_tls_the_origin_must_be_https():
    request = upgrade(("Origin", "http://example.com"))
    handshake = ServerHandshake()
    assert handshake.answer(request).status == 101
    with pytest.raises(BadRequest, match=r"is not that of the host 'example\.com' over TLS"):
        handshake.answer(request, is_secure=True)
    secure = upgrade(("Origin", "https://example.com"))
    assert handshake.answer(secure, is_secure=True).status == 101


def test_the_origin_is_compared_with_an_absolute_target():
    headers = [*UPGRADE.items(), ("Origin", "http://other")]
    assert ServerHandshake().answer(Request("http://other/", headers)).status == 101
    assert refusal(Request("http://example.com/", headers)).status == 403


@pytest.mark.parametrize(
    ("offered", "ours", "chosen"),
    [
        (["a, b"], ["b", "a"], "a"),
        (["a", "b"], ["b"], "b"),
        (["a"], ["A"], None),
        (["a"], [], None),
        ([], ["a"], None),
        ([""], ["a"], None),
    ],
)
def test_the_first_of_the_clients_subprotocols(offered, ours, chosen):
    handshake = ServerHandshake(subprotocols=ours)
    request = upgrade(*(("Sec-WebSocket-Protocol", value) for value in offered))
    assert handshake.answer(request).headers.get("Sec-WebSocket-Protocol") == chosen
    assert handshake.subprotocol == chosen


@pytest.mark.parametrize(
    ("offered", "says"),
    [
        ([], "header is missing: expected one of chat, superchat"),
        (["soap, Chat"], "header is 'soap, Chat': expected one of chat, superchat"),
        (["soap", "wamp"], "header is 'soap, wamp': expected one of chat, superchat"),
        ([""], "header is '': expected one of chat, superchat"),
    ],
)
def test_a_subprotocol_may_be_required(offered, says):
    options: Any = {"subprotocols": ["chat", "superchat"], "subprotocol_required": True}
    request = upgrade(*(("Sec-WebSocket-Protocol", value) for value in offered))
    response = refusal(request, **options)
    assert response.status == 400
    assert says in response.body.decode()
    handshake = ServerHandshake(**options)
    handshake.answer(upgrade(("Sec-WebSocket-Protocol", "soap, superchat")))
    assert handshake.subprotocol == "superchat"


@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_whether_a_subprotocol_is_required_is_a_bool(value):
    with pytest.raises(TypeError, match="subprotocol_required is a bool"):
        ServerHandshake(subprotocols=["a"], subprotocol_required=value)


def test_without_subprotocols_none_can_be_required():
    with pytest.raises(ValueError, match="there are no subprotocols to choose from"):
        ServerHandshake(subprotocol_required=True)


def test_offers_are_tried_in_their_order():
    first, second = FakeNegotiator("x-one"), FakeNegotiator("x-two")
    handshake = ServerHandshake(extensions=[first, second])
    offers = "x-none, x-two; bad, x-two; good, x-one"
    response = handshake.answer(upgrade(("Sec-WebSocket-Extensions", offers)))
    assert response.headers["Sec-WebSocket-Extensions"] == "x-two; agreed"
    assert second.seen == [[("bad", None)], [("good", None)]]
    assert first.seen == []


def test_two_of_ours_may_have_one_name():
    first, second = FakeNegotiator(), FakeNegotiator()
    first.declines = True
    handshake = ServerHandshake(extensions=[first, second])
    handshake.answer(upgrade(("Sec-WebSocket-Extensions", "x-fake")))
    assert handshake.extension is not None
    assert first.seen == second.seen == [[]]


def test_no_offer_that_suits():
    handshake = ServerHandshake(extensions=[FakeNegotiator()])
    response = handshake.answer(upgrade(("Sec-WebSocket-Extensions", "x-fake; bad, x-else")))
    assert "Sec-WebSocket-Extensions" not in response.headers
    assert handshake.extension is None


def test_nothing_is_negotiated_in_a_request_that_is_refused():
    negotiator = FakeNegotiator()
    offer = ("Sec-WebSocket-Extensions", "x-fake")
    for bad in (("Origin", "null"), ("Sec-WebSocket-Protocol", "a b")):
        refusal(upgrade(offer, bad), extensions=[negotiator])
    assert negotiator.seen == []


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Sec-WebSocket-Accept": "x"}},
        {"headers": {"Upgrade": "x"}},
        {"headers": {"connection": "x"}},
        {"headers": {"Content-Length": "0"}},
        {"headers": {"Transfer-Encoding": "x"}},
        {"headers": {"X": "a\r\nb"}},
        {"headers": {"X\r\nY": "a"}},
        {"subprotocols": ["a b"]},
        {"origins": "https://example.com"},
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=r"header|token|origins"):
        ServerHandshake(**options)


def test_other_headers_may_be_headers():
    extra = Headers({"Set-Cookie": "a=b"})
    response = ServerHandshake(headers=extra).answer(upgrade())
    assert response.headers["Set-Cookie"] == "a=b"


names = st.sampled_from([*UPGRADE, "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin"])
values = st.text(st.characters(codec="iso-8859-1", exclude_categories=["Cc"]), max_size=20)
pieces = st.lists(st.sampled_from(["a", ",", ";", "=", '"', "\\", " ", "://", "x-fake"]))


@given(st.lists(st.tuples(names, values | pieces.map("".join)), max_size=4), st.booleans())
def test_nothing_but_bad_request(fields, replace):
    without = {name for name, _ in fields} if replace else ()
    handshake = ServerHandshake(extensions=[FakeNegotiator()], subprotocols=["a"])
    try:
        response = handshake.answer(upgrade(*fields, without=without))
    except BadRequest as error:
        response = error.response
        check_message(error)
    assert response.status in {101, 400, 403, 426, 431}

"""Net::WebSocket's opening handshake."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint import BadResponse, HandshakeRefused, InvalidURL, Response
from trio_wsendpoint.extensions import Deflate, PerMessageDeflate
from trio_wsendpoint.handshake import (
    ClientHandshake,
    RequestReader,
    ServerHandshake,
    WebSocketURL,
    accept_key,
    serialize_request,
    serialize_response,
)

from .helpers import ACCEPT, KEY, answer, opening, refused

KEY_BYTES = b"the sample nonce"


def client(url: str = "ws://example.com/chat?x=1", **options: Any) -> ClientHandshake:
    """Return a client whose key is the one of RFC 6455 section 1.3."""
    return ClientHandshake(url, random_bytes=lambda size: KEY_BYTES, **options)


def accepted(*more: tuple[str, str], **options: Any) -> tuple[ServerHandshake, Response]:
    handshake = ServerHandshake(**options)
    return handshake, handshake.answer(opening(*more))


# ---- both sides ------------------------------------------------------------------------------


def test_the_accept_of_the_rfcs_example():
    assert accept_key(KEY) == ACCEPT


def test_header_names_have_no_case():
    request = opening(without="Upgrade")
    request = type(request)("/", [*request.headers.items(), ("uPGRADE", "WebSocket")])
    assert ServerHandshake().answer(request).status == 101


def test_to_string_is_the_whole_head_with_its_blank_line():
    _, response = accepted()
    assert serialize_response(response) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n"
    )


def test_extra_headers_are_appended():
    _, response = accepted(headers=[("X-One", "1")])
    assert response.headers.items()[-1] == ("X-One", "1")
    request = client(headers=[("X-One", "1")]).request()
    assert request.headers.items()[-1] == ("X-One", "1")


@pytest.mark.parametrize("value", ["1\r\nSet-Cookie: a=b", "1\n", "\r", "\0"])
def test_extra_headers_cannot_inject_lines(value: str):
    # Improved: they were appended raw.
    for make in (client, ServerHandshake):
        with pytest.raises(ValueError, match="X-One"):
            make(headers=[("X-One", "a" + value + "b")])


def test_subprotocol_is_none_before_the_handshake():
    # Improved: an error without a type.
    assert ServerHandshake(subprotocols=["chat"]).subprotocol is None
    assert client(subprotocols=["chat"]).subprotocol is None


def test_lists_are_split_on_commas_and_trimmed_and_empty_elements_pass():
    handshake, _ = accepted(("Sec-WebSocket-Protocol", ",\t a ,, b ,"), subprotocols=["b"])
    assert handshake.subprotocol == "b"


@pytest.mark.parametrize("bad", '()<>@;:\\"/[]?={}')
def test_separators_inside_a_token_are_refused(bad: str):
    assert refused(opening(("Sec-WebSocket-Protocol", f"a{bad}b"))).status == 400


# ---- the server ------------------------------------------------------------------------------


def test_the_server_wants_http_1_1():
    assert refused(opening(http_version="1.0")).status == 505


def test_the_server_wants_get():
    assert refused(opening(method="POST")).status == 405


@pytest.mark.parametrize("name", ["Connection", "Upgrade", "Sec-WebSocket-Version"])
def test_missing_headers_are_refused_with_426(name: str):
    response = refused(opening(without=name))
    assert response.status == 426
    assert response.headers["Sec-WebSocket-Version"] == "13"


def test_a_missing_key_is_refused():
    assert refused(opening(without="Sec-WebSocket-Key")).status == 400


@pytest.mark.parametrize("version", ["8", "13, 8", "013", "13.0"])
def test_only_version_13_is_served(version: str):
    assert refused(opening(Sec_WebSocket_Version=version)).status == 426


@pytest.mark.parametrize("key", ["", "abc", KEY[:-1], "=" * 24, "*" * 22 + "=="])
def test_a_key_that_is_no_key_is_refused(key: str):
    assert refused(opening(Sec_WebSocket_Key=key)).status == 400


def test_a_duplicate_key_is_refused():
    # Improved: the last one won.
    assert refused(opening(("Sec-WebSocket-Key", KEY))).status == 400


def test_the_subprotocol_is_the_first_of_the_clients_list_that_we_have():
    handshake, response = accepted(
        ("Sec-WebSocket-Protocol", "x, b"), ("Sec-WebSocket-Protocol", "a"), subprotocols=["a", "b"]
    )
    assert handshake.subprotocol == "b"
    assert response.headers["Sec-WebSocket-Protocol"] == "b"


def test_no_common_subprotocol_is_no_error_and_no_header():
    handshake, response = accepted(("Sec-WebSocket-Protocol", "x"), subprotocols=["a"])
    assert handshake.subprotocol is None
    assert "Sec-WebSocket-Protocol" not in response.headers
    assert response.status == 101


def test_an_unknown_extension_is_passed_over():
    handshake, response = accepted(("Sec-WebSocket-Extensions", "x-foo; a=1"))
    assert handshake.extension is None
    assert "Sec-WebSocket-Extensions" not in response.headers


def test_the_order_of_the_servers_headers():
    _, response = accepted(
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        subprotocols=["chat"],
        extensions=[Deflate()],
    )
    assert [name for name, _ in response.headers.items()] == [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
    ]


def test_only_extensions_that_were_agreed_are_in_the_answer():
    handshake, response = accepted(extensions=[Deflate()])
    assert handshake.extension is None
    assert "Sec-WebSocket-Extensions" not in response.headers


def test_extension_parameters_may_be_quoted():
    handshake, _ = accepted(
        ("Sec-WebSocket-Extensions", 'permessage-deflate; server_max_window_bits="10"'),
        extensions=[Deflate()],
    )
    assert isinstance(handshake.extension, PerMessageDeflate)
    assert handshake.extension.agreed.window_bits == 10


# ---- the client ------------------------------------------------------------------------------


def test_the_clients_request():
    request = client().request()
    assert serialize_request(request) == (
        b"GET /chat?x=1 HTTP/1.1\r\n"
        b"Host: example.com\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\n"
        b"Sec-WebSocket-Version: 13\r\n\r\n"
    )
    # The server's reader takes it.
    read = RequestReader().receive_data(serialize_request(request))
    assert read is not None
    assert ServerHandshake().answer(read).headers["Sec-WebSocket-Accept"] == ACCEPT


def test_the_client_asks_for_subprotocols_extensions_and_sends_its_origin():
    headers = (
        client(subprotocols=["a", "b"], extensions=[Deflate()], origin="https://example.com")
        .request()
        .headers
    )
    assert headers["Sec-WebSocket-Protocol"] == "a, b"
    assert headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
    assert headers["Origin"] == "https://example.com"


@pytest.mark.parametrize("url", ["ws://h", "wss://h", "WS://h"])
def test_the_clients_url(url: str):
    assert WebSocketURL.parse(url).host == "h"


@pytest.mark.parametrize("url", ["http://h", "https://h", "ftp://h", "h", "/path", "ws://"])
def test_other_urls_are_refused(url: str):
    # Decision: http and https were taken too; nobody else does.
    with pytest.raises(InvalidURL):
        client(url)


def test_the_path_is_a_slash_if_there_is_none():
    assert client("ws://h").request().target == "/"
    assert client("ws://h?a").request().target == "/?a"


def test_two_clients_have_different_keys():
    keys = {ClientHandshake("ws://h").request().headers["Sec-WebSocket-Key"] for _ in range(4)}
    assert len(keys) == 4


@pytest.mark.parametrize("status", [200, 301, 401, 404, 503])
def test_another_status_is_a_refusal_that_carries_the_response(status: int):
    with pytest.raises(HandshakeRefused, match=str(status)) as caught:
        client().check(answer(status=status))
    assert caught.value.response.status == status


def test_the_right_answer_passes():
    handshake = client(subprotocols=["a", "b"])
    handshake.check(answer(("Sec-WebSocket-Protocol", "b")))
    assert handshake.subprotocol == "b"


def test_a_server_that_sends_no_subprotocol_is_fine():
    handshake = client(subprotocols=["a"])
    handshake.check(answer())
    assert handshake.subprotocol is None


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (answer(without="Upgrade"), "Upgrade header is missing"),
        (answer(without="Connection"), "Connection header is missing"),
        (answer(without="Sec-WebSocket-Accept"), "Accept header is missing"),
        (answer(("Sec-WebSocket-Accept", ACCEPT)), "Sec-WebSocket-Accept"),
        (
            answer(("Sec-WebSocket-Accept", "x"), without="Sec-WebSocket-Accept"),
            f"expected {ACCEPT}",
        ),
        (answer(("Sec-WebSocket-Protocol", "c")), "Sec-WebSocket-Protocol"),
        (
            answer(("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "a")),
            "Sec-WebSocket-Protocol",
        ),
        (answer(("Sec-WebSocket-Extensions", "x-foo")), "extension not offered"),
        (
            answer(
                ("Sec-WebSocket-Extensions", "permessage-deflate"),
                ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ),
            "more than one extension",
        ),
    ],
    ids=[
        "no upgrade",
        "no connection",
        "no accept",
        "two accepts",
        "wrong accept",
        "unknown subprotocol",
        "two subprotocols",
        "unknown extension",
        "two extensions",
    ],
)
def test_a_wrong_answer_is_refused_and_says_what_was_expected(response: Response, text: str):
    handshake = client(subprotocols=["a"], extensions=[Deflate()])
    with pytest.raises(BadResponse, match=text.replace("+", r"\+")):
        handshake.check(response)
    assert handshake.subprotocol is None
    assert handshake.extension is None

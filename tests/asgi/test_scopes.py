"""Scopes: each key, as the specification and the frameworks have it."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint.addressing import Peer, PeerTLS, SocketAddress
from trio_wsendpoint.asgi.scopes import Surroundings, http_scope, websocket_scope
from trio_wsendpoint.handshake import Request

PEER = Peer(address="192.0.2.1", port=4711)
LOCAL = SocketAddress("192.0.2.2", 80)


def scope_of(target: str = "/", headers: Any = (), **more: Any) -> dict[str, Any]:
    around = Surroundings(
        **{name: more.pop(name) for name in ("root_path", "state") if name in more}
    )
    make = more.pop("make", http_scope)
    given = {"peer": PEER, "local": LOCAL, **more}
    request = Request(target, headers, more.pop("method", "GET"))
    scope: dict[str, Any] = make(request, given["peer"], given["local"], around)
    return scope


def test_every_key_of_a_request() -> None:
    headers = [("Host", "a"), ("X-A", "\xe9"), ("x-a", "2")]
    assert scope_of("/caf%C3%A9%2Fx?q=%20", headers) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/caf\u00e9/x",
        "raw_path": b"/caf%C3%A9%2Fx",
        "query_string": b"q=%20",
        "root_path": "",
        "headers": [(b"host", b"a"), (b"x-a", b"\xe9"), (b"x-a", b"2")],
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.2", 80),
        "extensions": {},
    }


def test_every_key_of_an_opening() -> None:
    headers = [("Sec-WebSocket-Protocol", "a, b"), ("Sec-WebSocket-Protocol", "c")]
    scope = scope_of("/", headers, make=websocket_scope)
    assert scope.keys() == scope_of().keys() - {"method"} | {"subprotocols"}
    assert scope["type"] == "websocket"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert scope["scheme"] == "ws"
    assert scope["subprotocols"] == ["a", "b", "c"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert scope_of(make=websocket_scope)["subprotocols"] == []


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/%ff", "/\ufffd", b"/%ff", b""),
        ("/%zz", "/%zz", b"/%zz", b""),
        ("http://b/x%20y?a=b?c", "/x y", b"/x%20y", b"a=b?c"),
        ("/a+b?", "/a+b", b"/a+b", b""),
    ],
)
def test_paths(target: str, path: str, raw_path: bytes, query: bytes) -> None:
    scope = scope_of(target)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


def test_a_root_path_is_put_before_both_paths() -> None:
    scope = scope_of("/x%20y", root_path="/api")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (
        "/api",
        "/api/x y",
        b"/api/x%20y",
    )


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        (Peer(address="192.0.2.9", proxies=("10.0.0.1",)), ("192.0.2.9", 0)),
        (Peer(address=None, proxies=("10.0.0.1",)), None),
        (Peer(address="", transport="unix"), None),
        (Peer(address="", transport="stream"), None),
    ],
)
def test_clients(peer: Peer, client: tuple[str, int] | None) -> None:
    assert scope_of(peer=peer)["client"] == client


def test_servers() -> None:
    assert scope_of(local=SocketAddress("/run/app", family="unix"))["server"] == ("/run/app", None)
    assert scope_of(local=None)["server"] is None


def test_nothing_is_shared_between_scopes() -> None:
    state = {"pool": [1]}
    one, two = scope_of(state=state), scope_of(state=state)
    assert one["state"] == state
    for key in ("state", "headers", "extensions", "asgi"):
        assert one[key] == two[key]
        assert one[key] is not two[key]
    assert one["state"] is not state
    assert one["state"]["pool"] is state["pool"]
    assert "state" not in scope_of()


def test_tls() -> None:
    tls = PeerTLS("TLSv1.3", "TLS_AES_128_GCM_SHA256", common_name="a, b", certificate=b"der")
    peer = Peer(address="192.0.2.1", port=1, tls=tls)
    scope = scope_of(peer=peer)
    assert scope["scheme"] == "https"
    assert scope["extensions"]["tls"] == {
        "server_cert": None,
        "client_cert_chain": ["-----BEGIN CERTIFICATE-----\nZGVy\n-----END CERTIFICATE-----\n"],
        "client_cert_name": "CN=a\\, b",
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1301,
    }
    assert scope_of(peer=peer, make=websocket_scope)["scheme"] == "wss"


def test_tls_of_which_little_is_known() -> None:
    tls = scope_of(peer=Peer(address="192.0.2.1", tls=PeerTLS()))["extensions"]["tls"]
    assert tls["client_cert_chain"] == []
    assert {tls[key] for key in tls.keys() - {"client_cert_chain"}} == {None}


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("#a", "\\#a"), (" a ", "\\ a\\ "), ("\\", "\\\\"), ("a\0", "a\\00"), ("", ""), (" ", "\\ ")],
)
def test_names_are_escaped(name: str, escaped: str) -> None:
    peer = Peer(address="192.0.2.1", tls=PeerTLS(common_name=name))
    assert scope_of(peer=peer)["extensions"]["tls"]["client_cert_name"] == f"CN={escaped}"

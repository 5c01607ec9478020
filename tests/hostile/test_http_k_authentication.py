"""Section K: credentials, as far as a request decides."""

from __future__ import annotations

import base64

import pytest

from tests.http.wire import connection, request, served
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import (
    Unauthorized,
    are_equal,
    basic_auth,
    basic_credentials,
    bearer_token,
)


def head_with(*values, target="/"):
    """Return the request, as our own reader has read it."""
    lines = [f"Authorization: {value}" for value in values]
    [head] = served(request(*lines, first=f"GET {target} HTTP/1.1")).heads
    return head.request


def basic(data):
    return "Basic " + base64.b64encode(data).decode()


def check_401(*values, find=basic_credentials):
    for value in values:
        with pytest.raises(Unauthorized) as caught:
            find(head_with(value))
        assert caught.value.response.status == 401
        assert "WWW-Authenticate" in caught.value.response.headers


async def test_k213_colons():
    assert basic_credentials(head_with("Basic dXNlcjpwYTpzcw==")) == ("user", "pa:ss")
    check_401(basic(b"user"), basic(b""))
    assert basic_credentials(head_with(basic(b":"))) == ("", "")
    authenticate = basic_auth(lambda user, password: (user, password) == ("", "p"))
    assert await authenticate(head_with(basic(b":p"))) == ""


def test_k214_schemes():
    assert basic_credentials(head_with("bASIC  dXNlcjpw")) == ("user", "p")
    check_401("basic x", "Basic", "Basic\tdXNlcjpw", "Basicx dXNlcjpw", "Digest dXNlcjpw")
    with pytest.raises(BadRequest) as caught:
        basic_credentials(head_with(basic(b"a:b"), basic(b"a:b")))
    assert caught.value.response.status == 400
    http = connection()
    http.receive_data(request("Authorization: a", "Authorization: b"), 0)
    http.next_request(0)
    assert b"Connection: close" in http.refuse(caught.value.response, 0)


def test_k215_base64():
    check_401(
        "Basic dXNl cjpw",
        "Basic dXNlcjpw*YXNz",
        "Basic ====",
        "Basic dTr_",
        "Basic dXNlcjpw\xe9",
        "Basic dXNlcjpwYQ",
        "Basic dXNlcjpwYR==",
    )


def test_k216_utf_8():
    assert basic_credentials(head_with(basic("\xfc:\u20ac".encode()))) == ("\xfc", "\u20ac")
    assert basic_credentials(head_with(basic("u:e\u0301".encode()))) == ("u", "e\u0301")
    check_401(basic(b"u:\xff"), basic(b"u:\xc0\xaf"), basic(b"u:\0"), basic(b"u\n:p"))
    with pytest.raises(Unauthorized) as caught:
        basic_credentials(head_with())
    assert 'charset="UTF-8"' in caught.value.challenge


async def test_k217_comparison():
    assert are_equal("\xe9", "\xe9")
    assert not are_equal("\xe9", "e")
    authenticate = basic_auth({"ann": "p\xe4ss", "b\xf6b": "x"})
    assert await authenticate(head_with(basic("ann:p\xe4ss".encode()))) == "ann"
    for text in ("ann:x", "b\xf6b:p\xe4ss", "eve:x", "\u20ac:\u20ac"):
        with pytest.raises(Unauthorized):
            await authenticate(head_with(basic(text.encode())))


def test_k218_bearer_tokens():
    assert bearer_token(head_with("Bearer " + "x" * 8192)) == "x" * 8192
    for value in ("Bearer", "Bearer a b", "Bearer x,y", "Bearer caf\xe9", "Bearer ="):
        with pytest.raises(Unauthorized) as caught:
            bearer_token(head_with(value))
        assert caught.value.response.status == 401
        assert 'error="invalid_request"' in caught.value.challenge


def test_k219_realms():
    with pytest.raises(Unauthorized) as caught:
        basic_credentials(head_with(), realm='a"b\\c')
    assert caught.value.challenge.startswith('Basic realm="a\\"b\\\\c"')
    for realm in ("a\r\nX: y", "a\n", "\xe9"):
        with pytest.raises(ValueError, match="is not printable ASCII"):
            basic_auth({}, realm=realm)


def test_k220_a_401_has_a_challenge():
    check_401("x")
    check_401("x", find=bearer_token)
    with pytest.raises(Unauthorized) as caught:
        basic_credentials(head_with())
    http = connection()
    http.receive_data(request("Upgrade: websocket", "Connection: Upgrade"), 0)
    assert http.next_request(0) is not None
    answer = http.respond(caught.value.response, 0)
    assert b"\r\nWWW-Authenticate: Basic realm=" in answer
    assert b"Connection: close" in answer


async def test_k221_each_request_is_checked():
    data = request(f"Authorization: {basic(b'ann:x')}") + request()
    first, second = served(data).heads
    authenticate = basic_auth({"ann": "x"})
    assert await authenticate(first.request) == "ann"
    with pytest.raises(Unauthorized):
        await authenticate(second.request)


async def test_k222_no_secret_is_in_an_error():
    for value in (basic(b"ann:hunter2"), "Basic hunter2", "Bearer hunter2 x"):
        for find in (basic_credentials, bearer_token):
            try:
                find(head_with(value, target="/?access_token=hunter2"))
            except Unauthorized as error:
                told = f"{error!r} {error} {error.response!r} {error.challenge}"
                assert "hunter2" not in told
                assert base64.b64encode(b"hunter2").decode() not in told
    with pytest.raises(Unauthorized) as caught:
        await basic_auth({})(head_with(basic(b"ann:hunter2")))
    assert "hunter2" not in repr(caught.value)


async def test_k222_secrets_in_the_access_log(caplog):
    from tests.server.helpers import echo, open_raw, request, serve_memory
    from trio_wsendpoint import AccessLog

    caplog.set_level("DEBUG")
    secrets = {"Authorization": "Bearer SECRET", "Cookie": "id=SECRET"}
    async with serve_memory(echo, access_log=AccessLog()) as served:
        stream = served.connect()
        await open_raw(stream, request("/chat?access_token=SECRET", **secrets))
        await stream.aclose()
    assert '"GET /chat HTTP/1.1" 101' in caplog.text
    assert "SECRET" not in caplog.text

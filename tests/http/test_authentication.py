import base64

import pytest

from trio_wsendpoint.handshake import Request
from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import (
    Unauthorized,
    are_equal,
    basic_auth,
    basic_credentials,
    bearer_token,
)


def request(*values):
    return Request("/", [("Authorization", value) for value in values])


def basic(text, scheme="Basic"):
    data = text.encode() if isinstance(text, str) else text
    return f"{scheme} {base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Basic dXNlcjpwYTpzcw==", ("user", "pa:ss")),
        (basic("user:", "bAsIc"), ("user", "")),
        (basic(":p", "BASIC "), ("", "p")),
        (basic("\xfcser:p\xe4ss \u20ac"), ("\xfcser", "p\xe4ss \u20ac")),
        (basic("u:e\u0301"), ("u", "e\u0301")),  # not normalised
    ],
)
def test_basic_credentials(value, expected):
    assert basic_credentials(request(value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "basic x",
        "Basic\tdXNlcjpw",
        "Basic:dXNlcjpw",
        "Bearer dXNlcjpw",
        "Basic dXNl cjpw",
        "Basic dXNlcjpwYXNz*",
        "Basic dXNlcjpw*YXNz",
        "Basic ====",
        "Basic dXNlcjpw====",
        "Basic dXNlcjpwYQ",
        "Basic dXNlcjpwYR==",
        "Basic dTr_",
        "Basic dXNlcjpw\xe9",
        basic("user"),
        basic(b"user:\xff"),
        basic("us\ner:p"),
        basic("user:p\x7f"),
        basic("user:p\x85"),
        basic(b"user:\xed\xa0\x80"),
    ],
)
def test_what_is_unauthorized(value):
    with pytest.raises(Unauthorized) as caught:
        basic_credentials(request(value), realm='a "b" \\')
    assert caught.value.response.status == 401
    assert caught.value.response.headers["WWW-Authenticate"] == caught.value.challenge
    assert caught.value.challenge == 'Basic realm="a \\"b\\" \\\\", charset="UTF-8"'


def test_no_header():
    with pytest.raises(Unauthorized, match="no Basic credentials"):
        basic_credentials(request())


def test_two_headers():
    for find in (basic_credentials, bearer_token):
        with pytest.raises(BadRequest) as caught:
            find(request(basic("a:b"), basic("a:b")))
        assert caught.value.response.status == 400


@pytest.mark.parametrize("token", ["a", "A-z0.9_~+/", "abc==", "x" * 8192])
def test_bearer_tokens(token):
    assert bearer_token(request(f"Bearer {token}")) == token
    assert bearer_token(request(f"BEARER  {token}")) == token


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer a b", "Bearer x,y", "Bearer caf\xe9", "Bearer =", "Bearer a=b"]
)
def test_malformed_tokens(value):
    with pytest.raises(Unauthorized) as caught:
        bearer_token(request(value))
    assert caught.value.challenge == 'Bearer realm="restricted", error="invalid_request"'


def test_no_token():
    for values in ((), (basic("a:b"),)):
        with pytest.raises(Unauthorized) as caught:
            bearer_token(request(*values), realm="r")
        assert caught.value.challenge == 'Bearer realm="r"'
    with pytest.raises(Unauthorized, match="no bearer token"):
        bearer_token(Request("/?access_token=a"))


@pytest.mark.parametrize("realm", ["a\r\nX: y", "caf\xe9", "a\0"])
def test_realms_that_are_refused(realm):
    for find in (basic_credentials, bearer_token):
        with pytest.raises(ValueError, match="is not printable ASCII"):
            find(request("Basic x"), realm=realm)
    with pytest.raises(ValueError, match="is not printable ASCII"):
        basic_auth({}, realm=realm)


def test_equality():
    assert are_equal("caf\xe9", "caf\xe9".encode())
    assert not are_equal("a", "b")
    assert not are_equal("a", b"ab")
    assert are_equal("\udcff", "\udcff")


USERS = {"ann": "one", "b\xf6b": "zw\xf6i"}


async def user_of(check, text):
    return await basic_auth(check)(request(basic(text)))


async def test_passwords_by_user():
    assert await user_of(USERS, "ann:one") == "ann"
    assert await user_of(USERS, "b\xf6b:zw\xf6i") == "b\xf6b"
    for text in ("ann:two", "ann:", "eve:one", "ann:zw\xf6i", ":one"):
        with pytest.raises(Unauthorized, match="wrong user or password") as caught:
            await user_of(USERS, text)
        assert 'charset="UTF-8"' in caught.value.challenge
        assert "two" not in repr(caught.value)


async def test_every_user_is_compared_with(monkeypatch):
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    counts = set()
    for text in ("ann:one", "ann:two", "eve:one"):
        compared.clear()
        try:
            await user_of(USERS, text)
        except Unauthorized:
            pass
        counts.add(len(compared))
    assert counts == {4}
    assert all(isinstance(value, bytes) for pair in compared for value in pair)


async def test_a_function_decides():
    asked = []

    def check(user, password):
        asked.append((user, password))
        return password == "right"

    async def check_later(user, password):
        return check(user, password)

    for function in (check, check_later):
        assert await user_of(function, "ann:right") == "ann"
        with pytest.raises(Unauthorized):
            await user_of(function, "ann:wrong")
    assert await user_of(lambda user, _: not user, ":") == ""
    asked.clear()
    with pytest.raises(Unauthorized):
        await basic_auth(check)(request("Basic x"))
    assert asked == []


async def test_only_true_is_right():
    for answer in (None, 1, "yes"):
        with pytest.raises(Unauthorized):
            await user_of(lambda _u, _p, answer=answer: answer, "a:b")


async def test_the_functions_error_is_raised():
    def check(user, password):
        raise KeyError(user)

    with pytest.raises(KeyError):
        await user_of(check, "a:b")

import pytest

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.handshake.refusal import (
    check_method,
    check_version,
    refuse,
    upgrade_required,
)


def test_refuse():
    error = refuse(400, "no such thing", {"X": "y"})
    assert str(error) == "no such thing"
    assert error.response.status == 400
    assert error.response.body == b"no such thing\n"
    assert error.response.headers["X"] == "y"
    assert error.response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_upgrade_required():
    response = upgrade_required("upgrade").response
    assert response.status == 426
    assert response.headers["Upgrade"] == "websocket"
    assert response.headers["Connection"] == "Upgrade"
    assert response.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize("method", ["POST", "get", "HEAD", "OPTIONS"])
def test_only_get(method):
    with pytest.raises(BadRequest, match=f"not '{method}'") as caught:
        check_method(method)
    response = caught.value.response
    assert response.status == 405
    assert response.headers["Allow"] == "GET"
    assert bool(response.body) == (method != "HEAD")
    check_method("GET")


@pytest.mark.parametrize("version", ["1.0", "1.2", "2.0", "0.9", "2"])
def test_only_http_1_1(version):
    with pytest.raises(BadRequest, match=r"only HTTP/1.1") as caught:
        check_version(version)
    assert caught.value.response.status == 505
    check_version("1.1")

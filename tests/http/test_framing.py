import pytest

from trio_wsendpoint.handshake.errors import BadRequest
from trio_wsendpoint.http import BodyTooLarge
from trio_wsendpoint.http.framing import Framing, framing_of


def framing(*, lengths=None, codings=None, version="1.1", limit=1000):
    fields = {"content-length": lengths, "transfer-encoding": codings}
    present = {name: values for name, values in fields.items() if values is not None}
    return framing_of(present, version, limit)


def test_what_a_head_may_say():
    assert framing() == Framing()
    assert framing().is_empty
    assert framing(lengths=["0"]).is_empty
    assert framing(lengths=["003"]) == Framing(length=3)
    assert framing(lengths=["1000"], version="1.0") == Framing(length=1000)
    for spelled in ("chunked", "Chunked", "\tchunked "):
        assert framing(codings=[spelled]) == Framing(chunked=True)
    assert not framing(codings=["chunked"]).is_empty
    assert framing(lengths=["9" * 18], limit=None).length == 10**18 - 1


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"lengths": ["4"], "codings": ["chunked"]}, 400),
        ({"lengths": ["x"], "codings": ["gzip"]}, 400),
        ({"lengths": ["3", "3"]}, 400),
        ({"lengths": ["3, 3"]}, 400),
        *(
            ({"lengths": [text]}, 400)
            for text in ("+3", "-1", "0x3", "3,", "", "\xb3", "3_0", "3.")
        ),
        ({"codings": ["chunked"], "version": "1.0"}, 400),
        ({"codings": ["gzip"], "version": "1.0"}, 400),
        *(
            ({"codings": [text]}, 501)
            for text in ("xchunked", "gzip, chunked", '"chunked"', "chunked,", "", "identity")
        ),
        ({"codings": ["chunked", "chunked"]}, 501),
        ({"lengths": ["1001"]}, 413),
        ({"lengths": ["9" * 20]}, 413),
        ({"lengths": ["9" * 5000]}, 413),
        ({"lengths": ["9" * 19], "limit": None}, 413),
    ],
)
def test_what_is_refused(options, status):
    with pytest.raises(BadRequest) as caught:
        framing(**options)
    assert caught.value.response.status == status
    assert isinstance(caught.value, BodyTooLarge) == (status == 413)


def test_leading_zeros_do_not_count():
    assert framing(lengths=["0" * 5000 + "7"]).length == 7

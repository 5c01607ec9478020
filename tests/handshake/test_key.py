import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.key import accept_key, check_key, make_key

from .fakes import ACCEPT, KEY, random_bytes


def test_the_example_of_the_rfc():
    assert make_key(random_bytes) == KEY
    assert accept_key(KEY) == ACCEPT
    check_key(KEY)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAA",  # 15 bytes
        "AAAAAAAAAAAAAAAAAAAAAAA=",  # 17 bytes
        "dGhlIHNhbXBsZSBub25jZR==",  # bits set in the padding
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ==\n",
        "dGhlIHNhbXBsZSBub25j-Q==",
        "dGhlIHNhbXBsZSBub25jZQ==, x",
        "\xe9" * 24,
    ],
)
def test_keys_that_are_none(key):
    # A7.
    with pytest.raises(ValueError, match="is not 16 bytes in base64"):
        check_key(key)


@given(st.binary(min_size=16, max_size=16))
def test_made_keys_are_good(value):
    check_key(make_key(lambda _size: value))


@given(st.text(max_size=30))
def test_nothing_but_value_error(key):
    with pytest.raises(ValueError, match="base64"):
        check_key(key)

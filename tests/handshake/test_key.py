from string import ascii_letters, digits

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


@given(st.text(ascii_letters + digits + "+/", min_size=22, max_size=22))
def test_spare_bits_do_not_matter(drawn):
    # 15 of 16 such keys have some: RFC 4648 section 3.5 lets a decoder refuse them, or not.
    check_key(f"{drawn}==")


def test_a_key_is_answered_as_it_came():
    check_key("dGhlIHNhbXBsZSBub25jZR==")
    assert accept_key("dGhlIHNhbXBsZSBub25jZR==") != accept_key(KEY)


@given(st.binary(min_size=16, max_size=16))
def test_made_keys_are_good(value):
    check_key(make_key(lambda _size: value))


@given(st.text(max_size=30))
def test_nothing_but_value_error(key):
    with pytest.raises(ValueError, match="base64"):
        check_key(key)

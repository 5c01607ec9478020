from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.quoting import quoted


def test_short_text_comes_whole():
    assert quoted("chat") == "'chat'"
    assert quoted(b"\x00\n") == "b'\\x00\\n'"


def test_long_text_is_cut():
    assert quoted("a" * 11, 10) == "'aaaaaaaaaa'..."
    assert quoted("a" * 10, 10) == "'aaaaaaaaaa'"


def test_escapes_count():
    assert quoted("\x1b" * 100).endswith("...")
    assert len(quoted("\U0001f600" * 100)) == 200


@given(st.text() | st.binary(), st.integers(8, 200))
def test_one_line_of_ascii_of_bounded_length(value, limit):
    result = quoted(value, limit)
    assert result.isascii()
    assert result.isprintable()
    assert len(result) <= 2 * limit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.hosts import ascii_host

from .fakes import check_message


@pytest.mark.parametrize(
    ("name", "ascii_name"),
    [
        ("Example.COM", "example.com"),
        ("a_b.example.", "a_b.example."),
        ("127.0.0.1", "127.0.0.1"),
        ("stra\xdfe.de", "xn--strae-oqa.de"),
        ("\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"),
        ("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "xn--mgba3gch31f060k.com"),
        ("B\xdcCHER.example", "xn--bcher-kva.example"),
        ("\uff41.example\u3002", "a.example."),
        ("a" * 63, "a" * 63),
    ],
)
def test_good(name, ascii_name):
    assert ascii_host(name) == ascii_name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "there is no host"),
        ("a b", "is not a domain name"),
        ("a%41", "is not a domain name"),
        ("\xe9 b", "is not a domain name: Codepoint U\\+0020"),
        ("i\u2764.ws", "is not a domain name: Codepoint U\\+2764"),
        ("exa\u200dmple.com", "is not a domain name: Joiner"),
        ("\xe9..b", "is not a domain name: Empty Label"),
        ("\udc80.de", "is not a domain name"),
        ("\uff0f", "is not a domain name"),
        ("a..b", "empty or overlong"),
        (".", "empty or overlong"),
        ("a" * 64, "empty or overlong"),
        ("\xe9" * 64, "is not a domain name: Label too long"),
        ("\xdf" * 100_000, "empty or overlong"),
    ],
)
def test_bad(name, says):
    with pytest.raises(ValueError, match=says) as caught:
        ascii_host(name)
    check_message(caught.value)


@given(st.text(max_size=20) | st.text("\xe9\u200d.-x", max_size=20))
def test_nothing_but_value_error(name):
    try:
        result = ascii_host(name)
    except ValueError as error:
        check_message(error)
    else:
        assert result.isascii()
        assert ascii_host(result) == result

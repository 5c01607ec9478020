import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.headers import Headers

values = st.text(
    st.characters(codec="iso-8859-1", exclude_categories=["Cc"]).filter(lambda c: c != " "),
    max_size=9,
)
names = st.sampled_from(["A", "a", "B-c", "Cookie", "X"])


def test_empty():
    headers = Headers()
    assert len(headers) == 0
    assert not headers
    assert headers.get("Host") is None
    assert headers.get("Host", "none") == "none"
    assert headers.get_all("Host") == ()
    with pytest.raises(KeyError):
        headers["Host"]


def test_names_compare_without_case():
    headers = Headers({"Content-Type": "text/plain"})
    assert headers["content-TYPE"] == headers.get("CONTENT-type") == "text/plain"
    assert "CONTENT-TYPE" in headers
    assert 1 not in headers
    assert list(headers) == ["content-type"]
    assert headers.items() == (("Content-Type", "text/plain"),)


def test_repeated_fields():
    headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])
    assert headers.get_all("a") == ("1", "3")
    assert headers.get("A") == headers["a"] == "1, 3"
    assert len(headers) == 2
    assert headers.items() == (("A", "1"), ("b", "2"), ("a", "3"))


def test_made_of_headers():
    headers = Headers({"A": "1"})
    assert Headers(headers) == headers
    assert Headers(headers).items() == (("A", "1"),)


def test_equality():
    assert Headers([("A", "1"), ("B", "2")]) == Headers({"b": "2", "a": "1"})
    assert Headers([("A", "1"), ("A", "2")]) != Headers([("A", "2"), ("A", "1")])
    assert Headers({"A": "1"}) != {"a": "1"}
    assert hash(Headers({"A": "1"})) == hash(Headers({"a": "1"}))


def test_repr():
    assert repr(Headers({"A": "\xe9"})) == r"Headers([('A', '\xe9')])"


def test_blanks_around_values_are_taken_off():
    assert Headers({"A": " \t1 2\t "})["A"] == "1 2"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "\xe9", "a\0", " a", "\u212a"])
def test_bad_names(name):
    with pytest.raises(ValueError, match="is not a token"):
        Headers({name: "1"})


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0", "\x0ba", "\x7f", "\u0100", "a\r\n"])
def test_bad_values(value):
    with pytest.raises(ValueError, match=r"header 'X-Name': .* may not stand in") as caught:
        Headers({"X-Name": value})
    assert str(caught.value).isascii()


def test_tab_and_opaque_bytes_are_good_values():
    assert Headers({"A": "a\tb\x80\xff"})["A"] == "a\tb\x80\xff"


def test_long_values_are_cut_in_the_error():
    with pytest.raises(ValueError, match="may not stand") as caught:
        Headers({"A": "x" * 9_999 + "\n"})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "items", ["A: 1", [("A",)], [("A", b"1")], {"A": None}, {b"A": "1"}, [["A", "1", "2"]]]
)
def test_what_is_not_text(items):
    with pytest.raises(TypeError, match="a pair of strings"):
        Headers(items)


@given(st.lists(st.tuples(names, values)))
def test_what_goes_in_comes_out(items):
    headers = Headers(items)
    assert headers.items() == tuple(items)
    for name in headers:
        assert headers.get_all(name) == tuple(v for n, v in items if n.lower() == name)


@given(st.text(max_size=6), st.sampled_from("\r\n\0"), st.text(max_size=6))
def test_injection_is_always_a_value_error(before, bad, after):
    # A28.
    text = before + bad + after
    for items in ({text: "1"}, {"X": f"1{text}1"}):
        with pytest.raises(ValueError, match=r"token|may not stand"):
            Headers(items)

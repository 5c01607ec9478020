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


def test_cookies_that_a_proxy_has_split():
    # RFC 9113 section 8.2.3: with a comma, the first would have another value.
    headers = Headers([("Cookie", "a=b"), ("X", "y"), ("cookie", "c=d; e=f")])
    assert headers["Cookie"] == headers.get("COOKIE") == "a=b; c=d; e=f"
    assert headers.get_all("cookie") == ("a=b", "c=d; e=f")
    assert Headers([("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")])["set-cookie"] == "a=b, c=d"


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


@pytest.mark.parametrize("name", ["Authorization", "PROXY-authorization", "Cookie", "Set-Cookie"])
def test_repr_hides_credentials(name):
    headers = Headers([("Host", "h"), (name, "SECRET"), (name, "SECRET")])
    assert repr(headers) == f"Headers([('Host', 'h'), ('{name}', '...'), ('{name}', '...')])"
    assert headers.get_all(name) == ("SECRET", "SECRET")


def test_repr_hides_credentials_in_urls():
    headers = Headers({"Location": "https://u:SECRET@h/a?b=SECRET", "Referer": "http://h/?SECRET"})
    assert repr(headers) == (
        "Headers([('Location', 'https://...@h/a?b=...'), ('Referer', 'http://h/?...')])"
    )


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


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("abc\n", r"'\\n' may not stand in its value, at 3 of 4: strip\(\) it$"),
        ("abc\r\n", r"'\\r' may not stand in its value, at 3 of 5: strip\(\) it$"),
        ("a\nb", r"'\\n' may not stand in its value, at 1 of 3$"),
        ("\u20ac", "a character that is not ASCII may not stand in its value, at 0 of 1$"),
        ("x" * 9_999 + "\0", r"'\\x00' may not stand in its value, at 9999 of 10000$"),
    ],
)
def test_what_is_wrong_with_a_value(value, says):
    with pytest.raises(ValueError, match=says):
        Headers({"A": value})


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda name: {name: "SECRET\n"},
        lambda name: {name: "SECRET\u20ac"},
        lambda name: {name: b"SECRET"},
        lambda name: {name: ["SECRET"]},
        lambda name: [(name, "SECRET", "SECRET")],
        lambda name: [f"{name}: SECRET"],
        lambda name: f"{name}: SECRET",
        lambda name: {f"{name}: SECRET": ""},
        lambda name: {f"{name}=SECRET": ""},
        lambda name: {f"{name}\xe9SECRET": ""},
        lambda name: {"SECRET=": name},
        lambda name: {b"SECRET": name},
    ],
)
def test_a_secret_is_not_shown_whatever_is_wrong(name, spoil):
    with pytest.raises((ValueError, TypeError)) as caught:
        Headers(spoil(name))
    assert "SECRET" not in f"{caught.value} {caught.value.__context__}"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "it is empty"),
        ("A: b", "it has ':' in it behind 'A'"),
        (" A", "it has ' ' in it$"),
        ("\xe9", "it has a character that is not ASCII in it$"),
    ],
)
def test_what_is_wrong_with_a_name(name, says):
    with pytest.raises(ValueError, match=f"header name is not a token: {says}"):
        Headers({name: "x"})


@pytest.mark.parametrize("items", [None, 5])
def test_no_headers_at_all(items):
    with pytest.raises(TypeError, match=r"not (NoneType|int): leave them out"):
        Headers(items)


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

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.handshake.origin import OriginPolicy, Origins, check_origin

from .fakes import check_message


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("http://EXAMPLE.com", "example.COM"),
        ("http://example.com:80", "example.com"),
        ("http://example.com", "example.com:80"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:8443", "example.com:8443"),
        ("http://[::1]:8765", "[0::1]:8765"),
    ],
)
def test_same(origin, host):
    check_origin([origin], host, "same")


@pytest.mark.parametrize(
    ("values", "host"),
    [
        (["https://evil"], "example.com"),
        (["https://example.com.evil"], "example.com"),
        (["https://example.com"], "example.com:8443"),
        (["https://example.com:8443"], "example.com"),
        (["https://example.com"], "example.com:80"),
        (["http://example.com"], None),
        (["null"], "null"),
        ([""], "example.com"),
        (["example.com"], "example.com"),
        (["://example.com"], "example.com"),
        (["ht tp://example.com"], "example.com"),
        (["https://example.com/"], "example.com"),
        (["https://user@example.com"], "example.com"),
        (["app://example.com"], "example.com"),
        (["https://\xff"], "\xff"),
        (["https://example.com", "https://example.com"], "example.com"),
        (["https://example.com"], "exam ple"),
    ],
)
def test_not_same(values, host):
    # A25.
    with pytest.raises(ValueError, match=r"is not|Origin headers|not allowed") as caught:
        check_origin(values, host, "same")
    assert str(caught.value).isascii()


def test_no_origin_is_no_browser():
    check_origin([], "example.com", "same")
    check_origin([], None, "same")


@pytest.mark.parametrize("values", [[], ["null"], ["https://evil"], ["a", "b"]])
def test_any(values):
    check_origin(values, "example.com", "any")


def test_a_list():
    policy = OriginPolicy(["https://ok.com", "http://other:8080", "app://home"])
    for origin in ["https://ok.com", "HTTPS://OK.com:443", "http://other:8080", "app://home"]:
        policy.check([origin], None)
    for values in [
        [],
        ["http://ok.com"],
        ["https://ok.com:8443"],
        ["https://ok.com.evil"],
        ["https://www.ok.com"],
        ["null"],
        ["https://ok.com", "https://ok.com"],
    ]:
        with pytest.raises(ValueError, match=r"Origin|not allowed|is not"):
            policy.check(values, "ok.com")


def test_none_in_a_list_is_a_missing_origin():
    policy = OriginPolicy({None, "https://ok.com"})
    policy.check([], None)
    policy.check(["https://ok.com"], None)
    with pytest.raises(ValueError, match="not allowed"):
        policy.check(["https://evil"], None)


def test_patterns_match_the_whole_header_as_it_came():
    # A26.
    policy = OriginPolicy(
        [re.compile(r"https://.*\.ok\.com"), re.compile(r"http://\[::1\]:\d+"), re.compile("x y|")]
    )
    for origin in ["https://a.ok.com", "http://[::1]:99", "x y", ""]:
        policy.check([origin], None)
    for origin in [
        *("https://a.ok.com.evil", "https://a.ok.com:8443", "xhttps://a.ok.com"),
        *("https://A.OK.com", "https://a.ok.com:443", "http://[0::1]:99", "x y "),
        *("https://evil/.ok.com", "https://u@a.ok.com", "HTTPS://evil?.ok.com"),
    ]:
        with pytest.raises(ValueError, match="not allowed"):
            policy.check([origin], None)
    with pytest.raises(ValueError, match="2 Origin headers"):
        policy.check(["x y", "x y"], None)
    with pytest.raises(ValueError, match="not allowed"):
        OriginPolicy([re.compile(".*")]).check(["HTTPS://evil/.ok.com"], None)


@pytest.mark.parametrize("literal", ["null", "file://", "file:///", "app:///x.html", "X-y+z.1://"])
def test_literals_without_a_host_must_come_exactly_so(literal):
    policy = OriginPolicy([literal, "https://ok.com"])
    policy.check([literal], "example.com")
    policy.check(["https://ok.com"], "example.com")
    for other in [literal.upper(), f"{literal} ", f"{literal}x", "file:", ""]:
        with pytest.raises(ValueError, match="not allowed"):
            policy.check([other], "example.com")
    for entry in (re.escape(literal), ".*"):
        OriginPolicy([re.compile(entry)]).check([literal], "example.com")
    with pytest.raises(ValueError, match=r"is not that of the host 'example\.com'"):
        OriginPolicy("same").check([literal], "example.com")


def test_a_listed_name_is_mapped_as_browsers_do():
    policy = OriginPolicy(["https://stra\xdfe.de:8443"])
    policy.check(["https://xn--strae-oqa.de:8443"], None)
    with pytest.raises(ValueError, match="not allowed"):
        policy.check(["https://strasse.de:8443"], None)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://example.com", "example.com", True),
        ("https://example.com", "example.com:443", True),
        ("wss://example.com", "example.com", True),
        ("https://example.com:8443", "example.com:8443", True),
        ("http://example.com", "example.com", False),
        ("http://example.com:443", "example.com:443", False),
        ("http://example.com:443", "example.com", False),
        ("http://example.com:8443", "example.com:8443", False),
        ("ws://example.com", "example.com", False),
        ("https://example.com:80", "example.com", False),
    ],
)
def test_over_tls_a_page_in_plain_text_is_of_another_origin(origin, host, allowed):
    if allowed:
        check_origin([origin], host, "same", is_secure=True)
        return
    says = f"the origin '{origin}' is not that of the host '{host}' over TLS$"
    with pytest.raises(ValueError, match=re.escape(says)[:-2] + "$"):
        check_origin([origin], host, "same", is_secure=True)
    # What a list says is not asked about TLS.
    check_origin([origin], host, [origin], is_secure=True)


@pytest.mark.parametrize(
    ("origin", "host", "says"),
    [
        (
            "https://example.com:8443",
            "example.com",
            "the origin 'https://example.com:8443' is not that of the host 'example.com'",
        ),
        ("null", "h:1", "the origin 'null' is not that of the host 'h:1'"),
        ("http://h", None, "the origin 'http://h' is not that of a request without a Host"),
        ("http://u:SECRET@h", "h", "the origin 'http://...@h' is not that of the host 'h'"),
    ],
)
def test_the_error_names_the_host_that_was_compared_with(origin, host, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        check_origin([origin], host, "same")


def test_an_empty_list_lets_nobody_in():
    with pytest.raises(ValueError, match="without an Origin"):
        OriginPolicy([]).check([], "example.com")


@pytest.mark.parametrize(
    "origins",
    [
        "https://ok.com",
        "",
        ["ok.com"],
        ["NULL"],
        ["://"],
        ["file:"],
        ["file:// "],
        ["file://\xe9/"],
        ["file://*"],
        ["http://"],
        ["https:///"],
        ["https://\xe9 x"],
        ["https://ok.com/"],
        ["https://ok.com/path"],
        ["https://*.ok.com"],
        ["*"],
        ["https://ok.com:99999"],
    ],
)
def test_entries_that_could_never_match(origins):
    with pytest.raises(ValueError, match="origins: "):
        OriginPolicy(origins)


@pytest.mark.parametrize("origins", ["*", ["*"], ["https://example.test", "*"]])
def test_every_origin_has_another_word(origins):
    with pytest.raises(ValueError, match=r'origins: .*"any"'):
        OriginPolicy(origins)


@pytest.mark.parametrize("origins", [None, 5, re.compile("x"), [5], [b"x"], [re.compile(b"x")]])
def test_wrong_types(origins):
    with pytest.raises(TypeError, match="origins: "):
        OriginPolicy(origins)


@given(st.lists(st.text(max_size=12), max_size=2), st.none() | st.text(max_size=12))
def test_nothing_but_value_error(values, host):
    policies: list[Origins] = ["same", "any", ["https://ok.com", re.compile("x")]]
    for origins in policies:
        try:
            check_origin(values, host, origins)
        except ValueError as error:
            check_message(error)

import pytest

from trio_wsendpoint.http.paths import raw_path, segments_of


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a/b?c?d", "/a/b"),
        ("/?a", "/"),
        ("?a", "/"),
        ("/a?http://b/c", "/a"),
        ("http://a", "/"),
        ("http://a?b/c", "/"),
        ("http://a/b%2Fc?d", "/b%2Fc"),
        ("WS://a:1/b", "/b"),
        ("*", "*"),
        ("//a/b", "//a/b"),
        ("/a://b", "/a://b"),
        ("1x://a/b", "1x://a/b"),
    ],
)
def test_the_path_of_a_target(target, path):
    assert raw_path(target) == path


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", ("",)),
        ("/a", ("a",)),
        ("/a/", ("a", "")),
        ("//a", ("", "a")),
        ("/a%2Fb/c", ("a/b", "c")),
        ("/caf%C3%A9", ("caf\xe9",)),
        ("/a+b", ("a+b",)),
        ("/%2e%2E/.", ("..", ".")),
        ("/%25", ("%",)),
        ("/%2525", ("%25",)),
    ],
)
def test_segments(path, segments):
    assert segments_of(path) == segments


@pytest.mark.parametrize("path", ["/%", "/%4", "/%zz", "/a/%%41", "/%+1"])
def test_a_broken_escape(path):
    with pytest.raises(ValueError, match="without two hexadecimal digits"):
        segments_of(path)


@pytest.mark.parametrize("path", ["/%ff", "/%C3/%A9", "/%ed%a0%80", "/%c0%af"])
def test_what_is_not_utf8(path):
    with pytest.raises(ValueError, match="is not UTF-8"):
        segments_of(path)

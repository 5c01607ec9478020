import itertools

import pytest

from trio_wsendpoint.handshake import Request, Response
from trio_wsendpoint.http import Match, Routes


def make() -> Routes[str, str]:
    routes = Routes[str, str]()
    routes.add_websocket("/chat", "chat")
    routes.add_websocket("/rooms/{room}", "room")
    routes.add_http("/", "page")
    routes.add_http("/rooms/{room}", "room page", ["GET", "DELETE"])
    routes.add_http("/login", "form")
    routes.add_http("/login", "login", ["POST"])
    routes.add_http("/caf\xe9/{a}/{b}", "two", ["PUT"])
    return routes


def http(target, method="GET", routes=None):
    return (routes or make()).match_http(Request(target, {}, method))


def websocket(target):
    return make().match_websocket(Request(target))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (http("/"), Match("page", "/", {})),
        (http("/?a"), Match("page", "/", {})),
        (http("http://a"), Match("page", "/", {})),
        (http("/", "HEAD"), Match("page", "/", {})),
        (http("/login"), Match("form", "/login", {})),
        (http("/login", "POST"), Match("login", "/login", {})),
        (http("/rooms/a%2Fb"), Match("room page", "/rooms/{room}", {"room": "a/b"})),
        (http("/rooms/x", "DELETE"), Match("room page", "/rooms/{room}", {"room": "x"})),
        (
            http("/caf%C3%A9/1/%7Bb%7D", "PUT"),
            Match("two", "/caf\xe9/{a}/{b}", {"a": "1", "b": "{b}"}),
        ),
        (websocket("/chat"), Match("chat", "/chat", {})),
        (websocket("/rooms/x"), Match("room", "/rooms/{room}", {"room": "x"})),
    ],
)
def test_what_is_found(found, expected):
    assert found == expected


@pytest.mark.parametrize(
    ("found", "status", "allow"),
    [
        (http("/nothing"), 404, None),
        (http("/rooms"), 404, None),
        (http("/rooms/"), 404, None),
        (http("/rooms/a/b"), 404, None),
        (http("/rooms/.."), 404, None),
        (http("/rooms/%2e"), 404, None),
        (http("/Login"), 404, None),
        (http("/login/"), 404, None),
        (http("//login"), 404, None),
        (http("/%zz"), 400, None),
        (http("/%ff"), 400, None),
        (http("/login", "PUT"), 405, "GET, HEAD, POST"),
        (http("/login", "get"), 405, "GET, HEAD, POST"),
        (http("/rooms/x", "POST"), 405, "DELETE, GET, HEAD"),
        (http("/caf%C3%A9/1/2"), 405, "PUT"),
        (http("/caf%C3%A9/1/2", "HEAD"), 405, "PUT"),
        (http("/chat"), 426, None),
        (http("/chat", "HEAD"), 426, None),
        (http("/chat", "POST"), 405, "GET"),
        (http("*", "OPTIONS"), 204, "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        (websocket("/login"), 404, None),
        (websocket("/nothing"), 404, None),
        (websocket("/%ff"), 400, None),
    ],
)
def test_what_is_answered(found, status, allow):
    assert isinstance(found, Response)
    assert (found.status, found.headers.get("Allow")) == (status, allow)


def test_head_may_have_a_handler_of_its_own():
    routes = Routes[str, str]()
    routes.add_http("/a", "get")
    routes.add_http("/a", "head", ["HEAD"])
    assert http("/a", "HEAD", routes) == Match("head", "/a", {})


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["/{a}/{b}", "/x/{b}", "/{a}/y", "/x/y"]))
)
def test_exact_segments_go_first_in_any_order(order):
    routes = Routes[str, str]()
    for path in order:
        routes.add_http(path, path)
    found = [http(target, routes=routes) for target in ("/x/y", "/x/1", "/1/y", "/1/2")]
    assert [match.route for match in found if isinstance(match, Match)] == [
        "/x/y",
        "/x/{b}",
        "/{a}/y",
        "/{a}/{b}",
    ]


def test_the_route_that_fits_best_answers_alone():
    routes = Routes[str, str]()
    routes.add_http("/{a}", "any", ["POST"])
    routes.add_http("/x", "x")
    found = http("/x", "POST", routes)
    assert isinstance(found, Response)
    assert found.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", "does not begin with '/'"),
        ("", "does not begin with '/'"),
        ("/{a}/{a}", "the parameter 'a' twice"),
        ("/{}", "'{}' is no '{name}'"),
        ("/{a b}", "is no '{name}'"),
        ("/x{a}", "is no '{name}'"),
        ("/{a", "is no '{name}'"),
        ("/a}", "is no '{name}'"),
        ("/{a}{b}", "is no '{name}'"),
    ],
)
def test_paths_that_are_refused(path, expected):
    routes = Routes[str, str]()
    for add in (routes.add_http, routes.add_websocket):
        with pytest.raises(ValueError, match=expected):
            add(path, "x")


def test_what_is_there_already():
    routes = make()
    with pytest.raises(ValueError, match="'/chat' has a WebSocket handler already"):
        routes.add_websocket("/chat", "x")
    with pytest.raises(ValueError, match="'/login' has a handler of POST already"):
        routes.add_http("/login", "x", ["POST"])
    with pytest.raises(ValueError, match="fit the same paths"):
        routes.add_http("/rooms/{other}", "x", ["PUT"])


@pytest.mark.parametrize("method", ["", "A B", "CONNECT", "TRACE"])
def test_methods_that_are_refused(method):
    with pytest.raises(ValueError, match="is no method that can be served"):
        make().add_http("/a", "x", [method])


def test_methods_come_as_a_list():
    with pytest.raises(TypeError, match="list of names"):
        make().add_http("/a", "x", "POST")

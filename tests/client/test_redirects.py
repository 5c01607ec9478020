"""`redirects=`: which are followed, where to, and with which headers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.server.helpers import echo
from trio_wsendpoint import (
    GaveUp,
    HandshakeRefused,
    HandshakeTimeout,
    Instrument,
    RedirectRefused,
    Response,
    Timeouts,
    connect_endpoint,
    reconnecting_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.client.redirects import Trail
from trio_wsendpoint.handshake import WebSocketURL
from trio_wsendpoint.testing import Faults, MemoryNetwork, Run, cancel_at_every_checkpoint

SECRETS = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Own": "kept"}


class Site:
    """Servers in memory that redirect: `routes` has, by Host and target, where to."""

    def __init__(self, network, routes):
        self.network = network
        self.routes = routes
        self.seen = []

    async def process_request(self, opening):
        request = opening.request
        self.seen.append(request)
        route = self.routes.get(f"{request.host}{request.target}")
        if route is None:
            return None
        status, location = route if isinstance(route, tuple) else (302, route)
        return Response(status, {} if location is None else {"Location": location}, "moved")

    @property
    def asked(self):
        return [f"{request.host}{request.target}" for request in self.seen]

    @asynccontextmanager
    async def opened(self, url, *, redirects=5, **options):
        async with self.network.connect_endpoint(url, redirects=redirects, **options) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            yield connection

    async def refused(self, url, error=RedirectRefused, **options):
        with pytest.raises(error) as caught:
            async with self.opened(url, **options):
                raise AssertionError
        return caught.value


@asynccontextmanager
async def site(routes, tls=None, network=None):
    network = network or MemoryNetwork()
    made = Site(network, routes)
    options: Any = {"process_request": made.process_request, "origins": "any"}
    async with (
        serve_endpoint(echo, listeners=[network.listen()], **options),
        serve_endpoint(
            echo, listeners=[network.listen("example.test:443")], ssl_context=tls, **options
        ),
    ):
        yield made
    assert network.open_streams == ()


# ---- followed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/new?x=1", "a.test/new?x=1"),
        ("new", "a.test/dir/new"),
        ("../new", "a.test/new"),
        ("?x=1", "a.test/dir/old?x=1"),
        ("//b.test/new", "b.test/new"),
        ("ws://b.test:81", "b.test:81/"),
        ("http://b.test/new", "b.test/new"),
        ("HTTP://B.test/new#top", "b.test/new"),
    ],
)
async def test_where_to(status, location, asked, autojump_clock):
    async with (
        site({"a.test/dir/old?q=1": (status, location)}) as served,
        served.opened("ws://a.test/dir/old?q=1") as connection,
    ):
        assert served.asked == ["a.test/dir/old?q=1", asked]
        assert f"{connection.request.host}{connection.request.target}" == asked


async def test_to_tls(server_context, client_context, autojump_clock):
    async with (
        site({"example.test/": "https://example.test/new"}, server_context) as served,
        served.opened("ws://example.test/", ssl_context=client_context) as connection,
    ):
        assert connection.timings.tls is not None
        assert connection.request.target == "/new"


async def test_the_same_origin_keeps_credentials(autojump_clock):
    async with site({"a.test/": "/one", "a.test/one": "ws://a.test:80/two"}) as served:
        async with served.opened("ws://me:pass@a.test/", headers={"Cookie": "a=b"}):
            pass
        assert len(served.seen) == 3
        for request in served.seen:
            assert request.headers["Authorization"].startswith("Basic ")
            assert request.headers["Cookie"] == "a=b"


@pytest.mark.parametrize("url", ["ws://a.test/", "ws://me:pass@a.test/"])
async def test_another_origin_gets_no_credentials(url, autojump_clock):
    # and neither does the first one, when it is led back to
    routes = {"a.test/": "ws://a.test:81/", "a.test:81/": "ws://a.test/back"}
    headers = {**SECRETS}
    if "@" in url:
        del headers["Authorization"]
    async with site(routes) as served:
        async with served.opened(url, headers=headers, origin="https://o.test"):
            pass
        first, *others = served.seen
        assert {"Authorization", "Cookie", "X-Own"} <= {name for name, _ in first.headers.items()}
        assert len(others) == 2
        for request in others:
            assert "Authorization" not in request.headers
            assert "Cookie" not in request.headers
            assert request.headers["X-Own"] == "kept"
            assert request.headers["Origin"] == "https://o.test"
            assert "User-Agent" in request.headers


async def test_the_host_header_is_for_the_first_origin(autojump_clock):
    async with site({"own.test/": "/one", "own.test/one": "ws://b.test/"}) as served:
        async with served.opened("ws://a.test/", host_header="own.test"):
            pass
        assert served.asked == ["own.test/", "own.test/one", "b.test/"]


async def test_each_request_has_a_key_of_its_own(autojump_clock):
    async with site({"a.test/": "/one", "a.test/one": "/two"}) as served:
        async with served.opened("ws://a.test/"):
            pass
        assert len({request.headers["Sec-WebSocket-Key"] for request in served.seen}) == 3


async def test_a_zone_stays_with_a_relative_location(autojump_clock):
    trail = Trail(WebSocketURL.parse("ws://[fe80::1%25eth0]:81/a/b"), 5)
    found = trail.follow(Response(302, {"Location": "c"}))
    assert found is not None
    assert (found.host, found.port, found.target) == ("fe80::1%eth0", 81, "/a/c")
    assert not trail.is_elsewhere


async def test_a_channel_follows(autojump_clock):
    async with (
        site({"a.test/": "/one"}) as served,
        reconnecting_endpoint(
            "ws://a.test/", redirects=1, open_stream=served.network.open_stream
        ) as channel,
    ):
        await channel.send("hello")
        assert await channel.receive() == "hello"


# ---- not followed --------------------------------------------------------------------------------


async def test_off_by_default(autojump_clock):
    async with site({"a.test/": "/one"}) as served:
        error = await served.refused("ws://a.test/", HandshakeRefused, redirects=0)
        assert type(error) is HandshakeRefused
        assert error.response.headers["Location"] == "/one"
        async with reconnecting_endpoint(
            "ws://a.test/", open_stream=served.network.open_stream
        ) as channel:
            with pytest.raises(GaveUp, match="http-refused"):
                await channel.receive()


@pytest.mark.parametrize("route", [(304, "/one"), (300, "/one"), (302, None), (404, "/one")])
async def test_what_is_no_redirect(route, autojump_clock):
    async with site({"a.test/": route}) as served:
        error = await served.refused("ws://a.test/", HandshakeRefused)
        assert type(error) is HandshakeRefused
        assert error.response.status == route[0]


async def test_too_many(autojump_clock):
    routes = {f"a.test/{number}": f"/{number + 1}?secret=word" for number in range(9)}
    routes |= {f"a.test/{number}?secret=word": f"/{number + 1}?secret=word" for number in range(9)}
    async with site(routes) as served:
        error = await served.refused("ws://a.test/0", redirects=2)
        assert str(error) == (
            "the server answered 302: it redirects more than 2 times, to "
            "ws://a.test/3?secret=...; the way here: ws://a.test/0 -> ws://a.test/1?secret=... -> "
            "ws://a.test/2?secret=..."
        )
        assert error.trail == (
            "ws://a.test/0",
            "ws://a.test/1?secret=...",
            "ws://a.test/2?secret=...",
        )
        assert error.response.body == b"moved"
        assert len(served.seen) == 3


@pytest.mark.parametrize(
    ("routes", "to"),
    [
        ({"a.test/": "/"}, "ws://a.test/"),
        ({"a.test/": ""}, "ws://a.test/"),
        ({"a.test/": "/#x"}, "ws://a.test/"),
        ({"a.test/": "/one", "a.test/one": "/"}, "ws://a.test/"),
        ({"a.test/": "ws://b.test/", "b.test/": "//A.test:80/"}, "ws://a.test/"),
    ],
)
async def test_a_circle(routes, to, autojump_clock):
    async with site(routes) as served:
        error = await served.refused("ws://a.test/")
        assert f"it redirects in a circle, to {to} again; the way here: ws://a.test/" in str(error)


@pytest.mark.parametrize("location", ["ws://example.test/", "http://other.test/?token=SECRET"])
async def test_from_tls_to_none(location, server_context, client_context, autojump_clock):
    async with site({"example.test/": location}, server_context) as served:
        error = await served.refused("wss://example.test/", ssl_context=client_context)
        assert "it redirects from wss:// to ws://" in str(error)
        assert "SECRET" not in str(error)
        assert len(served.seen) == 1


@pytest.mark.parametrize(
    "location",
    [
        "ftp://a.test/",
        "mailto:me",
        "ws://a..test/",
        "ws://a.test:99999/",
        "http://[",
        "/a b",
        "/\xfc",
        "ws://me:SECRET@b.test/",
    ],
)
async def test_a_location_that_is_none(location, autojump_clock):
    async with site({"a.test/": location}) as served:
        error = await served.refused("ws://a.test/")
        assert "it redirects to " in str(error)
        assert "SECRET" not in str(error)
        assert str(error).isascii()


class Heard(Instrument):
    def __init__(self):
        self.errors = []

    def handshake_refused(self, error, peer):
        self.errors.append(error)


async def test_instruments_hear_of_what_is_not_followed(autojump_clock):
    heard = Heard()
    async with site({"a.test/": "/one", "a.test/one": "/"}) as served:
        error = await served.refused("ws://a.test/", instruments=[heard])
        assert heard.errors == [error]


async def test_all_of_it_within_the_time_of_one_opening(autojump_clock):
    network = MemoryNetwork(client=Faults(slow=1.0))
    routes = {f"a.test/{number}": f"/{number + 1}" for number in range(9)}
    async with site(routes, network=network) as served:
        with pytest.raises(HandshakeTimeout, match=r"^a\.test:80 did not answer within 5 s$"):
            async with served.opened("ws://a.test/0", timeouts=Timeouts(open=5)):
                raise AssertionError
        assert trio.current_time() == 5


async def test_the_time_of_all_of_it(autojump_clock):
    network = MemoryNetwork(client=Faults(slow=1.0))
    async with (
        site({"a.test/": "/one"}, network=network) as served,
        served.opened("ws://a.test/") as connection,
    ):
        timings = connection.timings
        assert timings.total > timings.answer > 0


async def over_redirects(run: Run):
    async def once():
        async with served.opened("ws://a.test/", random_bytes=run.random_bytes):
            pass

    routes = {"a.test/": "/one", "a.test/one": "ws://b.test/"}
    async with site(routes, network=run.network) as served:
        await run.victim(once)
        await once()


def test_struck_at_every_checkpoint():
    report = cancel_at_every_checkpoint(over_redirects, seeds=range(2))
    assert report.injections["cancel"] > 10


@pytest.mark.parametrize(
    ("redirects", "error"), [(6, ValueError), (-1, ValueError), (True, TypeError), ("5", TypeError)]
)
def test_how_many_there_may_be(redirects, error):
    with pytest.raises(error, match="redirects must be"):
        connect_endpoint("ws://a.test/", redirects=redirects)


def test_not_over_a_stream_of_the_apps():
    stream = MemoryNetwork().pair().client
    with pytest.raises(ValueError, match="stream is connected already: leave out redirects="):
        connect_endpoint("ws://a.test/", stream=stream, redirects=1)

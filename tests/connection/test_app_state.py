"""What an app keeps with a connection."""

from __future__ import annotations

import trio.testing

from trio_wsendpoint import Opening
from trio_wsendpoint.testing import connection_pair, serve_in_memory


async def test_a_connection_has_a_namespace_of_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connection_pair() as (client, server):
        client.state.user = "ann"
        assert (client.state.user, hasattr(server.state, "user")) == ("ann", False)
        server.state = None
        server.state.user = "bob"
        assert server.state.user == "bob"
        assert repr(client.state) == "AppState(user='ann')"


async def test_its_value_is_how_far_the_endpoint_is(autojump_clock: trio.testing.MockClock) -> None:
    async with connection_pair() as (client, server):
        assert client.state.value == server.state.value == "open"
        await client.aclose()
        assert client.state.value == client.endpoint.state.value == "closed"


async def test_what_an_opening_was_given_is_the_connections(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[str] = []

    async def process_request(opening: Opening) -> None:
        told.append(opening.state.value)
        opening.state.user = "ann"

    async def handler(connection) -> None:
        told.extend([connection.state.user, connection.state.value])

    serving = serve_in_memory(handler, process_request=process_request)
    async with serving as served, served.connect() as connection:
        await connection.wait_closed()
    assert told == ["opening", "ann", "open"]

"""An endpoint class of the user's is asked, however short the way of a message is."""

from __future__ import annotations

from trio_wsendpoint import ServerEndpoint
from trio_wsendpoint.testing import MemoryNetwork, connection_pair


class Counting(ServerEndpoint):
    """Sees each message that is sent."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.seen: list[object] = []

    def send_message(self, data, *, compress=True) -> None:
        self.seen.append(data)
        super().send_message(data, compress=compress)


async def test_its_send_message_sees_them_all() -> None:
    network = MemoryNetwork()
    async with connection_pair(streams=network.pair(), server={"endpoint_class": Counting}) as (
        client,
        server,
    ):
        await server.send("one")
        server.send_nowait(b"two")
        assert [await client.receive(), await client.receive()] == ["one", b"two"]
        assert isinstance(server.endpoint, Counting)
        assert server.endpoint.seen == ["one", b"two"]


async def test_the_usual_one_encodes_at_once() -> None:
    network = MemoryNetwork()
    async with connection_pair(streams=network.pair()) as (client, server):
        server.endpoint.send_message = None  # type: ignore[assignment, method-assign]
        await server.send("one")
        assert await client.receive() == "one"

"""Which kind of TLS a stream gets, and under which name a server is verified."""

from __future__ import annotations

import ssl

import pytest
import trio

from tests.connection.test_tls import contexts
from trio_wsendpoint.testing import memory_stream_pair
from trio_wsendpoint.transport.any_tls import over_tls
from trio_wsendpoint.transport.tls import TLSTransport


@pytest.mark.parametrize(("nonblocking", "kind"), [(True, TLSTransport), (False, trio.SSLStream)])
async def test_it_does_not_wait_where_the_stream_need_not(nonblocking: bool, kind: type) -> None:
    pair = memory_stream_pair(nonblocking=nonblocking)
    client_context, server_context = contexts()
    # The dot that ends a fully qualified name is none of the certificate's.
    client = over_tls(pair.client, client_context, server_hostname="example.test.")
    server = over_tls(pair.server, server_context, server_side=True)
    assert isinstance(client, kind)
    assert isinstance(server, kind)
    assert client.transport_stream is pair.client
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    await client.send_all(b"hello")
    assert await server.receive_some(5) == b"hello"
    await trio.aclose_forcefully(client)
    await trio.aclose_forcefully(server)


@pytest.mark.parametrize("nonblocking", [True, False])
def test_a_context_of_the_other_end_is_refused(nonblocking: bool) -> None:
    async def main() -> None:
        pair = memory_stream_pair(nonblocking=nonblocking)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with pytest.raises((ValueError, ssl.SSLError)):
            over_tls(pair.client, context)

    trio.run(main)

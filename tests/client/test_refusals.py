"""Servers that answer a client with anything but the right 101."""

from __future__ import annotations

import ssl

import pytest
import trio
import trio.testing

from tests.server.helpers import MASK, echo, read_head, serve_memory, task_count
from trio_wsendpoint import (
    BadResponse,
    BadUpgrade,
    HandshakeError,
    HandshakeRefused,
    Response,
    TextFrame,
    TLSFailed,
    connect_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.handshake import accept_key

URL = "ws://example.test/"


async def refusal(*pieces, error=HandshakeError, delay=0.0, ends=True, **options):
    """Connect to a server that says `pieces`, and return what that raises."""
    before = task_count()
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve():
        head, _ = await read_head(theirs)
        key = next(
            line.split(b": ")[1]
            for line in head.split(b"\r\n")
            if line.startswith(b"Sec-WebSocket-Key")
        )
        accept = accept_key(key.decode()).encode()
        try:
            for piece in pieces:
                await theirs.send_all(piece.replace(b"ACCEPT", accept))
                await trio.sleep(delay)
            if ends:
                await theirs.send_eof()
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(error) as caught:
            async with connect_endpoint(URL, stream=ours, **options):
                raise AssertionError
        # The stream is closed, whatever it was.
        with pytest.raises(trio.ClosedResourceError):
            await ours.send_all(b"x")
        nursery.cancel_scope.cancel()
    assert task_count() == before
    return caught.value


# ---- another status ----------------------------------------------------------------------------


async def test_a_refusal_tells_status_headers_and_body(autojump_clock):
    error = await refusal(
        b"HTTP/1.1 403 Forbidden\r\nX-Why: you\r\nContent-Length: 11\r\n\r\ngo\raway\x1b[1m",
        error=HandshakeRefused,
        ends=False,
    )
    assert (error.response.status, error.response.body) == (403, b"go\raway\x1b[1m")
    assert error.response.headers["x-why"] == "you"
    assert "403 Forbidden" in str(error)
    assert r"go\raway\x1b[1m" in str(error)
    assert trio.current_time() == 0


async def test_a_refusal_from_our_own_server(autojump_clock):
    async def process_request(opening):
        return Response(418, {"X-Pot": "short"}, "tea only")

    async with serve_memory(process_request=process_request) as served:
        with pytest.raises(HandshakeRefused, match=r"418 .*tea only") as caught:
            async with connect_endpoint(URL, stream=served.connect()):
                raise AssertionError
        assert caught.value.response.headers["X-Pot"] == "short"


async def test_a_refusal_without_a_body(autojump_clock):
    error = await refusal(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ends=False)
    assert isinstance(error, HandshakeRefused)
    assert str(error).endswith("404 Not Found")


async def test_a_refusal_in_chunks(autojump_clock):
    error = await refusal(
        b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n",
        b"7;x=y\r\n, world\r\n0\r\n\r\n",
        error=HandshakeRefused,
        ends=False,
    )
    assert error.response.body == b"hello, world"


async def test_a_refusal_whose_body_the_end_ends(autojump_clock):
    error = await refusal(b"HTTP/1.1 200 OK\r\n\r\n<html>", b"</html>", error=HandshakeRefused)
    assert error.response.body == b"<html></html>"


async def test_a_refusal_that_is_cut_short(autojump_clock):
    error = await refusal(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<html>", error=HandshakeRefused
    )
    assert error.response.body == b"<html>"


async def test_a_redirect_is_not_followed(autojump_clock):
    error = await refusal(
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: ws://evil.test/\r\nContent-Length: 0\r\n\r\n",
        error=HandshakeRefused,
    )
    assert error.response.headers["Location"] == "ws://evil.test/"


@pytest.mark.parametrize(
    "head",
    [b"", b"Content-Length: 999999999\r\n", b"Transfer-Encoding: chunked\r\n"],
)
async def test_an_endless_body_is_bounded_in_size(head, autojump_clock):
    piece = bytes(10_000)
    if b"chunked" in head:
        piece = b"2710\r\n" + piece + b"\r\n"
    error = await refusal(
        b"HTTP/1.1 503 No\r\n" + head + b"\r\n", *[piece] * 30, error=HandshakeRefused
    )
    assert len(error.response.body) == 65536
    assert trio.current_time() == 0


async def test_an_endless_body_is_bounded_in_time(autojump_clock):
    error = await refusal(
        b"HTTP/1.1 503 No\r\n\r\n", *[b"x"] * 100, delay=0.3, error=HandshakeRefused
    )
    assert 0 < len(error.response.body) < 5
    assert trio.current_time() == pytest.approx(1)  # Timeouts.linger, of which bytes renew nothing


async def test_a_body_that_never_comes(autojump_clock):
    error = await refusal(
        b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\n", ends=False, error=HandshakeRefused
    )
    assert error.response.body == b""
    assert trio.current_time() == pytest.approx(1)


async def test_a_body_that_a_reset_cuts_short(autojump_clock):
    """The status is known: that is what is told."""
    ours, theirs = trio.testing.memory_stream_pair()
    pull = ours.receive_stream.receive_some_hook

    async def breaking():
        await trio.lowlevel.checkpoint()
        if got:
            raise trio.BrokenResourceError("reset by peer")
        got.append(True)
        if pull is not None:
            await pull()

    got: list[bool] = []
    ours.receive_stream.receive_some_hook = breaking
    await theirs.send_all(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nhalf")
    with pytest.raises(HandshakeRefused) as caught:
        async with connect_endpoint(URL, stream=ours):
            raise AssertionError
    assert (caught.value.response.status, caught.value.response.body) == (403, b"half")


async def test_interim_responses_are_passed_over(autojump_clock):
    error = await refusal(
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        b"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n",
        error=HandshakeRefused,
    )
    assert error.response.status == 401


# ---- answers that are none ---------------------------------------------------------------------

RIGHT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ACCEPT\r\n\r\n"
)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "closed the connection before answering: is it wss://?"),
        (b"HTTP/1.1 101 Swi", "after 16 bytes of an answer: 'HTTP/1.1 101 Swi'"),
        (RIGHT[:-2], "closed the connection after"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH banner: 'SSH-2.0-OpenSSH_9.6'"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "the server speaks TLS: is it wss://?"),
        (b"HTTP/1.1 101 OK\r\n\r\n", "Upgrade header is missing"),
        (RIGHT.replace(b"ACCEPT", b"AAAA"), "Sec-WebSocket-Accept header is 'AAAA'"),
        (RIGHT.replace(b"Upgrade: websocket", b"Upgrade: h2c"), "Upgrade header is 'h2c'"),
        (RIGHT.replace(b"Connection: Upgrade", b"Connection: close"), "Connection header"),
        (RIGHT[:-2] + b"Sec-WebSocket-Protocol: chat\r\n\r\n", "Sec-WebSocket-Protocol"),
        (RIGHT[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "extension"),
        (RIGHT.replace(b"HTTP/1.1", b"HTTP/1.0"), "HTTP version"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000, "16384 bytes"),
    ],
)
async def test_an_answer_that_is_not_right(answer, says, autojump_clock):
    error = await refusal(answer, error=BadResponse)
    assert says in str(error)
    # A 101 that was understood, and is wrong, is told apart from an answer that was not.
    is_whole_101 = answer.startswith(b"HTTP/1.1 101 ") and answer.endswith(b"\r\n\r\n")
    assert isinstance(error, BadUpgrade) is is_whole_101
    assert len(str(error)) < 500
    assert str(error).isascii()
    assert str(error).isprintable()


async def test_a_server_that_is_no_server_at_all_over_tcp():
    async def hang_up(stream):
        await stream.aclose()

    async def babble(stream):
        await stream.send_all(b"220 mail.example.test ESMTP\r\n")
        await stream.receive_some()
        await stream.aclose()

    for handler in (hang_up, babble):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, handler, 0)
            port = listeners[0].socket.getsockname()[1]
            with pytest.raises(BadResponse) as caught:
                async with connect_endpoint(f"ws://localhost:{port}/"):
                    raise AssertionError
            if handler is babble:
                assert "220 mail.example.test" in str(caught.value)
            nursery.cancel_scope.cancel()


async def test_a_plain_client_of_a_tls_port(server_context):
    async with serve_endpoint(echo, 0, host="127.0.0.1", ssl_context=server_context) as server:
        with pytest.raises(HandshakeRefused, match="this port speaks TLS: use wss://"):
            async with connect_endpoint(f"ws://127.0.0.1:{server.port}/"):
                raise AssertionError


@pytest.mark.parametrize(
    ("came", "says"),
    [
        (b"", r"reset by peer'\) before answering: is it wss://\?$"),
        (b"HTTP/1.1 1", r"reset by peer'\) after 10 bytes of an answer: 'HTTP/1.1 1'$"),
    ],
)
async def test_a_reset_before_an_answer(came, says, autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    pull = ours.receive_stream.receive_some_hook

    async def reset():
        if got or not came:
            raise trio.BrokenResourceError("reset by peer")
        got.append(True)
        if pull is not None:
            await pull()

    got: list[bool] = []
    ours.receive_stream.receive_some_hook = reset
    if came:
        await theirs.send_all(came)
    with pytest.raises(BadResponse, match=says):
        async with connect_endpoint(URL, stream=ours):
            raise AssertionError


async def test_a_request_that_cannot_be_written(autojump_clock):
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.aclose()
    theirs.receive_stream.close()
    with pytest.raises(BadResponse, match="the connection was lost in the opening handshake"):
        async with connect_endpoint(URL, stream=ours):
            raise AssertionError


async def test_a_server_that_wants_a_certificate(ca, client_context, autojump_clock):
    """In TLS 1.3 the server says no after the client's side of the handshake is complete."""
    strict = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("example.test").configure_cert(strict)
    ca.configure_trust(strict)
    strict.verify_mode = ssl.CERT_REQUIRED
    async with serve_memory(ssl_context=strict) as served:
        with pytest.raises((TLSFailed, BadResponse)):
            async with connect_endpoint(
                "wss://example.test/", stream=served.connect(), ssl_context=client_context
            ):
                raise AssertionError


async def test_tls_that_breaks_behind_its_handshake(server_context, client_context, autojump_clock):
    """What TLS says of it is in the text."""
    ours, theirs = trio.testing.memory_stream_pair()
    secure = trio.SSLStream(theirs, server_context, server_side=True)
    async with trio.open_nursery() as nursery:

        async def serve():
            await secure.do_handshake()
            await theirs.send_all(b"plain text, all of a sudden")

        nursery.start_soon(serve)
        with pytest.raises(BadResponse, match=r"SSLError.*(?i:version|record)"):
            async with connect_endpoint(
                "wss://example.test/", stream=ours, ssl_context=client_context
            ):
                raise AssertionError


async def test_a_masked_frame_behind_the_101_ends_the_connection(autojump_clock):
    """The opening was right; what follows is the connection's business."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve():
            head, _ = await read_head(theirs)
            key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            accept = accept_key(key.decode()).encode()
            masked = TextFrame("x", mask=MASK).to_bytes()
            await theirs.send_all(RIGHT.replace(b"ACCEPT", accept) + masked)
            await theirs.send_eof()

        nursery.start_soon(serve)
        async with connect_endpoint(URL, stream=ours) as client:
            with pytest.raises(trio.BrokenResourceError, match="mask"):
                await client.receive()

"""Section B: the opening handshake, when the server is hostile."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import zlib
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import trustme

from trio_wsendpoint import (
    BadResponse,
    Deflate,
    HandshakeError,
    HandshakeRefused,
    InvalidURL,
    Request,
    Timeouts,
    TLSFailed,
    connect_endpoint,
)
from trio_wsendpoint.client.settings import ConnectSettings
from trio_wsendpoint.handshake import accept_key

from .server_under_test import hold, read_all, read_head, server_under_test, task_count

URL = "ws://example.test/"

RIGHT = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": "ACCEPT",
}


def switching(behind=b"", *lines, without=(), status="101 Switching Protocols"):
    """A 101 with further header lines, and what comes behind it in the same segment."""
    fields = [f"{name}: {value}" for name, value in RIGHT.items() if name not in without]
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, *lines, "", ""])
    return head.encode("iso-8859-1") + behind


class HostileServer:
    """Answers one client with `pieces`, one each `delay` seconds; keeps what the client sent."""

    def __init__(self, *pieces, delay=0.0, endless=b"", ends=False):
        self.ours, self.theirs = trio.testing.memory_stream_pair()
        self.pieces = pieces
        self.delay = delay
        self.endless = endless
        self.ends = ends
        self.asked = b""
        self.sent = 0

    async def run(self):
        self.asked, _ = await read_head(self.theirs)
        lines = dict(line.split(": ", 1) for line in self.asked.decode().split("\r\n")[1:-2])
        accept = accept_key(lines["Sec-WebSocket-Key"]).encode()
        try:
            for piece in self.pieces:
                await self._send(piece.replace(b"ACCEPT", accept))
            while self.endless:
                await self._send(self.endless)
            if self.ends:
                await self.theirs.send_eof()
        except trio.BrokenResourceError:
            pass

    async def _send(self, data):
        await self.theirs.send_all(data)
        self.sent += len(data)
        # Until the client has taken it: a stream in memory holds any amount.
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(self.delay)


@asynccontextmanager
async def bystanders():
    """Those of a live server, in the process of the client that is attacked."""
    async with server_under_test() as under_test:
        under_test.log.records.clear()
        yield


async def refused(*pieces, error=HandshakeError, delay=0.0, endless=b"", ends=False, **options):
    """Return what connecting to such a server raises, and the server; nothing is left of it."""
    before = task_count()
    server = HostileServer(*pieces, delay=delay, endless=endless, ends=ends)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        with pytest.raises(error) as caught:
            async with connect_endpoint(URL, stream=server.ours, **options):
                raise AssertionError
        # The stream is closed, and the server sees it.
        with pytest.raises(trio.ClosedResourceError):
            await server.ours.send_all(b"x")
        with trio.fail_after(1):
            await read_all(server.theirs)
        nursery.cancel_scope.cancel()
    assert task_count() == before
    assert isinstance(caught.value, HandshakeError)
    return caught.value, server


async def test_b35_an_accept_or_an_upgrade_that_is_not_right(autojump_clock):
    accept = "Sec-WebSocket-Accept"
    wrong = {
        "Sec-WebSocket-Accept": [
            switching(without=[accept]),
            switching(b"", f"{accept}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", without=[accept]),
            switching(b"", f"{accept}: ", without=[accept]),
            switching(b"", f"{accept}: accept", without=[accept]),
            switching(b"", f"{accept}: ACCEPT, ACCEPT", without=[accept]),
            switching(b"", f"{accept}: ACCEPT"),
            switching(b"", f"{accept}: \xff", without=[accept]),
        ],
        "Upgrade": [
            switching(without=["Upgrade"]),
            switching(b"", "Upgrade: h2c", without=["Upgrade"]),
            switching(b"", "Upgrade: websocket, h2c", without=["Upgrade"]),
            switching(b"", "Upgrade: xwebsocket", without=["Upgrade"]),
            switching(b"", "Upgrade: \xff"),
        ],
        "Connection": [
            switching(without=["Connection"]),
            switching(b"", "Connection: close", without=["Connection"]),
            switching(b"", "Connection: \xff", without=["Connection"]),
            switching(b"", "Connection: " + "x," * 40),
        ],
        "": [
            b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
            b"HTTP/2 101\r\n\r\n",
            b"\x88\x02\x03\xe8",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            switching().replace(b"\r\n", b"\n"),
            switching(b"", "X: " + "x" * 16_384),
            switching(b"", *["X: x"] * 64),
        ],
    }
    async with bystanders():
        for name, answers in wrong.items():
            for answer in answers:
                error, _ = await refused(answer, error=BadResponse)
                assert name in str(error)
                assert str(error).isprintable()


async def test_b36_extensions_and_subprotocols_that_were_not_asked_for(autojump_clock, monkeypatch):
    made = []
    for name in ("compressobj", "decompressobj"):
        monkeypatch.setattr(zlib, name, lambda *args, **kwargs: made.append(args))
    deflate = {"deflate": Deflate(engine="zlib"), "subprotocols": ["chat", "news"]}
    extensions = [
        "permessage-deflate; server_max_window_bits=99",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=1" + "0" * 5000,
        "permessage-deflate; unknown=1",
        "permessage-deflate, permessage-deflate",
        "x-webkit-deflate-frame",
        "permessage-deflate, x",
        "permessage-deflate; ",
        'permessage-deflate; x="',
        "\xff",
        ", ".join(["permessage-deflate"] * 40),
    ]
    subprotocols = ["other", "Chat", "chat, news", "", "chat\xff"]
    async with bystanders():
        for value in extensions:
            answer = switching(b"", f"Sec-WebSocket-Extensions: {value}")
            error, _ = await refused(answer, error=BadResponse, **deflate)
            assert str(error).isprintable()
        await refused(
            switching(b"", "Sec-WebSocket-Extensions: permessage-deflate"), error=BadResponse
        )
        for value in subprotocols:
            answer = switching(b"", f"Sec-WebSocket-Protocol: {value}")
            await refused(answer, error=BadResponse, **deflate)
        two = ["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"]
        await refused(switching(b"", *two), error=BadResponse, **deflate)
        await refused(switching(b"", two[0]), error=BadResponse)
    assert made == []


async def test_b37_bodies_without_end(autojump_clock):
    piece = bytes(10_000)
    in_chunks = b"2710\r\n" + piece + b"\r\n"
    async with bystanders():
        for status in (b"200 OK", b"403 Forbidden", b"500 No"):
            for head, endless in (
                (b"\r\n", piece),
                (b"Content-Length: 999999999999999\r\n\r\n", piece),
                (b"Transfer-Encoding: chunked\r\n\r\n", in_chunks),
                (b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", piece),
            ):
                began = trio.current_time()
                error, server = await refused(
                    b"HTTP/1.1 " + status + b"\r\n" + head, error=HandshakeRefused, endless=endless
                )
                assert error.response.status == int(status[:3])
                assert len(error.response.body) == 65536
                assert server.sent < 65536 + 20_000
                assert trio.current_time() == began


async def test_b37_bodies_that_take_for_ever(autojump_clock):
    heads = [b"\r\n", b"Content-Length: 5000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
    async with bystanders():
        for head in heads:
            for endless, delay in ((b"", 0.0), (b"1", 0.3), (b"1\r\nx\r\n", 0.3)):
                began = trio.current_time()
                error, _ = await refused(
                    b"HTTP/1.1 403 No\r\n" + head,
                    error=HandshakeRefused,
                    endless=endless,
                    delay=delay,
                )
                assert error.response.status == 403
                assert len(error.response.body) < 50
                # Timeouts.linger, which no byte renews.
                assert trio.current_time() - began <= 1 + delay


async def test_b37_heads_that_take_for_ever(autojump_clock):
    async with bystanders():
        for pieces, endless in (((), b""), ((), b"H"), ((b"HTTP/1.1 101 S\r\nX: ",), b"x")):
            began = trio.current_time()
            error, _ = await refused(*pieces, endless=endless, delay=0.3, timeouts=Timeouts(open=3))
            assert trio.current_time() - began <= 3.0
            assert isinstance(error, (trio.TooSlowError, BadResponse))
        # Interim answers are passed over, but not for ever.
        await refused(endless=b"HTTP/1.1 103 Early Hints\r\n\r\n", error=BadResponse)


async def test_b38_redirects_are_told_and_never_followed(autojump_clock, monkeypatch):
    opened = []

    async def open_tcp_stream(*args, **kwargs):
        opened.append(args)
        raise AssertionError(args)

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    async with bystanders():
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary", "308 Permanent"):
            for location in (
                "ws://evil.test/",
                "wss://evil.test/",
                URL,
                "/loop",
                "\xff",
                "",
                "a b",
            ):
                answer = switching(b"", f"Location: {location}", "Content-Length: 0", status=status)
                error, server = await refused(
                    answer,
                    error=HandshakeRefused,
                    headers={"Authorization": "Bearer secret", "Cookie": "a=secret"},
                )
                assert error.response.headers["Location"] == location
                assert error.response.status == int(status[:3])
                assert server.asked.count(b"secret") == 2  # once to whom it was meant for
                assert "secret" not in str(error)
    assert opened == []


async def test_b39_frames_in_the_segment_of_the_101(autojump_clock):
    async with bystanders():
        for cut in (None, 1, 7):
            answer = switching(b"\x81\x02hi\x02\x01a\x89\x01p\x80\x01b\x88\x02\x03\xe8")
            server = HostileServer(answer)
            if cut is not None:
                server.pieces = cut_up(answer, cut)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.run)
                async with connect_endpoint(URL, stream=server.ours) as connection:
                    assert [message async for message in connection] == ["hi", b"ab"]
                nursery.cancel_scope.cancel()
            received = connection.endpoint.closing.received
            assert received is not None
            assert received.code == 1000


def cut_up(answer, size):
    """Pieces of `size` bytes; the first goes as far as the word ACCEPT, which is replaced."""
    at = answer.index(b"ACCEPT") + 6
    return (answer[:at], *(answer[one : one + size] for one in range(at, len(answer), size)))


async def test_b40_a_101_has_no_body_whatever_it_says(autojump_clock):
    frames = b"\x81\x02hi\x88\x02\x03\xe8"
    lines = [
        ["Content-Length: 5"],
        ["Content-Length: 999999"],
        ["Content-Length: 0"],
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ]
    async with bystanders():
        for some in lines:
            server = HostileServer(switching(frames, *some))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.run)
                async with connect_endpoint(URL, stream=server.ours) as connection:
                    assert [message async for message in connection] == ["hi"]
                nursery.cancel_scope.cancel()


async def test_b41_options_that_would_be_more_than_a_header_or_a_path(autojump_clock):
    lines = [
        "\r\nX: y",
        "\nX: y",
        "\rX: y",
        "a b",
        "a\tb",
        "a\0b",
        "\x7f",
        "\u0100",
        "\x85",
        "\u2028",
    ]
    async with bystanders():
        for text in lines:
            for path in (f"ws://example.test/{text}", f"ws://example.test/?{text}"):
                with pytest.raises(InvalidURL):
                    connect_endpoint(path)
            for host in (f"ws://example.test{text}/", f"ws://exa{text}mple.test/"):
                if text != "\u0100":  # which is a letter, and has a name in DNS
                    with pytest.raises(InvalidURL):
                        connect_endpoint(host)
            with pytest.raises(ValueError, match="subprotocol"):
                connect_endpoint(URL, subprotocols=[text])
            with pytest.raises(ValueError, match="header name"):
                connect_endpoint(URL, headers={text: "a"})
            with pytest.raises(ValueError, match="request target"):
                Request(f"/{text}")
            with pytest.raises(ValueError, match="method"):
                Request("/", method=f"GET{text}")
            if text not in {"a b", "a\tb", "\x85"}:  # values may have blanks, and obs-text
                with pytest.raises(ValueError, match="header"):
                    connect_endpoint(URL, headers={"X": text})
                with pytest.raises(ValueError, match="header"):
                    connect_endpoint(URL, origin=f"http://{text}")
        for name in ("Host", "Upgrade", "Content-Length", "sec-websocket-key", "Connection"):
            with pytest.raises(ValueError, match="writes it itself"):
                connect_endpoint(URL, headers={name: "a"})
        for userinfo in ("a\r\nX: y", "a%0d%0aX: y", "%00"):
            with pytest.raises(InvalidURL):
                connect_endpoint(f"ws://{userinfo}@example.test/")


async def test_b42_masks_come_from_the_system_and_never_twice(autojump_clock, monkeypatch):
    masks: list[bytes] = []
    drawn: list[int] = []

    def random_bytes(count):
        drawn.append(count)
        start = sum(drawn)
        return b"".join(number.to_bytes(1, "big") for number in _cycle(start, count))

    def _cycle(start, count):
        return [(start + 7 * number) % 256 for number in range(count)]

    async with server_under_test(hold) as under_test:
        for _ in range(3):
            ours, theirs = trio.testing.memory_stream_pair()
            under_test.listener.offer(Recording(theirs, masks))
            async with connect_endpoint(URL, stream=ours) as connection:
                for number in range(200):
                    await connection.send(str(number))
        assert len(masks) == 3 * 201  # the Close frames' too
        assert len(set(masks)) >= len(masks) - 1  # two of 600 may be equal once in 20,000 runs
        # They are what `random_bytes` says, drawn for many frames at a time.
        async with under_test.client(random_bytes=random_bytes) as connection:
            for _ in range(64):
                await connection.send("x")
        assert 16 in drawn  # the key
        assert len(drawn) < 8

    assert ConnectSettings().random_bytes is os.urandom


class Recording(trio.abc.Stream):
    """Notes the mask of each small frame that is read from the stream that it wraps."""

    def __init__(self, stream, masks):
        self._stream = stream
        self._masks = masks
        self._data = b""
        self._in_head = True

    async def receive_some(self, max_bytes=None):
        data = bytes(await self._stream.receive_some(max_bytes))
        self._data += data
        if self._in_head and b"\r\n\r\n" in self._data:
            self._in_head = False
            self._data = self._data.partition(b"\r\n\r\n")[2]
        while not self._in_head and len(self._data) >= 6:
            size = 6 + (self._data[1] & 127)
            if len(self._data) < size:
                break
            self._masks.append(self._data[2:6])
            self._data = self._data[size:]
        return data

    async def send_all(self, data):
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self):
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self):
        await self._stream.aclose()


async def test_b43_the_default_context_verifies_and_names_the_server(
    server_context, client_context
):
    """Over TCP: a stranger's certificate, another host's, and the name that the server sees."""
    named = []
    server_context.sni_callback = lambda connection, name, context: named.append(name)
    try:
        async with server_under_test(
            ssl_context=server_context,
            client_context=client_context,
        ) as under_test:
            named.clear()
            port = under_test.server.port

            address = f"tcp:127.0.0.1:{port}"
            # By default: the system's certificates, among which ours is not.
            with pytest.raises(TLSFailed) as caught:
                async with connect_endpoint(f"wss://localhost:{port}/"):
                    raise AssertionError
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
            assert named == ["localhost"]
            # One that is trusted, for another name.
            with pytest.raises(TLSFailed) as caught:
                async with connect_endpoint(
                    f"wss://other.test:{port}/", ssl_context=client_context, address=address
                ):
                    raise AssertionError
            assert "other.test" in str(caught.value)
            assert named == ["localhost", "other.test"]
            url = f"wss://example.test:{port}/"
            async with connect_endpoint(
                url, ssl_context=client_context, address=address
            ) as connection:
                await connection.send("hi")
                assert await connection.receive() == "hi"
            assert named[2:] == ["example.test"]
            await under_test.settled()
    finally:
        server_context.sni_callback = None


async def test_b43_a_certificate_that_has_run_out_or_is_nobodys(ca, client_context, autojump_clock):
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    certificates = {
        "expired": ca.issue_cert("example.test", not_after=yesterday),
        "unable to get local issuer": trustme.CA().issue_cert("example.test"),
    }
    for says, certificate in certificates.items():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        ours, theirs = trio.testing.memory_stream_pair()

        async def serve(theirs=theirs, context=context):
            with pytest.raises(trio.BrokenResourceError):
                await trio.SSLStream(theirs, context, server_side=True).do_handshake()

        async with bystanders(), trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with pytest.raises(TLSFailed, match=says):
                async with connect_endpoint(
                    "wss://example.test/", stream=ours, ssl_context=client_context
                ):
                    raise AssertionError

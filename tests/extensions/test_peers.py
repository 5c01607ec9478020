"""Against the extensions of `websockets` and `wsproto`, both ways and in both roles."""

from __future__ import annotations

import itertools

import pytest

from trio_wsendpoint.extensions import Deflate

from .helpers import decode, made

pytestmark = pytest.mark.peer

frames = pytest.importorskip("websockets.frames")
theirs = pytest.importorskip("websockets.extensions.permessage_deflate")
wsproto_extensions = pytest.importorskip("wsproto.extensions")
wsproto_frames = pytest.importorskip("wsproto.frame_protocol")

MESSAGES = [
    b"Hello",
    b"Hello",
    b"",
    b"",
    b'{"id": 1}' * 3000,
    bytes(100_000),
    bytes((i * i * 7 + i // 3 * 11) % 251 for i in range(40_000)) * 2,
    b"Hello",
]
WINDOWS = [9, 12, 15]
OPTIONS = [
    {
        "window_bits": ours,
        "peer_window_bits": peers,
        "context_takeover": takeover,
        "peer_context_takeover": peer_takeover,
    }
    for ours, peers in itertools.product(WINDOWS, WINDOWS)
    for takeover, peer_takeover in itertools.product([True, False], [True, False])
]


# ---- websockets --------------------------------------------------------------------------------


def websockets_both_ways(ours, peer):
    for number, message in enumerate(MESSAGES):
        wire = ours.encode(message, final=True)
        frame = frames.Frame(frames.Opcode.BINARY, wire, rsv1=True)
        assert peer.decode(frame).data == message
        # fragmented, on both ways
        middle = len(message) // 2
        wire = ours.encode(message[:middle], final=False)
        first = frames.Frame(frames.Opcode.BINARY, wire, fin=False, rsv1=True)
        wire = ours.encode(message[middle:], final=True)
        second = frames.Frame(frames.Opcode.CONT, wire)
        assert bytes(peer.decode(first).data) + bytes(peer.decode(second).data) == message
        ours.release() if number % 2 else None
        encoded = peer.encode(frames.Frame(frames.Opcode.BINARY, message))
        assert encoded.rsv1
        assert decode(ours, encoded.data) == message
        first = peer.encode(frames.Frame(frames.Opcode.TEXT, message[:middle], fin=False))
        second = peer.encode(frames.Frame(frames.Opcode.CONT, message[middle:]))
        assert decode(ours, bytes(first.data), bytes(second.data)) == message


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("settings", [{}, {"server_max_window_bits": 10}])
def test_websockets_server(options, settings):
    client = Deflate(**options)
    server = theirs.ServerPerMessageDeflateFactory(**settings)
    answer, peer = server.process_request_params(client.offers()[0], [])
    websockets_both_ways(client.accept_answer(answer), peer)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"client_max_window_bits": None},
        {"server_max_window_bits": 10, "client_max_window_bits": 11},
        {"server_no_context_takeover": True, "client_no_context_takeover": True},
    ],
)
def test_websockets_client(options, settings):
    client = theirs.ClientPerMessageDeflateFactory(**settings)
    accepted = Deflate(**options).accept_offer(client.get_request_params())
    assert accepted is not None
    answer, ours = accepted
    websockets_both_ways(ours, client.process_response_params(answer, []))


# ---- wsproto -----------------------------------------------------------------------------------


def read_header(text):
    """`name; a; b=1` as parameters; what the handshake does, in short."""
    items = [item.strip() for item in text.split(";") if item.strip()]
    split = [item.partition("=") for item in items]
    return [(name, value if equals else None) for name, equals, value in split]


def write_header(parameters):
    return "; ".join(
        ["permessage-deflate"]
        + [name if value is None else f"{name}={value}" for name, value in parameters]
    )


def wsproto_both_ways(ours, peer, *, peer_is_client):
    proto = wsproto_frames.FrameProtocol(client=peer_is_client, extensions=[peer])
    opcode, rsv = wsproto_frames.Opcode.BINARY, wsproto_frames.RsvBits
    for message in MESSAGES:
        wire = ours.encode(message, final=True)
        peer.frame_inbound_header(proto, opcode, rsv(True, False, False), len(wire))
        decoded = peer.frame_inbound_payload_data(proto, wire)
        decoded += peer.frame_inbound_complete(proto, True) or b""
        assert decoded == message
        bits, encoded = peer.frame_outbound(proto, opcode, rsv(False, False, False), message, True)
        assert bits.rsv1
        assert decode(ours, bytes(encoded)) == message


@pytest.mark.parametrize("options", OPTIONS)
def test_wsproto_server(options):
    client = Deflate(**options)
    peer = wsproto_extensions.PerMessageDeflate()
    answer = peer.accept(write_header(client.offers()[0]))
    assert isinstance(answer, str)
    ours = client.accept_answer(read_header(answer))
    wsproto_both_ways(ours, peer, peer_is_client=False)


@pytest.mark.parametrize("options", OPTIONS)
def test_wsproto_client(options):
    peer = wsproto_extensions.PerMessageDeflate()
    accepted = Deflate(**options).accept_offer(read_header(peer.offer()))
    assert accepted is not None
    answer, ours = accepted
    peer.finalize(write_header(answer))
    wsproto_both_ways(ours, peer, peer_is_client=True)


def test_made_without_a_handshake():
    # What a peer of ours would write is what the two libraries above were given.
    assert decode(made(), made().encode(b"Hello", final=True)) == b"Hello"

"""Net::WebSocket's permessage-deflate."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint import (
    BadResponse,
    ClientEndpoint,
    Endpoint,
    InvalidPayload,
    Limits,
    Message,
    ServerEndpoint,
)
from trio_wsendpoint.extensions import Deflate, DeflateOptions, PerMessageDeflate

from .helpers import drain, fails, fed, from_client, fully


def made(**options: Any) -> PerMessageDeflate:
    """Return the extension as it would be if both sides had agreed to our options."""
    return PerMessageDeflate(Deflate(**{"threshold": 0, **options}))


def encode(extension: PerMessageDeflate, *messages: bytes) -> list[str]:
    return [extension.encode(message, final=True).hex() for message in messages]


def received(endpoint: Endpoint, *hexes: str) -> list[Message]:
    """Feed compressed text messages, each in one frame, and return what they become."""
    frames = [from_client(1, bytes.fromhex(text), rsv=0b100) for text in hexes]
    return fully(fed(*frames, endpoint=endpoint))


# ---- the configuration -----------------------------------------------------------------------


def test_the_words_of_the_options_are_our_own_side_and_the_peers():
    deflate = Deflate(
        window_bits=10, peer_window_bits=11, context_takeover=False, peer_context_takeover=False
    )
    assert deflate.offers()[0] == [
        ("server_no_context_takeover", None),
        ("client_no_context_takeover", None),
        ("server_max_window_bits", "11"),
        ("client_max_window_bits", "10"),
    ]


def test_the_defaults_are_12_bits_with_context_takeover():
    # Decision: 15 bits cost 83 KiB a connection and direction; takeover as it was.
    deflate = Deflate()
    assert (deflate.window_bits, deflate.peer_window_bits) == (12, 12)
    assert (deflate.context_takeover, deflate.peer_context_takeover) == (True, True)


@pytest.mark.parametrize("option", ["window_bits", "peer_window_bits"])
@pytest.mark.parametrize("bits", [-1, 7, 8, 16])
def test_bits_out_of_range_are_refused(option: str, bits: int):
    options: dict[str, Any] = {option: bits}
    with pytest.raises(ValueError, match=f"Deflate.{option} must be from 9 to 15, not {bits}"):
        Deflate(**options)


def test_unknown_options_are_refused():
    options: dict[str, Any] = {"deflate_max_window_bits": 15}
    with pytest.raises(TypeError, match="deflate_max_window_bits"):
        Deflate(**options)


def test_a_client_with_the_largest_windows_offers_a_bare_client_max_window_bits():
    assert Deflate(window_bits=15, peer_window_bits=15).offers() == [
        [("client_max_window_bits", None)]
    ]


# ---- negotiation -----------------------------------------------------------------------------


def at_server(
    *offer: tuple[str, str | None], **options: Any
) -> tuple[dict[str, Any], DeflateOptions]:
    accepted = Deflate(**options).accept_offer(offer)
    assert accepted is not None
    answer, extension = accepted
    return dict(answer), extension.agreed


def test_the_server_lowers_its_window_to_server_max_window_bits():
    answer, agreed = at_server(("server_max_window_bits", "10"), window_bits=12)
    assert (answer["server_max_window_bits"], agreed.window_bits) == ("10", 10)
    answer, agreed = at_server(("server_max_window_bits", "14"), window_bits=12)
    assert (answer["server_max_window_bits"], agreed.window_bits) == ("12", 12)


def test_the_server_may_answer_client_max_window_bits_if_it_was_offered():
    answer, agreed = at_server(("client_max_window_bits", None), peer_window_bits=10)
    assert (answer["client_max_window_bits"], agreed.peer_window_bits) == ("10", 10)
    answer, agreed = at_server(("client_max_window_bits", "9"), peer_window_bits=10)
    assert (answer["client_max_window_bits"], agreed.peer_window_bits) == ("9", 9)
    answer, _ = at_server(peer_window_bits=10)
    assert "client_max_window_bits" not in answer


def test_the_server_takes_the_flags_of_the_client():
    answer, agreed = at_server(
        ("server_no_context_takeover", None), ("client_no_context_takeover", None)
    )
    assert {"server_no_context_takeover", "client_no_context_takeover"} <= set(answer)
    assert (agreed.context_takeover, agreed.peer_context_takeover) == (False, False)


def test_the_client_adopts_what_the_server_answers():
    agreed = (
        Deflate(window_bits=12, peer_window_bits=12)
        .accept_answer(
            [
                ("server_max_window_bits", "9"),
                ("client_max_window_bits", "10"),
                ("client_no_context_takeover", None),
            ]
        )
        .agreed
    )
    assert (agreed.window_bits, agreed.peer_window_bits) == (10, 9)
    assert (agreed.context_takeover, agreed.peer_context_takeover) == (False, True)


def test_the_client_refuses_a_server_window_above_its_own():
    with pytest.raises(BadResponse, match="server_max_window_bits"):
        Deflate(peer_window_bits=10).accept_answer([("server_max_window_bits", "11")])


def test_the_client_allows_a_server_that_keeps_its_context():
    agreed = Deflate(peer_context_takeover=False).accept_answer([]).agreed
    assert agreed.peer_context_takeover is True


# ---- the data --------------------------------------------------------------------------------


def test_the_vectors_of_hello():
    assert encode(made(), b"Hello", b"Hello") == ["f248cdc9c90700", "f200110000"]
    assert encode(made(context_takeover=False), b"Hello", b"Hello") == ["f248cdc9c90700"] * 2


def test_a_fresh_empty_message_is_one_zero_byte():
    assert encode(made(), b"") == ["00"]


def test_a_compressed_message_is_one_frame_with_rsv1():
    endpoint = ServerEndpoint(extension=made())
    endpoint.send_message("Hello")
    (frame,) = drain(endpoint)
    assert (frame.type, frame.rsv, frame.fin) == ("text", 0b100, True)
    assert frame.payload.hex() == "f248cdc9c90700"


def test_the_vectors_of_hello_are_inflated():
    endpoint = ServerEndpoint(extension=made())
    messages = received(endpoint, "f248cdc9c90700", "f200110000")
    assert [message.payload for message in messages] == ["Hello", "Hello"]


def test_a_message_tells_that_it_came_compressed():
    endpoint = ServerEndpoint(extension=made())
    (message,) = received(endpoint, "f248cdc9c90700")
    (frame,) = message.get_frames()
    assert frame.rsv == 0b100
    assert frame.payload.hex() == "f248cdc9c90700"  # as it was on the wire


def test_an_uncompressed_message_passes_between_compressed_ones():
    endpoint = fed(from_client(1, b"plain"), extension=made())
    assert [message.payload for message in fully(endpoint)] == ["plain"]


def test_bad_data_is_a_typed_error_and_1007():
    # Improved: an error without a type.
    endpoint = fed(from_client(1, b"\xff\xff", rsv=0b100), extension=made())
    fails(endpoint, InvalidPayload, 1007)


def test_the_argument_is_left_as_it_is():
    payload = bytearray(b"Hello")
    endpoint = ClientEndpoint(extension=made())
    endpoint.send_message(payload)
    assert payload == b"Hello"


def test_a_message_is_compressed_piece_by_piece():
    extension = made()
    pieces = [extension.encode(piece, final=False) for piece in (b"Hel", b"lo")]
    assert b"" in pieces  # there need not be output yet
    wire = b"".join([*pieces, extension.encode(b"", final=True)])
    (message,) = received(ServerEndpoint(extension=made()), wire.hex())
    assert message.payload == "Hello"


def test_the_endpoint_compresses_and_inflates_by_itself():
    # Improved: it was for the application to do.
    client = ClientEndpoint(extension=made(), limits=Limits(fragment_size=10))
    server = ServerEndpoint(extension=made())
    for text in ("Hello", "Hello", "", "€" * 5000):
        client.send_message(text)
    fed(*(frame.to_bytes() for frame in drain(client)), endpoint=server)
    assert [message.payload for message in fully(server)] == ["Hello", "Hello", "", "€" * 5000]


def test_a_message_may_be_kept_from_compression():
    endpoint = ServerEndpoint(extension=made())
    endpoint.send_message("Hello", compress=False)
    (frame,) = drain(endpoint)
    assert (frame.rsv, frame.payload) == (0, b"Hello")


def test_a_message_that_came_compressed_can_be_sent_on():
    # What its frames held refers to the window of the one connection; so it cannot go as it is.
    client, server = ClientEndpoint(extension=made()), ServerEndpoint(extension=made())
    for text in ("Hello", "Hello"):
        client.send_message(text)
    fed(*(frame.to_bytes() for frame in drain(client)), endpoint=server)
    _, second = fully(server)
    server.send_message("another text in the window")
    server.send_message(second)
    fed(*(frame.to_bytes() for frame in drain(server)), endpoint=client)
    assert [message.payload for message in fully(client)] == ["another text in the window", "Hello"]

    plain, peer = ServerEndpoint(), ClientEndpoint()  # nothing was negotiated here
    plain.send_message(second)
    fed(*(frame.to_bytes() for frame in drain(plain)), endpoint=peer)
    assert [message.payload for message in fully(peer)] == ["Hello"]

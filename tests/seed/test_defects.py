"""The 40 known defects of Net::WebSocket, by number: ours has none of them."""

from __future__ import annotations

import inspect
import itertools
import os
import re
import tracemalloc
import zlib
from typing import Any

import pytest

from trio_wsendpoint import (
    BadRequest,
    BadResponse,
    BadUpgrade,
    BinaryFrame,
    ClientEndpoint,
    CloseFrame,
    DataFrame,
    Endpoint,
    EndpointClosed,
    InvalidCloseCode,
    InvalidFrame,
    InvalidPayload,
    InvalidURL,
    Limits,
    LocalError,
    Message,
    MessageTooBig,
    Parser,
    PeerError,
    PingFrame,
    PolicyViolation,
    Progress,
    ProtocolError,
    ServerEndpoint,
    Streamer,
    TextFrame,
    UnexpectedEOF,
    UnfinishedStream,
)
from trio_wsendpoint.extensions import Deflate, PerMessageDeflate
from trio_wsendpoint.handshake import ClientHandshake, ServerHandshake
from trio_wsendpoint.testing import seeded_bytes

from .helpers import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    MASK,
    PING,
    PONG,
    TEXT,
    BooyaFrame,
    Narrow,
    answer,
    close_facts,
    close_payload,
    drain,
    facts,
    fails,
    fed,
    frame_bytes,
    from_client,
    fully,
    opening,
    refused,
    types,
)

MIB = 1 << 20


def made(**options: Any) -> PerMessageDeflate:
    """Return the extension as it would be if both sides had agreed to our options."""
    return PerMessageDeflate(Deflate(**{"threshold": 0, **options}))


def deflated(payload: bytes, bits: int = 15) -> bytes:
    """Compress a message as a peer would."""
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(payload: bytes, opcode: int = BINARY) -> bytes:
    """Return the frame of a compressed message."""
    return from_client(opcode, payload, rsv=0b100)


def carry(source: Endpoint, sink: Endpoint) -> list[Message]:
    """Carry all that is queued to the other side, and return the messages there."""
    return fully(fed(*(frame.to_bytes() for frame in drain(source)), endpoint=sink))


def test_every_defect_has_a_test():
    numbers = [re.match(r"test_defect_(\d\d)_[a-z]", name) for name in globals()]
    assert {int(number[1]) for number in numbers if number} == set(range(1, 41))


# ---- RFC 6455 --------------------------------------------------------------------------------


def test_defect_01_mask_direction_is_enforced():
    fails(fed(frame_bytes(TEXT, b"x")), ProtocolError, 1002)
    fails(fed(from_client(TEXT, b"x"), endpoint=ClientEndpoint()), ProtocolError, 1002)


@pytest.mark.parametrize("rsv", range(1, 8))
def test_defect_02_rsv_without_an_extension_is_refused(rsv: int):
    fails(fed(from_client(TEXT, b"x", rsv=rsv)), ProtocolError, 1002)


@pytest.mark.parametrize("opcode", [*range(3, 8), *range(11, 16)])
def test_defect_03_an_unknown_opcode_closes_and_ends_the_stream(opcode: int):
    endpoint = fed(from_client(opcode, b"x"), from_client(TEXT, b"after"))
    fails(endpoint, ProtocolError, 1002)
    with pytest.raises(EndpointClosed):
        endpoint.get_next_message()


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_defect_04_fragmented_or_long_control_frames_are_refused(opcode: int):
    payload = close_payload(1000)
    fails(fed(from_client(opcode, payload, fin=False)), ProtocolError, 1002)
    fails(fed(from_client(opcode, payload + bytes(124))), ProtocolError, 1002)


@pytest.mark.parametrize(("size", "form"), [(0, 3), (125, 3), (0, 9), (125, 9), (126, 9)])
def test_defect_05_lengths_that_are_not_minimal_are_refused(size: int, form: int):
    fails(fed(from_client(BINARY, bytes(size), form=form)), ProtocolError, 1002)


def test_defect_05_a_length_with_its_most_significant_bit_is_refused():
    fails(fed(b"\x82\xff\x80" + bytes(7)), ProtocolError, 1002)


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"])
def test_defect_06_text_and_close_reasons_are_utf_8(text: bytes):
    fails(fed(from_client(TEXT, text)), InvalidPayload, 1007)
    fails(fed(from_client(CLOSE, close_payload(1000) + text)), InvalidPayload, 1007)


@pytest.mark.parametrize("code", [3000, 3500, 3999])
def test_defect_07_codes_3000_to_3999_can_be_sent_and_answered(code: int):
    endpoint = ServerEndpoint()
    endpoint.close(code)
    assert close_facts(drain(endpoint)[0]) == (code, "")
    answering = fed(from_client(CLOSE, close_payload(code, "x")))
    answering.get_next_message()
    assert close_facts(drain(answering)[0]) == (code, "x")


@pytest.mark.parametrize(
    "payload",
    [b"\x03", *map(close_payload, [1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])],
)
def test_defect_08_bad_codes_and_a_payload_of_1_byte_get_1002(payload: bytes):
    fails(fed(from_client(CLOSE, payload)), ProtocolError, 1002)


def test_defect_09_code_0_gets_1002():
    fails(fed(from_client(CLOSE, close_payload(0))), ProtocolError, 1002)


def test_defect_10_one_close_is_sent_and_nothing_after_it():
    endpoint = ServerEndpoint()
    ping = endpoint.ping()
    drain(endpoint)
    endpoint.close(1000)
    frames = [
        from_client(PING, b"p"),
        from_client(PONG, ping),
        from_client(PONG, b"unknown"),
        from_client(TEXT, b"data"),
    ]
    fed(*frames, from_client(CLOSE, close_payload(1001)), from_client(PING), endpoint=endpoint)
    assert close_facts(endpoint.get_peer_close()) == (1001, "")
    calls = (
        endpoint.close,
        endpoint.ping,
        endpoint.check_heartbeat,
        endpoint.get_next_message,
        lambda: endpoint.send_message("x"),
        lambda: endpoint.send_frame(PingFrame()),
    )
    for call in calls:
        with pytest.raises(EndpointClosed):
            call()
    assert types(endpoint) == ["close"]


def test_defect_11_the_endpoint_is_closed_after_a_protocol_error():
    endpoint = fed(from_client(CONTINUATION, b"x"))
    with pytest.raises(ProtocolError):
        endpoint.get_next_message()
    assert endpoint.is_closed()
    endpoint.receive_data(from_client(CLOSE, close_payload(1000)))
    assert endpoint.step() is Progress.ENDED
    assert types(endpoint) == ["close"]


def test_defect_12_a_burst_of_late_pongs_is_no_violation():
    endpoint = ServerEndpoint()
    pings = [endpoint.ping() for _ in range(3)]
    drain(endpoint)
    fed(*(from_client(PONG, ping) for ping in pings), endpoint=endpoint).get_next_message()
    assert not endpoint.is_closed()
    assert drain(endpoint) == []


def test_defect_12_a_burst_of_late_pongs_leaves_the_counter_at_zero():
    endpoint = ServerEndpoint(max_pings=1)
    pings = [endpoint.ping() for _ in range(3)]
    fed(from_client(PONG, pings[0]), endpoint=endpoint).get_next_message()
    endpoint.ping()
    late = [from_client(PONG, ping) for ping in pings[1:]]
    fed(*late, endpoint=endpoint).get_next_message()
    # The peer has just been heard twice: it must not be given up.
    endpoint.check_heartbeat()
    assert not endpoint.is_closed()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://example.com:8080/", "example.com:8080"),
        ("ws://example.com:80/", "example.com"),
        ("wss://example.com:443/", "example.com"),
        ("wss://example.com:80/", "example.com:80"),
        ("ws://[::1]:8080/", "[::1]:8080"),
        ("ws://[::1]/", "[::1]"),
        ("ws://user:word@example.com/", "example.com"),
    ],
)
def test_defect_13_host_has_the_port_and_brackets_and_no_userinfo(url: str, host: str):
    request = ClientHandshake(url).request()
    assert request.headers.get_all("Host") == (host,)
    assert ("Authorization" in request.headers) is ("@" in url)


def test_defect_14_connection_and_upgrade_may_be_spread_over_lines():
    request = opening(
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        Connection="keep-alive",
        Upgrade="HTTP/2.0, foo",
    )
    assert ServerHandshake().answer(request).status == 101
    ClientHandshake("ws://h", random_bytes=lambda size: b"the sample nonce").check(
        answer(("Connection", "Upgrade"), ("Connection", "keep-alive"), without="Connection")
    )


@pytest.mark.parametrize(
    "key",
    ["A" * 22 + "=", "A" * 24, "A" * 20 + "==", KEY + "AAAA"],
    ids=["one =", "18 bytes", "14 bytes", "19 bytes"],
)
def test_defect_15_the_key_is_decoded(key: str):
    assert refused(opening(Sec_WebSocket_Key=key)).status == 400
    assert ServerHandshake().answer(opening(Sec_WebSocket_Key="A" * 21 + "B==")).status == 101


def test_defect_15_host_and_origin_are_checked():
    evil = opening(("Origin", "https://evil.example"))
    assert refused(evil).status == 403
    good = opening(("Origin", "https://example.com"))
    assert ServerHandshake().answer(good).status == 101
    assert refused(opening(("Origin", "https://example.com"), without="Host")).status == 403


def test_defect_15_426_tells_the_version():
    response = refused(opening(Sec_WebSocket_Version="8"))
    assert response.status == 426
    assert response.headers["Sec-WebSocket-Version"] == "13"


def test_defect_16_masks_keys_and_pings_come_from_the_systems_random_source():
    for function in (Endpoint.__init__, ClientHandshake.__init__):
        assert inspect.signature(function).parameters["random_bytes"].default is os.urandom
    counter = itertools.count(1)

    def numbered(size: int) -> bytes:
        return b"".join(next(counter).to_bytes(4, "big") for _ in range(size // 4))

    endpoint = ClientEndpoint(random_bytes=numbered)
    endpoint.send_message("a")
    endpoint.send_message("b")
    masks = [frame.mask for frame in drain(endpoint)]
    assert masks == [(1).to_bytes(4, "big"), (2).to_bytes(4, "big")]


def test_defect_17_frames_and_messages_have_a_limit():
    limits = Limits(message_size=10, fragments=4)
    declared = b"\x82\x8b" + MASK  # the header of a frame of 11 bytes is enough
    fails(fed(declared, limits=limits), MessageTooBig, 1009)
    fragments = [from_client(BINARY, bytes(6), fin=False), from_client(CONTINUATION, bytes(5))]
    fails(fed(*fragments, limits=limits), MessageTooBig, 1009)
    many = [from_client(BINARY, fin=False), *[from_client(CONTINUATION, fin=False)] * 4]
    fails(fed(*many, limits=limits), PolicyViolation, 1008)


def test_defect_17_a_frame_for_on_data_frame_has_a_limit_too():
    # A frame is collected whole for the callback, so its size has to be bounded.
    seen: list[DataFrame] = []
    endpoint = fed(b"\x82\x8b" + MASK, limits=Limits(message_size=10), on_data_frame=seen.append)
    fails(endpoint, MessageTooBig, 1009)
    assert seen == []


def test_defect_17_a_declared_length_is_not_believed():
    header = b"\x82\xff" + (4 << 30).to_bytes(8, "big") + MASK
    endpoint = ServerEndpoint(limits=Limits(message_size=8 << 30))
    tracemalloc.start()
    try:
        assert fed(header, b"abc", endpoint=endpoint).get_next_message() is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


def test_defect_18_eof_inside_a_frame_is_told_from_eof_between_frames():
    texts = []
    for data in (b"", from_client(TEXT, b"xy")[:-1], from_client(TEXT, b"xy")[:1]):
        endpoint = fed(data)
        endpoint.receive_eof()
        with pytest.raises(UnexpectedEOF) as caught:
            endpoint.get_next_message()
        texts.append(str(caught.value))
    assert "inside" not in texts[0]
    assert all("inside a frame" in text for text in texts[1:])


# ---- the API ---------------------------------------------------------------------------------


def test_defect_19_results_can_be_told_apart():
    endpoint = fed(
        from_client(PING),
        from_client(TEXT, b"a", fin=False),
        from_client(CONTINUATION, b"b"),
        from_client(TEXT, b"c")[:-1],
    )
    outcomes = []
    while (outcome := endpoint.step()) is not Progress.NEED_DATA:
        outcomes.append(outcome)
    assert outcomes[0] is Progress.HANDLED
    messages = [outcome for outcome in outcomes if isinstance(outcome, Message)]
    assert [message.payload for message in messages] == ["ab"]
    fed(from_client(TEXT, b"c")[-1:], from_client(CLOSE), endpoint=endpoint)
    assert [message.payload for message in fully(endpoint)] == ["c"]
    assert endpoint.step() is Progress.ENDED


def test_defect_19_a_loop_over_messages_does_not_stall_at_a_ping():
    endpoint = fed(from_client(TEXT, b"a"), from_client(PING), from_client(TEXT, b"b"))
    texts = []
    while message := endpoint.get_next_message():
        texts.append(message.payload)
    assert texts == ["a", "b"]


def test_defect_20_a_callers_buffer_is_copied_and_never_masked_in_place():
    buffer = bytearray(b"secret")
    endpoint = ClientEndpoint()
    endpoint.send_message(buffer)
    endpoint.send_frame(Streamer("binary").create_final(buffer))
    frame = BinaryFrame(memoryview(buffer), mask=MASK)
    buffer[:] = b"SECRET"
    frames = [*drain(endpoint), frame]
    for queued in frames:
        queued.to_bytes()
    assert [queued.payload for queued in frames] == [b"secret"] * 3
    assert buffer == b"SECRET"


def test_defect_21_an_unfinished_stream_raises():
    with pytest.raises(UnfinishedStream), Streamer("text") as streamer:
        streamer.create_chunk("x")


def test_defect_22_the_heartbeat_compares_with_at_least():
    endpoint = ServerEndpoint(max_pings=5)
    for _ in range(3):
        endpoint.check_heartbeat()
    endpoint.ping()
    endpoint.max_pings = 2  # passed already
    endpoint.check_heartbeat()
    assert endpoint.is_closed()


@pytest.mark.parametrize("max_pings", [-1, 2.5, "3", None])
def test_defect_22_a_number_that_could_never_be_reached_is_refused(max_pings: Any):
    with pytest.raises(ValueError, match="max_pings"):
        ServerEndpoint(max_pings=max_pings)


def test_defect_23_parsers_share_nothing():
    wires = [frame_bytes(TEXT, b"aaaa", mask=MASK), frame_bytes(BINARY, b"bb")]
    parsers = [Parser(), Parser()]
    frames = []
    for place in range(max(map(len, wires))):
        for parser, wire in zip(parsers, wires, strict=True):
            parser.receive_data(wire[place : place + 1])
            if frame := parser.get_next_frame():
                frames.append(frame)
    assert frames == [BinaryFrame(b"bb"), TextFrame("aaaa", mask=MASK)]


def test_defect_24_an_error_has_no_attribute_that_is_always_none():
    frames = [from_client(CONTINUATION), from_client(5), from_client(PING, fin=False)]
    for frame, word in zip(frames, ["continuation", "opcode 5", "ping"], strict=True):
        error = fails(fed(frame), ProtocolError, 1002)
        assert word in str(error)
        assert None not in vars(error).values()


@pytest.mark.parametrize(
    ("make", "error_type"),
    [
        (lambda: BinaryFrame(mask=b"abc"), InvalidFrame),
        (lambda: BinaryFrame(rsv=8), InvalidFrame),
        (lambda: PingFrame(bytes(126)), InvalidFrame),
        (lambda: CloseFrame(999), InvalidCloseCode),
        (lambda: fed(from_client(5)).get_next_message(), ProtocolError),
        (lambda: fed(compressed(b"\xff"), extension=made()).get_next_message(), InvalidPayload),
        (lambda: Message([]), InvalidFrame),
        (lambda: ClientHandshake("x"), InvalidURL),
        (lambda: ServerHandshake().answer(opening(without="Upgrade")), BadRequest),
        (lambda: ClientHandshake("ws://h").check(answer(without="Upgrade")), BadUpgrade),
        (lambda: Deflate().accept_answer([("x", None)]), BadResponse),
    ],
)
def test_defect_25_errors_have_types(make: Any, error_type: type[Exception]):
    with pytest.raises(error_type) as caught:
        make()
    assert type(caught.value) is error_type


def test_defect_26_fragments_are_not_kept_after_an_error():
    endpoint = fed(from_client(TEXT, b"a", fin=False), from_client(TEXT, b"b", fin=False))
    fails(endpoint, ProtocolError, 1002)
    endpoint.receive_data(from_client(CONTINUATION, b"c"))
    assert endpoint.step() is Progress.ENDED
    assert endpoint.parser.buffered == 0


# ---- RFC 7692 --------------------------------------------------------------------------------


def test_defect_27_only_the_last_frame_of_a_compressed_message_has_fin():
    # Random bytes do not shrink: the message goes in several frames, the first alone with RSV1.
    data = seeded_bytes(1)(256)
    endpoint = ServerEndpoint(extension=made(), limits=Limits(fragment_size=100))
    endpoint.send_message(data)
    frames = drain(endpoint)
    assert len(frames) >= 3
    assert [frame.fin for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert [frame.rsv for frame in frames] == [0b100] + [0] * (len(frames) - 1)
    client = ClientEndpoint(extension=made())
    fed(*(frame.to_bytes() for frame in frames), endpoint=client)
    assert [message.payload for message in fully(client)] == [data]


@pytest.mark.parametrize("takeover", [True, False])
def test_defect_28_empty_compressed_messages_may_repeat(takeover: bool):
    options = {"context_takeover": takeover, "peer_context_takeover": takeover}
    client, server = (
        ClientEndpoint(extension=made(**options)),
        ServerEndpoint(extension=made(**options)),
    )
    for text in ("", "", "x", "", ""):
        client.send_message(text)
    assert [message.payload for message in carry(client, server)] == ["", "", "x", "", ""]


def test_defect_29_a_final_block_is_read():
    compressor = zlib.compressobj(wbits=-15)
    final = compressor.compress(b"Hello") + compressor.flush(zlib.Z_FINISH)  # BFINAL=1
    for wire in (final, final + b"\x00"):  # RFC 7692 section 7.2.3.4 has the empty block behind
        endpoint = fed(compressed(wire), compressed(deflated(b"next")), extension=made())
        assert [message.payload for message in fully(endpoint)] == [b"Hello", b"next"]


def test_defect_30_a_window_of_8_never_fails_at_first_use():
    # zlib cannot compress with it: declined, as an option refused; inflated with 9.
    assert Deflate().accept_offer([("server_max_window_bits", "8")]) is None
    with pytest.raises(BadResponse, match="8 window bits"):
        Deflate().accept_answer([("client_max_window_bits", "8")])
    with pytest.raises(ValueError, match="9 to 15"):
        Deflate(window_bits=8)
    accepted = Deflate().accept_offer([("client_max_window_bits", "8")])
    assert accepted is not None
    answer_to_client, extension = accepted
    assert ("client_max_window_bits", "8") in answer_to_client
    endpoint = fed(compressed(deflated(b"Hello" * 100, bits=9)), extension=extension)
    assert [message.payload for message in fully(endpoint)] == [b"Hello" * 100]


@pytest.mark.parametrize(
    "parameter",
    [
        ("server_max_window_bits", "7"),
        ("server_max_window_bits", "99"),
        ("server_max_window_bits", "010"),
        ("server_max_window_bits", None),
        ("client_max_window_bits", "16"),
        ("server_no_context_takeover", "1"),
        ("client_no_context_takeover", "true"),
        ("unknown", None),
    ],
)
def test_defect_31_bad_parameters_are_declined_or_fail_the_handshake(
    parameter: tuple[str, str | None],
):
    assert Deflate().accept_offer([parameter]) is None
    with pytest.raises(BadResponse):
        Deflate().accept_answer([parameter])


def test_defect_32_a_window_that_the_peer_did_not_agree_to_is_not_relied_upon():
    far = seeded_bytes(1)(20000)
    message = compressed(deflated(far + far))  # refers back 20000 bytes
    accepted = Deflate(peer_window_bits=9).accept_offer([])  # the client cannot limit its window
    assert accepted is not None
    endpoint = fed(message, extension=accepted[1])
    assert [message.payload for message in fully(endpoint)] == [far + far]

    ignored = Deflate(peer_window_bits=9).accept_answer([])  # the server did not limit its window
    client = ClientEndpoint(extension=ignored)
    fed(frame_bytes(BINARY, deflated(far + far), rsv=0b100), endpoint=client)
    assert [message.payload for message in fully(client)] == [far + far]


def test_defect_33_server_max_window_bits_15_is_echoed():
    accepted = Deflate(window_bits=15).accept_offer([("server_max_window_bits", "15")])
    assert accepted is not None
    assert ("server_max_window_bits", "15") in accepted[0]


def negotiated(*offers: str) -> tuple[str | None, Any]:
    handshake = ServerHandshake(extensions=[Deflate(window_bits=15, peer_window_bits=15)])
    response = handshake.answer(opening(*[("Sec-WebSocket-Extensions", offer) for offer in offers]))
    return response.headers.get("Sec-WebSocket-Extensions"), handshake.extension


def test_defect_34_offers_are_tried_one_by_one_and_never_merged():
    first = "permessage-deflate; server_max_window_bits=10"
    second = "permessage-deflate; server_no_context_takeover"
    said, extension = negotiated(f"{first}, {second}")
    assert said == first
    assert extension.agreed.context_takeover is True
    said, extension = negotiated("permessage-deflate; nonsense", second)
    assert said == second
    assert extension.agreed.window_bits == 15


def test_defect_35_duplicates_are_detected():
    twice = [("client_no_context_takeover", None)] * 2
    assert Deflate().accept_offer(twice) is None
    with pytest.raises(BadResponse, match="twice"):
        Deflate().accept_answer(twice)
    handshake = ClientHandshake(
        "ws://h", extensions=[Deflate()], random_bytes=lambda size: b"the sample nonce"
    )
    extensions = ("Sec-WebSocket-Extensions", "permessage-deflate, permessage-deflate")
    with pytest.raises(BadResponse, match="more than one extension"):
        handshake.check(answer(extensions))
    with pytest.raises(BadResponse, match="Accept"):
        handshake.check(answer(("Sec-WebSocket-Accept", ACCEPT)))


def test_defect_36_a_bomb_goes_off_at_the_limit():
    bomb = compressed(deflated(bytes(64 * MIB)))
    assert len(bomb) < 100_000
    endpoint = ServerEndpoint(extension=made(), limits=Limits(message_size=MIB))
    tracemalloc.start()
    try:
        fails(fed(bomb, endpoint=endpoint), MessageTooBig, 1009)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


def test_defect_37_the_inflater_is_reset_where_that_was_agreed():
    compressor = zlib.compressobj(wbits=-15)

    def message(payload: bytes) -> bytes:
        wire = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return compressed(wire[:-4])

    text = b"the context of the first message" * 4
    frames = [message(text), message(text)]  # the second refers back to the first
    keeps = fed(*frames, extension=made(peer_context_takeover=True, peer_window_bits=15))
    assert [message.payload for message in fully(keeps)] == [text, text]
    resets = fed(*frames, extension=made(peer_context_takeover=False, peer_window_bits=15))
    first = resets.get_next_message()
    assert first is not None
    assert first.payload == text
    fails(resets, InvalidPayload, 1007)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_defect_38_rsv1_on_control_frames_is_refused(opcode: int):
    payload = close_payload(1000) if opcode == CLOSE else b""
    fails(fed(from_client(opcode, payload, rsv=0b100), extension=made()), ProtocolError, 1002)


def test_defect_38_rsv1_on_a_continuation_is_refused():
    first = from_client(BINARY, deflated(b"Hello"), rsv=0b100, fin=False)
    endpoint = fed(first, from_client(CONTINUATION, b"\0", rsv=0b100), extension=made())
    fails(endpoint, ProtocolError, 1002)


def test_defect_38_the_endpoint_knows_what_was_negotiated():
    hello = compressed(deflated(b"Hello"))
    assert [message.payload for message in fully(fed(hello, extension=made()))] == [b"Hello"]
    fails(fed(hello), ProtocolError, 1002)


def test_defect_39_a_compressed_message_that_was_begun_can_be_given_up():
    extension = made()
    extension.encode(b"half a mess", final=False)
    extension.abandon()
    endpoint = ServerEndpoint(extension=extension)
    endpoint.send_message("Hello")
    client = ClientEndpoint(extension=made())
    assert [message.payload for message in carry(endpoint, client)] == ["Hello"]


def test_defect_39_two_messages_cannot_be_streamed_at_once():
    endpoint = ServerEndpoint(extension=made())
    one, two = Streamer("text"), Streamer("text")
    endpoint.send_frame(one.create_chunk("a"))
    for send in (
        lambda: endpoint.send_frame(two.create_chunk("b")),
        lambda: endpoint.send_message("c"),
    ):
        with pytest.raises(LocalError):
            send()
    endpoint.send_frame(one.create_final("z"))
    endpoint.send_message("c")
    client = ClientEndpoint(extension=made())
    assert [message.payload for message in carry(endpoint, client)] == ["az", "c"]


def test_defect_40_create_message_works_for_every_type_from_the_start():
    endpoint = ServerEndpoint(parser=Parser(frame_types=[BooyaFrame]), extension=made())
    for word in ("binary", "text", "booya"):
        message = endpoint.create_message(word, b"x")
        assert message.type == word
        endpoint.send_message(message)
    assert facts(drain(endpoint)) == [("binary", b"x"), ("text", b"x"), ("booya", b"x")]


def test_after_every_violation_the_queued_close_can_be_flushed():
    out = Narrow()
    endpoint = fed(from_client(CONTINUATION), out=out)
    with pytest.raises(PeerError):
        endpoint.get_next_message()
    out.room = 200
    assert endpoint.flush_write_queue() is True
    assert out.data[:1] == b"\x88"

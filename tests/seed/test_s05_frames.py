"""Net::WebSocket's frames, masks and close codes."""

from __future__ import annotations

from typing import Any

import pytest

from trio_wsendpoint import (
    BinaryFrame,
    ClientEndpoint,
    CloseCode,
    CloseFrame,
    ContinuationFrame,
    ControlFrame,
    DataFrame,
    Endpoint,
    Frame,
    InvalidCloseCode,
    InvalidFrame,
    Parser,
    PingFrame,
    PongFrame,
    ServerEndpoint,
    Streamer,
    TextFrame,
)

from .helpers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    BlinkFrame,
    BooyaFrame,
    drain,
    fed,
    frame_bytes,
    from_client,
    fully,
    scalar_xor,
)

# ---- the classes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame_type", "type", "opcode", "base"),
    [
        (ContinuationFrame, "continuation", CONTINUATION, DataFrame),
        (TextFrame, "text", TEXT, DataFrame),
        (BinaryFrame, "binary", BINARY, DataFrame),
        (CloseFrame, "close", CLOSE, ControlFrame),
        (PingFrame, "ping", PING, ControlFrame),
        (PongFrame, "pong", PONG, ControlFrame),
    ],
)
def test_type_opcode_and_is_control_of_each_class(
    frame_type: type[Frame], type: str, opcode: int, base: type[Frame]
):
    frame = frame_type()
    assert (frame.type, frame.opcode) == (type, opcode)
    assert isinstance(frame, base)
    assert frame.is_control is (base is ControlFrame)


def test_a_data_type_of_ones_own_works_in_a_message():
    endpoint = fed(
        from_client(3, b"a", fin=False),
        from_client(CONTINUATION, b"b"),
        parser=Parser(frame_types=[BooyaFrame]),
    )
    (message,) = fully(endpoint)
    assert (message.type, message.payload) == ("booya", b"ab")


def test_the_base_classes_cannot_be_made():
    for frame_type in (Frame, DataFrame, ControlFrame):
        with pytest.raises(TypeError, match="no opcode"):
            frame_type()


# ---- new -------------------------------------------------------------------------------------


def test_new_defaults_are_fin_without_rsv_mask_and_payload():
    frame = BinaryFrame()
    assert (frame.fin, frame.rsv, frame.mask, frame.payload) == (True, 0, b"", b"")


def test_new_refuses_unknown_arguments():
    # Improved: a warning.
    options: dict[str, Any] = {"payload_sr": b"x"}
    with pytest.raises(TypeError, match="payload_sr"):
        BinaryFrame(**options)


@pytest.mark.parametrize("payload", [None, 3, [b"x"], {}])
def test_new_refuses_a_payload_that_is_no_bytes(payload: Any):
    with pytest.raises(TypeError, match="must be bytes"):
        BinaryFrame(payload)


@pytest.mark.parametrize(("bit", "first"), [(0b100, 0xC2), (0b010, 0xA2), (0b001, 0x92)])
def test_rsv1_is_the_highest_of_the_three_bits(bit: int, first: int):
    assert BinaryFrame(rsv=bit).to_bytes() == bytes([first, 0])


def test_rsv_can_be_set_and_replaces_all_three():
    frame = BinaryFrame(rsv=0b110)
    frame.rsv = 0b001
    assert frame.to_bytes()[0] == 0x92


def test_fin_of_a_data_frame_can_be_set():
    frame = BinaryFrame()
    frame.fin = False
    assert frame.to_bytes()[0] == 0x02


@pytest.mark.parametrize("frame_type", [PingFrame, PongFrame, BlinkFrame])
def test_a_control_frame_is_never_a_fragment(frame_type: type[ControlFrame]):
    # Improved: fin was forced without a word.
    assert frame_type().fin is True
    with pytest.raises(InvalidFrame, match="cannot be a fragment"):
        frame_type(fin=False)


@pytest.mark.parametrize("frame_type", [PingFrame, PongFrame, BlinkFrame])
def test_a_control_frame_has_at_most_125_bytes(frame_type: type[ControlFrame]):
    assert len(frame_type(bytes(125)).to_bytes()) == 127
    with pytest.raises(InvalidFrame, match="125 is the most"):
        frame_type(bytes(126))


# ---- lengths ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [b"", MASK], ids=["unmasked", "masked"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_lengths_are_in_their_shortest_form(size: int, mask: bytes):
    payload = (b"abcdefg" * (size // 7 + 1))[:size]
    wire = BinaryFrame(payload, mask=mask).to_bytes()
    assert wire == frame_bytes(BINARY, payload, mask=mask)
    header = 2 if size < 126 else 4 if size < 65536 else 10
    assert len(wire) == header + len(mask) + size


# ---- masks -----------------------------------------------------------------------------------


def test_a_mask_is_xored_cyclically():
    wire = TextFrame("Hello", mask=MASK).to_bytes()
    assert wire == bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455 section 5.7
    assert wire[6:] == scalar_xor(b"Hello", MASK)


def test_the_payload_of_a_masked_frame_is_shown_unmasked():
    frame = TextFrame("Hello", mask=MASK)
    frame.to_bytes()
    assert (frame.payload, frame.mask) == (b"Hello", MASK)


def test_a_frame_without_a_mask_has_an_empty_one():
    assert BinaryFrame(b"x").mask == b""
    assert BinaryFrame(b"x").to_bytes() == b"\x82\x01x"


def sent(endpoint: Endpoint) -> list[Frame]:
    endpoint.send_message("x")
    endpoint.ping()
    for create in (Streamer("text").create_final,):
        endpoint.send_frame(create("y"))
    endpoint.close()
    return drain(endpoint)


def test_a_client_masks_everything_with_a_fresh_mask_for_each_frame():
    masks = [frame.mask for frame in sent(ClientEndpoint())]
    assert [len(mask) for mask in masks] == [4] * 4
    assert len(set(masks)) == 4


def test_a_server_never_masks():
    assert [frame.mask for frame in sent(ServerEndpoint())] == [b""] * 4


# ---- close frames ----------------------------------------------------------------------------

NAMES = {
    "SUCCESS": 1000,
    "ENDPOINT_UNAVAILABLE": 1001,
    "PROTOCOL_ERROR": 1002,
    "INVALID_DATA_TYPE": 1003,
    "INVALID_PAYLOAD": 1007,
    "POLICY_VIOLATION": 1008,
    "MESSAGE_TOO_BIG": 1009,
    "UNSUPPORTED_EXTENSIONS": 1010,
    "INTERNAL_ERROR": 1011,
    "SERVER_ERROR": 1011,
    "SERVICE_RESTART": 1012,
    "TRY_AGAIN_LATER": 1013,
    "BAD_GATEWAY": 1014,
}


@pytest.mark.parametrize(("name", "code"), NAMES.items())
def test_the_names_of_the_close_codes(name: str, code: int):
    assert CloseCode[name] == code
    assert CloseFrame(CloseCode[name]).payload == code.to_bytes(2, "big")


def test_1011_is_called_internal_error():
    assert CloseCode(1011).name == "INTERNAL_ERROR"


def test_every_code_that_may_travel_and_no_other():
    # Improved: 3000-3999 (RFC 6455 section 7.4.2) could not be sent.
    allowed = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    for code in [*range(-1, 5100), 65535, 65536]:
        if code in allowed:
            assert CloseFrame(code).code == code
        else:
            with pytest.raises(InvalidCloseCode):
                CloseFrame(code)


def test_a_reason_is_utf_8_of_at_most_123_bytes():
    assert CloseFrame(1000, "€" * 41).reason == "€" * 41
    for reason in ("x" * 124, "€" * 41 + "x"):
        with pytest.raises(InvalidCloseCode, match="123 is the most"):
            CloseFrame(1000, reason)


def test_a_reason_needs_a_code():
    # Improved: it was dropped with a warning.
    with pytest.raises(InvalidCloseCode, match="needs a close code"):
        CloseFrame(None, "why")


def test_code_and_reason_of_a_close_frame():
    frame = CloseFrame(1000, "bye")
    assert (frame.code, frame.reason) == (1000, "bye")


def test_an_empty_close_has_no_code_and_an_empty_reason():
    frame = CloseFrame()
    assert (frame.code, frame.reason, frame.payload) == (None, "", b"")
    assert frame.to_bytes() == b"\x88\x00"

"""The numbers of RFC 6455, spelled once more and independently."""

from __future__ import annotations

import pytest

from trio_wsendpoint.protocol.opcodes import (
    MAX_CONTROL_PAYLOAD,
    MAX_REASON,
    CloseCode,
    Opcode,
    describe_code,
    is_wire_code,
)


def test_opcodes():
    assert {opcode.name: opcode.value for opcode in Opcode} == {
        "CONTINUATION": 0,
        "TEXT": 1,
        "BINARY": 2,
        "CLOSE": 8,
        "PING": 9,
        "PONG": 10,
    }


def test_close_codes_have_the_names_of_the_seed():
    assert {name: code.value for name, code in CloseCode.__members__.items()} == {
        "SUCCESS": 1000,
        "ENDPOINT_UNAVAILABLE": 1001,
        "PROTOCOL_ERROR": 1002,
        "INVALID_DATA_TYPE": 1003,
        "NO_STATUS": 1005,
        "ABNORMAL_CLOSURE": 1006,
        "INVALID_PAYLOAD": 1007,
        "POLICY_VIOLATION": 1008,
        "MESSAGE_TOO_BIG": 1009,
        "UNSUPPORTED_EXTENSIONS": 1010,
        "INTERNAL_ERROR": 1011,
        "SERVER_ERROR": 1011,
        "SERVICE_RESTART": 1012,
        "TRY_AGAIN_LATER": 1013,
        "BAD_GATEWAY": 1014,
        "TLS_HANDSHAKE": 1015,
    }


def test_the_sizes_of_control_frames():
    assert MAX_CONTROL_PAYLOAD == 125
    assert MAX_REASON == 123


def test_wire_codes_over_all_of_16_bits():
    allowed = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
    allowed.update(range(3000, 5000))
    assert {code for code in range(65536) if is_wire_code(code)} == allowed
    assert not is_wire_code(-1000)
    assert not is_wire_code(65536 + 1000)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1000, "1000 (SUCCESS)"),
        (1011, "1011 (INTERNAL_ERROR)"),
        (1006, "1006 (ABNORMAL_CLOSURE)"),
        (1016, "1016"),
        (4000, "4000"),
    ],
)
def test_describe_code(code: int, text: str):
    assert describe_code(code) == text

"""The numbers of RFC 6455: opcodes (section 5.2) and close codes (section 7.4).

It has the tables, and two functions of a close code.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["MAX_CONTROL_PAYLOAD", "MAX_REASON", "CloseCode", "Opcode", "is_wire_code"]

#: Bytes that a control frame's payload may have (RFC 6455 section 5.5).
MAX_CONTROL_PAYLOAD = 125
#: Bytes of UTF-8 that are left for the reason when the close code has taken its two.
MAX_REASON = MAX_CONTROL_PAYLOAD - 2


class Opcode(IntEnum):
    """What a frame is, RFC 6455 section 5.2; 3-7 and 11-15 are free for extensions."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(IntEnum):
    """Why a connection ends, under Net::WebSocket's names (RFC 6455 section 7.4.1 and IANA).

    The last three are never sent: they tell an application what it did not receive.
    """

    SUCCESS = 1000
    ENDPOINT_UNAVAILABLE = 1001
    PROTOCOL_ERROR = 1002
    INVALID_DATA_TYPE = 1003
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    UNSUPPORTED_EXTENSIONS = 1010
    INTERNAL_ERROR = 1011
    SERVER_ERROR = 1011  # the seed's other name for it
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014

    NO_STATUS = 1005
    ABNORMAL_CLOSURE = 1006
    TLS_HANDSHAKE = 1015


# 1004 is reserved, 1005, 1006 and 1015 MUST NOT be sent, 1016-2999 are for future versions of
# the protocol, 3000-4999 are for libraries and applications (RFC 6455 section 7.4.2).
_DEFINED = frozenset(code for code in range(1000, 1015) if code not in {1004, 1005, 1006})


_DESCRIBED = {code.value: f"{code.value} ({code.name})" for code in CloseCode}


def is_wire_code(code: int) -> bool:
    """Tell whether `code` may stand in a Close frame, sent or received."""
    return code in _DEFINED or 3000 <= code <= 4999


def describe_code(code: int) -> str:
    """Return `code` with its name where it has one, as `1000 (SUCCESS)`."""
    return _DESCRIBED.get(code) or str(code)

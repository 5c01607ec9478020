"""The page for those who come from Perl: every name there exists, and none is missing."""

from __future__ import annotations

import builtins
import importlib
import inspect
import re
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_wsendpoint import (
    ClientEndpoint,
    Endpoint,
    Message,
    ServerEndpoint,
    connect_endpoint,
)

from .helpers import close_facts, drain_bytes, facts, fully

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-net-websocket.md"

#: Net::WebSocket's classes, methods, options and exceptions, of all its releases, and what its
#: manual pages name beside.
PERL = {
    "Net::WebSocket::Endpoint": """
        Net::WebSocket::Endpoint Net::WebSocket::Endpoint::Server Net::WebSocket::Endpoint::Client
        new parser out max_pings DEFAULT_MAX_PINGS on_data_frame before_send_frame
        before_send_control_frame _before_send_frame get_next_message on_ping on_pong on_close
        on_<type> create_message check_heartbeat close shutdown is_closed sent_close_frame
        received_close_frame do_not_die_on_close die_on_close get_write_queue_size
        shift_write_queue flush_write_queue process_write_queue _write_frame _write_now
        _handle_control_frame
    """,
    "Net::WebSocket::PingStore": "Net::WebSocket::PingStore add remove get_count",
    "Net::WebSocket::Parser": """
        Net::WebSocket::Parser Net::WebSocket::Base::Parser Net::WebSocket::Base::ReadFilehandle
        new $pre_buffer get_next_frame OPCODE_CLASS_<n>
    """,
    "IO::Framed": """
        IO::Framed IO::Framed::Write read write enable_write_queue allow_empty_read
        get_write_queue_count flush_write_queue IO::Framed::X::EmptyRead IO::Framed::X::ReadError
        IO::Framed::X::WriteError IO::Framed::X::EmptyWrite
    """,
    "Net::WebSocket::Frame": """
        Net::WebSocket::Frame Net::WebSocket::Typed Net::WebSocket::Base::DataFrame
        Net::WebSocket::Base::ControlFrame Net::WebSocket::Frame::text
        Net::WebSocket::Frame::binary Net::WebSocket::Frame::continuation
        Net::WebSocket::Frame::close Net::WebSocket::Frame::ping Net::WebSocket::Frame::pong
        new payload payload_sr fin rsv mask get_fin set_fin get_mask_bytes get_payload to_bytes
        get_rsv set_rsv set_rsv1 set_rsv2 set_rsv3 has_rsv1 has_rsv2 has_rsv3 is_control
        is_control_frame get_type get_opcode
    """,
    "Net::WebSocket::Frame::close and its codes": """
        new code reason get_code_and_reason Net::WebSocket::Constants SUCCESS ENDPOINT_UNAVAILABLE
        PROTOCOL_ERROR INVALID_DATA_TYPE INVALID_PAYLOAD POLICY_VIOLATION MESSAGE_TOO_BIG
        UNSUPPORTED_EXTENSIONS INTERNAL_ERROR SERVER_ERROR SERVICE_RESTART TRY_AGAIN_LATER
        BAD_GATEWAY
    """,
    "Net::WebSocket::Mask": """
        Net::WebSocket::Mask create apply Net::WebSocket::Masker::Server
        Net::WebSocket::Masker::Client
    """,
    "Net::WebSocket::Message": """
        Net::WebSocket::Message Net::WebSocket::Message::text Net::WebSocket::Message::binary new
        create_from_frames get_frames get_payload get_type is_control to_bytes
    """,
    "Net::WebSocket::Streamer": """
        Net::WebSocket::Streamer Net::WebSocket::Streamer::Server
        Net::WebSocket::Streamer::Client new create_chunk create_final
    """,
    "Net::WebSocket::Defragmenter": """
        Net::WebSocket::Defragmenter new parser on_control_frame on_data_frame on_protocol_error
        get_next_message
    """,
    "Net::WebSocket::Handshake": """
        Net::WebSocket::Handshake Net::WebSocket::Handshake::Server
        Net::WebSocket::Handshake::Client Net::WebSocket::Handshake::Extension
        Net::WebSocket::HTTP Net::WebSocket::HTTP_R new subprotocols extensions consume_headers
        to_string headers create_header_text get_subprotocol get_accept valid_protocol_or_die
        valid_method_or_die valid_status_or_die handshake_consume_request
        handshake_consume_response handshake_parse_response uri origin key token
        get_handshake_object consume_parameters ok_to_use parse_string parameters
    """,
    "Net::WebSocket::PMCE::deflate": """
        Net::WebSocket::PMCE::deflate Net::WebSocket::PMCE::deflate::Server
        Net::WebSocket::PMCE::deflate::Client Net::WebSocket::PMCE::deflate::Data
        Net::WebSocket::PMCE::deflate::Data::Streamer new deflate_max_window_bits
        inflate_max_window_bits deflate_no_context_takeover inflate_no_context_takeover
        consume_parameters create_data_object create_message decompress message_is_compressed
        create_streamer
    """,
    "Exceptions": """
        Net::WebSocket::X::Base get_message get BadAccept BadArg BadHTTPMethod BadHTTPStatus
        BadHeader BadRequestProtocol BadToken ControlPayloadTooLong DuplicateHeader
        EndpointAlreadyClosed MissingHeaders ReceivedBadControlFrame ReceivedBadDataFrame
        ReceivedClose UnfinishedStream UnknownExtension UnknownSubprotocol
        UnsupportedProtocolVersion Net::WebSocket::X::ReadFilehandle Net::WebSocket::X::EmptyRead
        Call::Context::X
    """,
}


# ---- reading the page ------------------------------------------------------------------------


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield (heading, Perl, Python, what differs) for every row of every table."""
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
        elif line.startswith("|") and not line.startswith(("| Perl |", "|---")):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == 3, line
            yield heading, cells[0], cells[1], cells[2]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


PYTHON = sorted({name for _, _, python, _ in rows() for name in names(python)})


def resolve(name: str) -> object:
    """Return what a dotted name stands for; None for an attribute that is only declared."""
    parts = name.split(".")
    if len(parts) == 1:
        return getattr(builtins, name)
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for place, part in enumerate(parts[end:], end + 1):
            if not hasattr(found, part) and isinstance(found, type) and place == len(parts):
                declared = {key for base in found.__mro__ for key in inspect.get_annotations(base)}
                assert part in declared, f"{name}: {found.__name__} has no {part}"
                return None
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name}: there is no such module")


def has_parameter(function: Callable[..., object], parameter: str) -> bool:
    """Tell whether a keyword is taken, by name or through `**options: Unpack[...]`."""
    for found in inspect.signature(function).parameters.values():
        if found.kind is not found.VAR_KEYWORD:
            if found.name == parameter:
                return True
        elif group := re.fullmatch(r"Unpack\[(\w+)\]", str(found.annotation)):
            module = importlib.import_module(function.__module__)
            if parameter in getattr(module, group[1]).__annotations__:
                return True
    return False


# ---- the tables ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PYTHON)
def test_every_python_name_exists(name: str):
    path, parenthesis, rest = name.partition("(")
    found = resolve(path)
    if parenthesis:
        assert rest.endswith("=)"), name
        assert callable(found)
        assert has_parameter(found, rest.removesuffix("=)")), f"there is no {name}"


def test_the_check_of_python_names_can_fail():
    for name in ("trio_wsendpoint.Nothing", "trio_wsendpoint.Endpoint.nothing", "nowhere.at_all"):
        with pytest.raises((AssertionError, AttributeError)):
            resolve(name)
    for function in (Endpoint, connect_endpoint):
        assert not has_parameter(function, "nothing")
        assert has_parameter(function, "on_data_frame")
    assert has_parameter(connect_endpoint, "origin")


@pytest.mark.parametrize("heading", PERL)
def test_every_perl_name_is_there(heading: str):
    there = {name for found, perl, _, _ in rows() if found == heading for name in names(perl)}
    wanted = set(PERL[heading].split())
    assert wanted - there == set(), "missing on the page"
    assert there - wanted == set(), "on the page, and not in this test"


def test_no_perl_name_is_there_twice():
    perl = [(heading, name) for heading, cell, _, _ in rows() for name in names(cell)]
    assert len(perl) == len(set(perl))


def test_every_row_has_a_python_name_or_says_why_not():
    for heading, perl, python, why in rows():
        assert heading in PERL, heading
        assert names(perl), perl
        if not names(python):
            assert python == "None", (perl, python)
            assert why, f"{perl} has no counterpart, and no reason"


def test_every_other_python_name_of_ours_in_the_text_exists():
    # `Endpoint(unrecognized_pong="ignore")`, `ConnectionEnded`, ...: words of ours in prose.
    prose = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    ours = importlib.import_module("trio_wsendpoint")
    for name, parameter in re.findall(r"`(Endpoint|Limits|Connection)\((\w+)=", prose):
        assert has_parameter(getattr(ours, name), parameter)
    for name, attribute in re.findall(r"`(Endpoint|Limits|Connection)\.(\w+)", prose):
        assert hasattr(getattr(ours, name), attribute)
    for method in re.findall(r"`(get_\w+|send_\w+|check_\w+|is_\w+|\w+_queue|step)\(\)`", prose):
        assert hasattr(Endpoint, method), method


# ---- the SYNOPSIS ----------------------------------------------------------------------------


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


Converse = Callable[..., ServerEndpoint]


@pytest.fixture
def converse() -> Converse:
    namespace: dict[str, Any] = {}
    exec(compile(block("python"), str(PAGE), "exec"), namespace)
    function: Converse = namespace["converse"]
    return function


def read_all(sock: socket.socket) -> bytes:
    """Return all that has come."""
    data = b""
    while select.select([sock], [], [], 0)[0]:
        data += sock.recv(65536)
    return data


def test_the_synopsis_echoes_and_answers_pings_and_the_close(converse: Converse):
    client = ClientEndpoint()
    client.send_message("hello")
    client.ping()
    client.send_message(b"\0\1")
    client.close(1001, "bye")

    def echo(endpoint: ServerEndpoint, message: Message) -> None:
        endpoint.send_message(message.payload)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(drain_bytes(client))
        endpoint = converse(ours, echo, 5.0)
        answers = read_all(theirs)
    assert endpoint.is_closed()
    assert close_facts(endpoint.closing.received) == (1001, "bye")
    peer = ClientEndpoint(unrecognized_pong="ignore")
    peer.receive_data(answers)
    assert [message.payload for message in fully(peer)] == ["hello", b"\0\1"]
    assert close_facts(peer.closing.received) == (1001, "bye")


def test_the_synopsis_gives_up_a_silent_peer(converse: Converse):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        endpoint = converse(ours, pytest.fail, 0.0)
        answers = read_all(theirs)
    assert close_facts(endpoint.closing.sent) == (1002, "Unanswered ping(s): 5")
    peer = ClientEndpoint(unrecognized_pong="ignore")
    peer.receive_data(answers)
    assert fully(peer) == []
    assert close_facts(peer.closing.received)[0] == 1002
    assert facts([frame for frame in [peer.shift_write_queue()] if frame])[0][0] == "pong"


def test_the_synopsis_is_there_in_perl_with_the_same_calls():
    perl, python = block("perl"), block("python")
    for call in (
        "check_heartbeat",
        "get_write_queue_size",
        "flush_write_queue",
        "get_next_message",
        "shift_write_queue",
        "is_closed",
        "to_bytes",
        "max_pings",
        "on_data_frame",
    ):
        assert call in perl
        assert call in python

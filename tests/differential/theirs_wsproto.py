"""`wsproto` reads a stream, with its `Connection`, after the handshake."""

from __future__ import annotations

from collections.abc import Iterable

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from .outcome import Case, Outcome

__all__ = ["run_wsproto"]


def make_connection(case: Case) -> Connection:
    extensions: list[Extension] = []
    if case.deflate:
        side = "client" if case.is_server else "server"
        extension = PerMessageDeflate()
        extension.finalize(
            "permessage-deflate" + ("" if case.takeover else f"; {side}_no_context_takeover")
        )
        extensions.append(extension)
    role = ConnectionType.SERVER if case.is_server else ConnectionType.CLIENT
    return Connection(role, extensions)


def run_wsproto(case: Case, pieces: Iterable[bytes]) -> Outcome:
    connection = make_connection(case)
    messages: list[str | bytes] = []
    pongs: list[bytes] = []
    text: list[str] = []
    data: list[bytes] = []
    read = 0
    for piece in pieces:
        read += len(piece)
        connection.receive_data(piece)
        for event in connection.events():
            if isinstance(event, TextMessage):
                text.append(event.data)
                if event.message_finished:
                    messages.append("".join(text))
                    text.clear()
            elif isinstance(event, BytesMessage):
                data.append(bytes(event.data))
                if event.message_finished:
                    messages.append(b"".join(data))
                    data.clear()
            elif isinstance(event, Ping):
                pongs.append(bytes(event.payload))
            elif isinstance(event, CloseConnection):
                # The same event tells of the peer's Close frame and of its violation.
                has_closed = connection.state is ConnectionState.REMOTE_CLOSING
                code = int(event.code)
                return Outcome(
                    tuple(messages),
                    tuple(pongs),
                    (code, event.reason or "") if has_closed else None,
                    code,
                    read,
                )
    return Outcome(tuple(messages), tuple(pongs))

"""A conversation in a file: JSON lines, each with its time, and secrets masked.

The first line is the head: the URL and the headers that opened the connection, without what is
secret in them.  Each other line is a message, `sent` by the client or `received`.  What the
messages say is kept as it is: only the owner may read the file.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import trio

from trio_wsendpoint.cli.outcome import UsageFault
from trio_wsendpoint.cli.output import json_message
from trio_wsendpoint.connection.connection import Connection
from trio_wsendpoint.handshake import Headers
from trio_wsendpoint.handshake.secrecy import hide_in_url, hide_in_value, hide_secrets, secrets_of

__all__ = ["Recorded", "Recorder", "open_for_record", "read_recorded"]

#: What the head says of the form of the file.
VERSION = 1

Direction = Literal["sent", "received"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message: seconds after the opening, its direction as the client has it, and itself."""

    seconds: float
    direction: Direction
    message: str | bytes


def open_for_record(path: str, *, force: bool) -> TextIO:
    """Open a new file, mode 0600; with `force` one that is there is replaced.

    Raises `UsageFault`.
    """
    flags = os.O_CREAT | os.O_WRONLY | (os.O_TRUNC if force else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o600)
        os.fchmod(descriptor, 0o600)
    except FileExistsError:
        raise UsageFault(f"{path} is there already: --force replaces it") from None
    except OSError as error:
        raise UsageFault(f"cannot write {path}: {error.strerror}") from None
    return os.fdopen(descriptor, "w", encoding="utf-8")


class Recorder:
    """Writes a conversation to `file`, a line for each message as it passes."""

    def __init__(self, file: TextIO, url: str) -> None:
        self._file = file
        self._url = url
        self._began = 0.0
        self._secrets: frozenset[str] = frozenset()

    def open(self, connection: Connection) -> None:
        """Write the head."""
        self._began = trio.current_time()
        request, response = connection.request, connection.response
        # A server may send back what it was told: in a header of its own, or in a message.
        self._secrets = secrets_of(request.target, request.headers.items())
        self._write(
            {
                "version": VERSION,
                "url": hide_in_url(self._url),
                "subprotocol": connection.subprotocol,
                "request": _shown(request.headers),
                "response": _shown(response.headers),
            }
        )

    def note(self, direction: str, message: str | bytes) -> None:
        """Write a message; the secrets of the request are masked in a text."""
        if isinstance(message, str):
            message = hide_secrets(message, self._secrets)
        seconds = round(trio.current_time() - self._began, 6)
        self._write({"seconds": seconds, "direction": direction, **json_message(message)})

    def _write(self, facts: dict[str, Any]) -> None:
        self._file.write(json.dumps(facts) + "\n")
        self._file.flush()


def _shown(headers: Headers) -> list[list[str]]:
    return [[name, hide_in_value(name, value)] for name, value in headers.items()]


def read_recorded(path: str) -> list[Recorded]:
    """Return the messages of a file; raises `UsageFault` that names the line that is wrong."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageFault(f"cannot read {path}: {why}") from None
    return list(_messages(path, lines))


def _messages(path: str, lines: Iterable[str]) -> Iterable[Recorded]:
    for number, line in enumerate(lines, 1):
        try:
            facts = json.loads(line)
            if number == 1:
                if facts["version"] != VERSION:
                    raise ValueError("version")
                continue
            direction = facts["direction"]
            if direction not in {"sent", "received"}:
                raise ValueError("direction")
            yield Recorded(float(facts["seconds"]), direction, _message(facts))
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise UsageFault(f"{path}: line {number} is none of a recorded conversation") from None


def _message(facts: dict[str, object]) -> str | bytes:
    if facts["type"] == "text":
        text = facts["text"]
        if not isinstance(text, str):
            raise TypeError("text")
        return text
    return base64.b64decode(cast("str", facts["base64"]), validate=True)

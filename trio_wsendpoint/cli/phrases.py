"""What a line at the prompt means: a message, or one of a few commands that begin with `/`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trio_wsendpoint.cli.outcome import UsageFault

__all__ = ["HELP", "Close", "Help", "Phrase", "Ping", "Say", "Stats", "parse_phrase"]

HELP = (
    "/ping               ping, and tell the round trip",
    "/close [CODE [REASON]]  close, with 1000 by default",
    "/binary HEX         send a binary message",
    "/file PATH          send a file: text if it is UTF-8",
    "/stats              tell what has passed",
    "//text              send /text",
    "Ctrl-C clears the line, and closes if it is empty; Ctrl-D closes",
)


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close with a code and a reason."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """Ping once."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Tell the statistics."""


@dataclass(frozen=True, slots=True)
class Help:
    """Tell the commands."""


Phrase = Say | Close | Ping | Stats | Help


def parse_phrase(line: str) -> Phrase:
    """Return what `line` means; raises `UsageFault` for a command that is none."""
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line)
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if word == "/binary":
        return Say(_hex(rest))
    if word == "/file":
        return Say(_file(rest))
    if word == "/close":
        return _close(rest)
    plain: dict[str, Phrase] = {"/ping": Ping(), "/stats": Stats(), "/help": Help()}
    if word not in plain:
        raise UsageFault(f"there is no {word}: /help tells what there is, // sends a /")
    return plain[word]


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageFault("/binary: expected hexadecimal digits, as /binary 00ff") from None


def _file(path: str) -> str | bytes:
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageFault(f"/file: cannot read {path}: {error.strerror}") from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _close(text: str) -> Close:
    code, _, reason = text.partition(" ")
    if not text:
        return Close()
    if not code.isdecimal() or not 1000 <= int(code) <= 4999 or len(reason.encode()) > 123:
        raise UsageFault("/close: expected CODE and REASON, as /close 4000 done, 123 B at most")
    return Close(int(code), reason)

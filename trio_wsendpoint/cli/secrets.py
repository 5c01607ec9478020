"""Reads what must not stand on a command line, where every user of the machine can see it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from trio_wsendpoint.cli.outcome import UsageFault

__all__ = ["basic", "bearer", "parse_header", "text_of"]


def text_of(value: str, option: str) -> str:
    """Return `value`, or of `@FILE` what the file has, without the line break at its end.

    `@@text` is `@text`.  Raises `UsageFault`, which names `option` and the file.
    """
    if not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    try:
        return Path(value[1:]).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageFault(f"{option}: cannot read {value[1:]}: {why}") from None


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of `Name: value`, or of `Name: @FILE`; raises `UsageFault`."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageFault("-H: expected 'Name: value' or 'Name: @FILE'")
    return name.strip(), text_of(value.strip(), f"-H {name.strip()}")


def bearer(value: str) -> tuple[str, str]:
    """Return the header for a token, or for `@FILE` that holds it."""
    return "Authorization", f"Bearer {text_of(value, '--bearer')}"


def basic(value: str) -> tuple[str, str]:
    """Return the header for `USER:PASSWORD` or `USER:@FILE`; raises `UsageFault`."""
    user, colon, password = value.partition(":")
    if not colon:
        raise UsageFault("-u: expected USER:@FILE")
    pair = f"{user}:{text_of(password, '-u')}"
    return "Authorization", "Basic " + b64encode(pair.encode()).decode("ascii")

"""How long the body of a request is, by its head (RFC 9112 section 6), strictly.

Whatever two HTTP readers could understand in two ways is refused: that is how requests are
smuggled.  h11 takes Content-Length together with Transfer-Encoding, equal Content-Lengths, and
Transfer-Encoding in HTTP/1.0; it must not be asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trio_wsendpoint.handshake.abnf import OWS
from trio_wsendpoint.handshake.quoting import quoted
from trio_wsendpoint.handshake.refusal import refuse
from trio_wsendpoint.http.errors import BodyTooLarge

__all__ = ["NO_BODY", "Framing", "framing_of"]

# 18 digits are any size, and far below what `int` refuses to read.
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Framing:
    """Whether a body comes in chunks, or else of how many bytes it is; 0 without a body."""

    chunked: bool = False
    length: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is no body to be read."""
        return not self.chunked and self.length == 0


#: Of most requests.
NO_BODY = Framing()


def framing_of(fields: Mapping[str, Sequence[str]], version: str, limit: int | None) -> Framing:
    """Return the framing that the header `fields` give, by their names in lower case.

    Raises `BadRequest`: 400 for what is ambiguous or malformed, 501 for a coding other than
    chunked; and `BodyTooLarge` for a Content-Length over `limit`, before anything is read.
    """
    codings = fields.get("transfer-encoding")
    lengths = fields.get("content-length")
    if codings is not None:
        if lengths is not None:
            raise refuse(400, "bad request: both Content-Length and Transfer-Encoding")
        if version == "1.0":
            raise refuse(400, "bad request: Transfer-Encoding in HTTP/1.0")
        if [coding.strip(OWS).lower() for coding in codings] != ["chunked"]:
            shown = quoted(", ".join(codings))
            raise refuse(501, f"only the transfer coding chunked is known, not {shown}")
        return Framing(chunked=True)
    if lengths is None:
        return NO_BODY
    if len(lengths) > 1:
        raise refuse(400, "bad request: more than one Content-Length")
    text = lengths[0].strip(OWS)
    # `int` alone would take "+80", "8_0", and digits of every script.
    if not (text.isascii() and text.isdigit()):
        raise refuse(400, f"bad request: Content-Length {quoted(text)} is no number")
    digits = text.lstrip("0") or "0"
    most = 10**_MAX_DIGITS - 1 if limit is None else limit
    if len(digits) > _MAX_DIGITS or int(digits) > most:
        raise BodyTooLarge(most)
    return Framing(length=int(digits))

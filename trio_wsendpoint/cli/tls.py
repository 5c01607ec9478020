"""TLS of the command: a context from its options, and what the handshake told."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import Any, cast

from trio_wsendpoint.cli.outcome import UsageFault

__all__ = ["TLSFacts", "WatchedContext", "make_context"]

_DAY = 86400


class WatchedContext(ssl.SSLContext):
    """A client's context that keeps the TLS object that it made last: `made`.

    So the certificate can be told of an opening that failed afterwards, too.
    """

    made: ssl.SSLObject | None = None

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        """Make a TLS object, as `ssl.SSLContext.wrap_bio`, and keep it."""
        self.made = super().wrap_bio(*arguments, **keywords)
        return self.made

    def facts(self, now: float | None = None) -> TLSFacts | None:
        """Return what is known of the last connection, None before its handshake is done.

        `now`: seconds since the epoch, by which days are counted.
        """
        made = self.made
        if made is None or made.version() is None:
            return None
        found = cast("dict[str, Any]", made.getpeercert() or {})
        pairs = cast("list[tuple[str, str]]", found.get("subjectAltName", ()))
        days = None
        if "notAfter" in found:
            left = ssl.cert_time_to_seconds(found["notAfter"]) - (
                time.time() if now is None else now
            )
            days = int(left // _DAY)
        return TLSFacts(
            version=(made.version() or "").removeprefix("TLSv"),
            names=tuple(value for _, value in pairs),
            days_left=days,
        )


@dataclass(frozen=True, slots=True)
class TLSFacts:
    """What a TLS handshake told; of a certificate that was not verified, nothing is known."""

    version: str
    names: tuple[str, ...]
    days_left: int | None

    def __str__(self) -> str:
        if self.days_left is None:
            return f"{self.version}, not verified"
        more = f" and {len(self.names) - 3} more" if len(self.names) > 3 else ""
        names = ", ".join(self.names[:3]) + more
        return f"{self.version}, for {names}, {self.days_left} days left"


def make_context(
    *, cert: str | None, key: str | None, cacert: str | None, insecure: bool
) -> WatchedContext:
    """Return a client's context; raises `UsageFault` for a file that cannot be used."""
    context = WatchedContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_default_certs() if cacert is None else context.load_verify_locations(cacert)
    except (OSError, ssl.SSLError) as error:
        raise UsageFault(f"--cacert: cannot use {cacert}: {_why(error)}") from None
    if cert is not None:
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise UsageFault(f"--cert: cannot use {cert}: {_why(error)}") from None
    elif key is not None:
        raise UsageFault("--key goes with --cert")
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the user has asked for it, and is warned
    return context


def _why(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return str(reason)

"""How a connection ended: whose end it is, what went wrong, and one line that says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from trio_wsendpoint.protocol.closing import Closing, Event, State
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["How", "Outcome", "tell_loss", "tell_outcome"]

_CLEAN = frozenset({CloseCode.SUCCESS, CloseCode.ENDPOINT_UNAVAILABLE, CloseCode.NO_STATUS})
#: What our own Close frame says when something went wrong, whatever the peer says.
_FAILED = frozenset({CloseCode.PROTOCOL_ERROR, CloseCode.INTERNAL_ERROR})


class How(Enum):
    """Whose end it is: the peer closed in order, we closed, or anything else."""

    ENDED = "the peer closed in order"
    LOST = "the connection was lost"
    LOCAL = "we closed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a connection ended: `how`, `text` (None: what `closing` explains), and its `cause`."""

    how: How
    text: str | None
    cause: Exception | None


def tell_outcome(
    closing: Closing,
    *,
    is_closed_locally: bool,
    is_dismissed: bool,
    failure: Exception | None,
    broken: Exception | None,
    may_be_orderly: bool,
) -> Outcome:
    """Tell how a connection ended.

    `is_closed_locally`: the app has closed it.  `is_dismissed`: the server of the app stops.
    `failure`: what a callback raised.  `broken`: what broke the stream when it was written to.
    `may_be_orderly`: the caller neither sends nor has half a message.
    """
    text: str | None = None
    if failure is not None or broken is not None or closing.state is not State.CLOSED:
        text = _explain(closing, is_dismissed, failure, broken)
    cause = failure or broken or closing.error
    if is_closed_locally or (is_dismissed and closing.is_open):
        return Outcome(How.LOCAL, text, cause)
    if may_be_orderly and failure is None and _is_clean(closing):
        return Outcome(How.ENDED, text, cause)
    return Outcome(How.LOST, text, cause)


def _explain(
    closing: Closing, is_dismissed: bool, failure: Exception | None, broken: Exception | None
) -> str:
    facts = [] if closing.is_open else [closing.explain()]
    if failure is not None:
        facts.insert(0, f"internal error: {failure!r}")
    elif broken is not None and not str(closing.error).startswith("the connection was lost"):
        facts.insert(0, tell_loss(broken))
    elif is_dismissed and not facts:
        facts.append("the server stops")
    return "; ".join(facts)


def _is_clean(closing: Closing) -> bool:
    """Tell whether the peer closed, and for no error."""
    # A peer may answer 1000 to the 1002 that gives it up for its silence, and close with 1000
    # while our 1011 is on its way.
    was_failed = closing.sent is not None and closing.sent.code in _FAILED
    # Whether our answer could be written is nothing to a caller that receives.
    is_orderly = closing.error is None or closing.began is Event.PEER_CLOSES
    return is_orderly and not was_failed and closing.received is not None and closing.code in _CLEAN


def tell_loss(error: Exception) -> str:
    """Say that the stream broke, and why if it told."""
    return f"the connection was lost: {error.__cause__ or error!r}"

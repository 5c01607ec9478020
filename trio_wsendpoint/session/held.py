"""When the peer's Close or violation takes effect that waits behind messages."""

from __future__ import annotations

from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.session.inbox import Inbox
from trio_wsendpoint.session.intake import Intake

__all__ = ["HeldEnd"]


class HeldEnd:
    """The end that the endpoint holds, in its place in the stream.

    It takes effect when the app has taken all that came before it and asks for more,
    `Timeouts.answer` after the app was handed the last of it, or `Timeouts.close` after it came.
    """

    __slots__ = ("_answer", "_close", "_inbox", "_intake", "_since")

    def __init__(self, inbox: Inbox, intake: Intake, timeouts: Timeouts) -> None:
        self._inbox = inbox
        self._intake = intake
        self._answer = timeouts.answer
        self._close = timeouts.close
        self._since = float("inf")  # when it came, in seconds

    def may_take_effect(self, now: float) -> bool:
        """Tell whether it takes effect now: the app asks for more, or is late."""
        self._since = min(self._since, now)
        inbox = self._inbox
        return (inbox.is_receiver_waiting and not inbox.is_unanswered) or self.due <= now

    @property
    def due(self) -> float:
        """When it takes effect, whatever the app does, in seconds."""
        since = self._since
        began = max(self._inbox.handed_over, self._intake.passed_at)
        if self._inbox.is_unanswered:
            began = max(since, began)
        return min(began + self._answer, since + self._close)

"""When the peer's Close or violation takes effect that waits behind messages."""

from __future__ import annotations

from trio_wsendpoint.options import Timeouts
from trio_wsendpoint.session.inbox import Inbox

__all__ = ["HeldEnd"]


class HeldEnd:
    """The end that the endpoint holds, in its place in the stream.

    It takes effect when the app has taken all that came before it and asks for more,
    `Timeouts.answer` after the app was handed the last of it, or `Timeouts.close` after it came.
    """

    __slots__ = ("_answer", "_close", "_inbox", "_since")

    def __init__(self, inbox: Inbox, timeouts: Timeouts) -> None:
        self._inbox = inbox
        self._answer = timeouts.answer
        self._close = timeouts.close
        self._since = float("inf")  # when it came, in seconds

    def may_take_effect(self, now: float, handed_over: float) -> bool:
        """Tell whether it takes effect now: the app asks for more, or is late."""
        self._since = min(self._since, now)
        inbox = self._inbox
        return (inbox.is_receiver_waiting and not inbox.is_unanswered) or self.due(
            handed_over
        ) <= now

    def due(self, handed_over: float) -> float:
        """Return when it takes effect, whatever the app does; it was handed something last then."""
        since = self._since
        began = handed_over
        if self._inbox.is_unanswered:
            began = max(since, began)
        return min(began + self._answer, since + self._close)

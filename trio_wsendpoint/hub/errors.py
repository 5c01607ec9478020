"""What can go wrong between a hub, its backplane and its subscribers."""

from __future__ import annotations

from trio_wsendpoint.errors import LocalError, WebSocketError

__all__ = [
    "BackplaneDown",
    "BackplaneError",
    "BackplaneRefused",
    "HubClosed",
    "InvalidPosition",
    "PublishError",
    "PublishFailed",
    "PublishUnsure",
    "SubscriberTooSlow",
]


class BackplaneError(WebSocketError):
    """The base of what a backplane raises; `__cause__` is the error of its client, if any."""


class BackplaneRefused(BackplaneError):
    """The server behind the backplane is not configured as the hub needs it.

    Raised at the start only, by `open_hub`.  The text names the setting, its value, and what is
    expected.  To try again does not help.
    """


class BackplaneDown(BackplaneError):
    """The backplane has no connection now, so nothing can be read.  It goes on trying."""


class PublishError(BackplaneError):
    """Messages were not published, or perhaps not; see the two subclasses."""


class PublishFailed(PublishError):
    """No subscriber has got the messages, or will.  To publish them again is safe."""


class PublishUnsure(PublishError):
    """The messages left, and no answer came: they may arrive yet, even later than this error.

    A server that was frozen executes what it was sent when it thaws.  To publish them again may
    show them twice.
    """


class SubscriberTooSlow(WebSocketError):
    """A subscriber was cut: it took too little, for longer than its policy allows.

    `topic` is the topic whose message found no room, or None if time was up.
    """

    def __init__(self, text: str, topic: str | None = None) -> None:
        super().__init__(text)
        self.topic = topic


class HubClosed(LocalError, RuntimeError):
    """The block of the hub has been left; it takes no messages and no subscribers."""


class InvalidPosition(WebSocketError, ValueError):
    """A text that is no position.  It comes from a client, so it may hold anything."""

"""One message to many subscribers, in one process or many."""

from trio_wsendpoint.hub.backplane import (
    Backplane,
    Entry,
    Gap,
    Publication,
    Reading,
    Reason,
    Receipt,
    Receiver,
    Replay,
)
from trio_wsendpoint.hub.errors import (
    BackplaneDown,
    BackplaneError,
    BackplaneRefused,
    HubClosed,
    InvalidPosition,
    PublishError,
    PublishFailed,
    PublishUnsure,
    SubscriberTooSlow,
)
from trio_wsendpoint.hub.history import History
from trio_wsendpoint.hub.memory import MemoryBackplane, MemoryServer
from trio_wsendpoint.hub.positions import Position

__all__ = [
    "Backplane",
    "BackplaneDown",
    "BackplaneError",
    "BackplaneRefused",
    "Entry",
    "Gap",
    "History",
    "HubClosed",
    "InvalidPosition",
    "MemoryBackplane",
    "MemoryServer",
    "Position",
    "Publication",
    "PublishError",
    "PublishFailed",
    "PublishUnsure",
    "Reading",
    "Reason",
    "Receipt",
    "Receiver",
    "Replay",
    "SubscriberTooSlow",
]

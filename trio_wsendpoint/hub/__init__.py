"""One message to many subscribers, in one process or many.

Start with `open_hub`; docs/hub.md shows it at work.
"""

from trio_wsendpoint._public import publish
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
from trio_wsendpoint.hub.delivery import Delivery, Item, Wrap
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
from trio_wsendpoint.hub.hub import Hub, open_hub
from trio_wsendpoint.hub.memory import MemoryBackplane, MemoryServer
from trio_wsendpoint.hub.policies import Block, Close, DropNewest, DropOldest, Latest, Policy
from trio_wsendpoint.hub.positions import Position
from trio_wsendpoint.hub.statistics import (
    Drop,
    HubStatistics,
    SubscriberStatistics,
    TopicStatistics,
)
from trio_wsendpoint.hub.subscription import Subscription

__all__ = [
    "Backplane",
    "BackplaneDown",
    "BackplaneError",
    "BackplaneRefused",
    "Block",
    "Close",
    "Delivery",
    "Drop",
    "DropNewest",
    "DropOldest",
    "Entry",
    "Gap",
    "History",
    "Hub",
    "HubClosed",
    "HubStatistics",
    "InvalidPosition",
    "Item",
    "Latest",
    "MemoryBackplane",
    "MemoryServer",
    "Policy",
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
    "SubscriberStatistics",
    "SubscriberTooSlow",
    "Subscription",
    "TopicStatistics",
    "Wrap",
    "open_hub",
]

publish(globals(), __all__)

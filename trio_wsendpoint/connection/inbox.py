"""What was received and not yet taken: whole messages, and the beginning of the next one.

Whoever reads `put`s messages and, if that is the reader task, waits in `app` when the inbox
`is_full`; the application takes them.  Imported by `tasks`, `reader`, `connection` and `streams`.
"""

from __future__ import annotations

from collections import deque

import trio

from trio_wsendpoint.protocol.defragmenter import Defragmenter
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.transport.waiters import Waiter

__all__ = ["MESSAGE_OVERHEAD", "Inbox"]

#: What a waiting message counts beside its payload, in bytes, so that empty ones count too.
MESSAGE_OVERHEAD = 128


class Inbox:
    """The messages of one connection that wait for the app.

    `incoming` is the endpoint's message that is not complete yet; `limit` is
    `Limits.receive_buffer`.  `size` is the bytes that the messages count.
    """

    __slots__ = (
        "_incoming",
        "_limit",
        "app",
        "are_parts_wanted",
        "arrivals",
        "handed_over",
        "is_message_wanted",
        "is_receiver_waiting",
        "is_shut",
        "is_streaming",
        "messages",
        "size",
    )

    def __init__(self, incoming: Defragmenter, limit: int) -> None:
        self._incoming = incoming
        self._limit = limit
        self.messages: deque[Message] | tuple[()] = ()  # a deque when the first one comes
        self.size = 0
        #: What comes is dropped: nobody will receive it any more.
        self.is_shut = False
        #: A task is waiting in `receive()`.
        self.is_receiver_waiting = False
        #: A whole message is wanted: one that is coming in may be joined up to the limit.
        self.is_message_wanted = False
        #: A `receive_stream()` is open: it takes what there is of a message that is coming in.
        self.is_streaming = False
        #: A part of a message is wanted.
        self.are_parts_wanted = False
        #: When something was last handed over.
        self.handed_over = -float("inf")
        self.arrivals = Waiter()  # the app waits here for a message or the end
        self.app = Waiter()  # the reader task waits here for the app to take something

    def put(self, message: Message) -> None:
        """Add a message that is complete."""
        if self.is_shut:
            return
        if isinstance(self.messages, tuple):
            self.messages = deque()
        self.messages.append(message)
        self.size += message.held_size + MESSAGE_OVERHEAD
        self.arrivals.wake()

    def take(self) -> Message | None:
        """Take the oldest message out of the inbox, or None."""
        if not self.messages:
            return None
        message = self.messages.popleft()
        self.size -= message.held_size + MESSAGE_OVERHEAD
        self.is_message_wanted = False
        self.handed_over = trio.current_time()
        self.app.wake()
        return message

    def take_payload(self) -> str | bytes | None:
        """Take the oldest message, and return what it says, or None."""
        message = self.take()
        return None if message is None else message.payload

    def take_part(self) -> bytes:
        """Take what there is of the message that is coming in, when none is before it."""
        part = self._incoming.take_part()
        if part:
            self.handed_over = trio.current_time()
            self.app.wake()
        return part

    def want(self) -> None:
        """Let a message that is coming in be joined to its end: somebody has asked for one."""
        self.is_message_wanted = True
        self.app.wake()

    def discard(self) -> None:
        """Forget what was received and not read: after a local close nobody will."""
        self.messages = ()
        self.size = 0
        self.app.wake()

    def shut(self) -> None:
        """Forget it, and what may still come."""
        self.is_shut = True
        self.discard()

    @property
    def is_full(self) -> bool:
        """Whether what is held is as much as may be, so that reading stops."""
        held = self.size
        if not self.is_message_wanted:
            # Nobody waits for the whole of it: as a stream, it may be larger than what we hold.
            # (Three bytes may be an unfinished character, which no stream can take.)
            held += max(self._incoming.held_size - 3, 0)
        return held >= self._limit

    @property
    def is_part_left(self) -> bool:
        """Whether an open stream has not taken all of what came before the end."""
        return self.is_streaming and self._incoming.has_part

    def wake_all(self) -> None:
        """Let whoever waits look again."""
        self.arrivals.wake()
        self.app.wake()

"""What was received and not yet taken: whole messages, and the beginning of the next one."""

from __future__ import annotations

from collections import deque
from enum import Enum

from trio_wsendpoint.protocol.defragmenter import Defragmenter
from trio_wsendpoint.protocol.message import Message

__all__ = ["MESSAGE_OVERHEAD", "Inbox", "Taking", "Wish"]

#: What a waiting message counts besides its payload, in bytes, so that empty ones count too.
MESSAGE_OVERHEAD = 128

#: One object for all connections.
_LONG_AGO = -float("inf")


class Wish(Enum):
    """What the app has asked for and not been given.

    `NOTHING`: it has not asked.  `POLLED`: it asked without waiting, and will ask again.
    `MESSAGE`: a task waits for a whole message.  `PART`: a task waits for a piece of one.
    `REST`: as `PART`, of a message that had begun when it asked.
    """

    __hash__ = object.__hash__

    NOTHING = "nothing"
    POLLED = "a message, without waiting"
    MESSAGE = "a message"
    PART = "a part of a message"
    REST = "a part of a message that has begun"


class Taking(Enum):
    """How the app takes what comes.

    `WHOLE`: message by message.  `PIECES`: a message in pieces.  `NOTHING`: no task will receive
    any more, for the server of the app stops; what comes is dropped.
    """

    __hash__ = object.__hash__

    WHOLE = "whole messages"
    PIECES = "a message in pieces"
    NOTHING = "nothing any more"


_NOTHING = Taking.NOTHING


class Inbox:
    """The messages of one connection that wait for the app.

    `size`: the bytes that the messages count against `Limits.receive_buffer`.  `handed_over`: when
    the app was last given something, in seconds.
    `wish`: what the app asks for; set by `ask`, unset by what gives it.
    `taking`: how the app takes it; set by `begin_stream` and `end_stream`, and for good by `shut`.
    """

    __slots__ = (
        "_incoming",
        "_limit",
        "handed_over",
        "messages",
        "size",
        "taken",
        "taking",
        "wish",
    )

    def __init__(self, incoming: Defragmenter, limit: int) -> None:
        self._incoming = incoming
        self._limit = limit
        self.messages: deque[Message] | tuple[()] = ()  # a deque when the first one comes
        self.size = 0
        self.taken = 0
        self.wish = Wish.NOTHING
        self.taking = Taking.WHOLE
        self.handed_over = _LONG_AGO

    def put(self, message: Message) -> None:
        """Add a message that is complete."""
        if self.taking is _NOTHING:
            return
        if isinstance(self.messages, tuple):
            self.messages = deque()
        self.messages.append(message)
        self.size += message.held_size + MESSAGE_OVERHEAD

    def take(self, now: float) -> Message | None:
        """Take the oldest message out of the inbox, or return None."""
        if not self.messages:
            return None
        message = self.messages.popleft()
        self.size -= message.held_size + MESSAGE_OVERHEAD
        self.wish = Wish.NOTHING
        self.handed_over = now
        self.taken += 1
        return message

    def skip(self) -> bool:
        """Drop the oldest message; return False if there is none."""
        if not self.messages:
            return False
        message = self.messages.popleft()
        self.size -= message.held_size + MESSAGE_OVERHEAD
        return True

    def take_part(self, now: float) -> bytes:
        """Take what has come of the next message, when no whole message is before it."""
        part = self._incoming.take_part()
        if part:
            self.handed_over = now
        return part

    def ask(self, wish: Wish) -> None:
        """Note what the app asks for from now on; for a part, whether the message has begun."""
        if wish is Wish.PART and self._incoming.partial_type is not None:
            wish = Wish.REST
        self.wish = wish

    def begin_stream(self) -> None:
        """Note that the app takes the next message in pieces."""
        if self.taking is not _NOTHING:
            self.taking = Taking.PIECES
        self.wish = Wish.NOTHING  # an earlier receive() may have asked for the whole of it

    def end_stream(self) -> None:
        """Note that the app takes whole messages again."""
        if self.taking is not _NOTHING:
            self.taking = Taking.WHOLE

    def discard(self) -> None:
        """Drop what was received and not taken."""
        self.messages = ()
        self.size = 0

    def shut(self) -> None:
        """Drop it, and what may still come."""
        self.taking = _NOTHING
        self.discard()

    @property
    def is_receiver_waiting(self) -> bool:
        """Whether a task waits for a message or a part of one."""
        wish = self.wish
        return wish is Wish.MESSAGE or wish is Wish.PART or wish is Wish.REST

    @property
    def has_answer(self) -> bool:
        """Whether there is something for a task that waits: a message, or a part if it asked."""
        if self.messages or self.taking is _NOTHING:
            return True
        if self.wish is Wish.REST:
            return self._incoming.has_part
        # The beginning of a message answers, too, before a piece of it has come.
        return self.wish is Wish.PART and self._incoming.partial_type is not None

    @property
    def is_full(self) -> bool:
        """Whether what is held is as much as may be, so that reading stops."""
        return self.room <= 0

    @property
    def room(self) -> int:
        """Bytes that may be read before what is held is as much as may be."""
        held = self.size
        wish = self.wish
        if wish is Wish.NOTHING or wish is Wish.PART or wish is Wish.REST:
            # No task waits for the whole message: as a stream, it may be larger than what we hold.
            # (Three bytes may be an unfinished character, which no stream can take.)
            held += max(self._incoming.held_size - 3, 0)
        return self._limit - held

    @property
    def is_unanswered(self) -> bool:
        """Whether the app has not taken all that came, or was not given time to answer it."""
        return bool(self.messages) or (self.taking is Taking.PIECES and self._incoming.has_part)

"""What was received and not yet taken: whole messages, and the beginning of the next one."""

from __future__ import annotations

from collections import deque
from enum import Enum

from trio_wsendpoint.protocol.defragmenter import Defragmenter
from trio_wsendpoint.protocol.message import Message

__all__ = ["MESSAGE_OVERHEAD", "Inbox", "Wish"]

#: What a waiting message counts besides its payload, in bytes, so that empty ones count too.
MESSAGE_OVERHEAD = 128


class Wish(Enum):
    """What the app asks for and has not been given.

    `NOTHING`: it has not asked.  `POLLED`: it asked without waiting, and will ask again.
    `MESSAGE`: a task waits for a whole message.
    While the app takes a message in parts, `PART`: a task waits for one; `REST`: the same, and the
    message had begun when it asked; `LATER`: the app works on one, and will ask for the next.
    For good, `DISMISSED`: no task will receive any more, for the server of the app stops; `GONE`:
    the app has closed the connection, or left its block.
    """

    __hash__ = object.__hash__

    NOTHING = "nothing"
    POLLED = "a message, without waiting"
    MESSAGE = "a message"
    PART = "a part of a message"
    REST = "a part of a message that has begun"
    LATER = "a part of a message, later"
    DISMISSED = "to say goodbye"
    GONE = "nothing any more"


# Globals: on Python 3.11 a member of an enum takes ten times as long to look up (79 and 8 ns).
_NOTHING, _POLLED, _MESSAGE, _PART = Wish.NOTHING, Wish.POLLED, Wish.MESSAGE, Wish.PART
_REST, _LATER, _DISMISSED, _GONE = Wish.REST, Wish.LATER, Wish.DISMISSED, Wish.GONE

#: What a wish becomes when the app asks no longer, or was given what it asked for.
_UNASKED: dict[Wish, Wish] = {
    _NOTHING: _NOTHING,
    _POLLED: _NOTHING,
    _MESSAGE: _NOTHING,
    _PART: _LATER,
    _REST: _LATER,
    _LATER: _LATER,
    _DISMISSED: _DISMISSED,
    _GONE: _GONE,
}


class Inbox:
    """The messages of one connection that wait for the app.

    `size`: the bytes that the messages count against `Limits.receive_buffer`.
    `wish`: what the app asks for; set by `ask` and what gives it, by `begin_stream` and
    `end_stream`, and for good by `dismiss` and `leave`.
    """

    __slots__ = (
        "_incoming",
        "_limit",
        "messages",
        "size",
        "wish",
    )

    def __init__(self, incoming: Defragmenter, limit: int) -> None:
        self._incoming = incoming
        self._limit = limit
        self.messages: deque[Message] | tuple[()] = ()  # a deque when the first one comes
        self.size = 0
        self.wish = _NOTHING

    def put(self, message: Message) -> None:
        """Add a message that is complete."""
        wish = self.wish
        if wish is _DISMISSED or wish is _GONE:
            return
        if isinstance(self.messages, tuple):
            self.messages = deque()
        self.messages.append(message)
        self.size += message.held_size + MESSAGE_OVERHEAD

    def take(self) -> Message | None:
        """Take the oldest message out of the inbox, or return None."""
        if not self.messages:
            return None
        message = self.messages.popleft()
        self.size -= message.held_size + MESSAGE_OVERHEAD
        if self.wish is not _NOTHING:
            self.ask(_NOTHING)
        return message

    def skip(self) -> bool:
        """Drop the oldest message; return False if there is none."""
        if not self.messages:
            return False
        message = self.messages.popleft()
        self.size -= message.held_size + MESSAGE_OVERHEAD
        return True

    def ask(self, wish: Wish) -> None:
        """Note what the app asks for from now on; `NOTHING`: it asks no longer, or was given it."""
        before = self.wish
        if wish is _NOTHING:
            self.wish = _UNASKED[before]
        elif before is not _DISMISSED and before is not _GONE:
            is_begun = wish is _PART and self._incoming.partial_type is not None
            self.wish = _REST if is_begun else wish

    def begin_stream(self) -> None:
        """Note that the app takes the next message in parts."""
        self.ask(_LATER)  # an earlier receive() may have asked for the whole of it

    def end_stream(self) -> None:
        """Note that the app takes whole messages again, and has asked for none."""
        self.ask(_NOTHING)
        if self.wish is _LATER:
            self.wish = _NOTHING

    def dismiss(self) -> None:
        """Drop what was received, and what may still come: the server of the app stops."""
        self.wish = _DISMISSED
        self._discard()

    def leave(self) -> None:
        """Drop it, because the app is gone."""
        self.wish = _GONE
        self._discard()

    def _discard(self) -> None:
        self.messages = ()
        self.size = 0

    @property
    def is_receiver_waiting(self) -> bool:
        """Whether a task waits for a message or a part of one."""
        wish = self.wish
        return wish is _MESSAGE or wish is _PART or wish is _REST

    @property
    def has_answer(self) -> bool:
        """Whether there is something for a task that waits: a message, or a part if it asked."""
        wish = self.wish
        if self.messages or wish is _DISMISSED:
            return True
        if wish is _REST:
            return self._incoming.has_part
        # The beginning of a message answers, too, before a part of it has come.
        return wish is _PART and self._incoming.partial_type is not None

    @property
    def is_full(self) -> bool:
        """Whether what is held is as much as may be, so that reading stops."""
        return self.room <= 0

    @property
    def room(self) -> int:
        """Bytes that may be read before what is held is as much as may be."""
        held = self.size
        wish = self.wish
        if wish is not _MESSAGE and wish is not _POLLED:
            # No task waits for the whole message: as a stream, it may be larger than what we hold.
            # (Three bytes may be an unfinished character, which no stream can take.)
            held += max(self._incoming.held_size - 3, 0)
        return self._limit - held

    @property
    def is_unanswered(self) -> bool:
        """Whether the app has not taken all that came, or was not given time to answer it."""
        if self.messages:
            return True
        wish = self.wish
        is_in_parts = wish is _LATER or wish is _PART or wish is _REST
        return is_in_parts and self._incoming.has_part

"""What a `Session` tells its owner: what has changed, what reading needs, what the stream needs."""

from __future__ import annotations

from enum import Enum

__all__ = ["Ending", "Need", "Owner", "Wake"]


class Wake:
    """What has changed since `Session.take_wakes()` was called last, as bits of an int.

    `RECEIVER`, the lowest bit: there may be something for the task that waits in `receive()`.
    `READER`: reading may go on.  `WRITER`: there is something to write.  `SENDERS`: there may be
    room to send.  `PINGS`: a ping has an outcome.  `PHASE`: the phase, or `ending`, has changed.
    `DEADLINE`: the deadline has become earlier.
    """

    RECEIVER = 1
    READER = 2
    WRITER = 4
    SENDERS = 8
    PINGS = 16
    PHASE = 32
    DEADLINE = 64


class Need(Enum):
    """What reading needs to go on.

    `DATA`: more bytes.  `TURN`: nothing; other tasks should run first.  `APP`: the app, which has
    to take what came, or to answer it.  `END`: nothing more will be read.
    """

    __hash__ = object.__hash__

    DATA = "more bytes"
    TURN = "a turn of the other tasks"
    APP = "the app"
    END = "nothing more"


class Owner(Enum):
    """What the app does with the connection.

    `PRESENT`: it uses it.  `DISMISSED`: its server stops, and it may only say goodbye.  `GONE`: it
    has closed the connection, or left its block.
    """

    PRESENT = "present"
    DISMISSED = "dismissed"
    GONE = "gone"


class Ending(Enum):
    """What is to be done with the stream now.

    `NOTHING`: it is in use.  `END_OURS`: end our bytes, and call `note_ours_ended`.  `READ`: read
    to the end of the peer's bytes.  `CLOSE`: close it in order, and call `note_closed`.  `ABORT`:
    close it at once, and call `note_closed`.  The last two differ for a stream whose `aclose()`
    waits: only for `CLOSE` it may.  One that is closed without waiting is closed so for both.
    """

    NOTHING = "nothing"
    END_OURS = "end our bytes"
    READ = "read to the end"
    CLOSE = "close"
    ABORT = "close at once"

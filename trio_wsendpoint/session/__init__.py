"""One connection at work, without I/O: what a loop of any kind drives.

An `Endpoint` knows the protocol.  A `Session` adds what a connection needs to live: heartbeat,
closing, back-pressure, limits, and every deadline.  `examples/asyncio_server.py` drives one.

After the opening handshake, make one, with the seconds of your own clock:

    endpoint = ServerEndpoint(hold_end=True, unrecognized_pong="ignore", extension=extension)
    session = Session(endpoint, now=clock(), heartbeat=Heartbeat())

Then do these, in any order and from any task, until `session.phase` is `Phase.OVER`.  None of
them waits, and none raises what the stream raised.

1. Read.  Give it what comes: `receive_data(data, now)`, where `b""` is the end of the peer's bytes,
   or `lose(error, now)` if reading raised.  Then call `advance(now)`, which returns what it needs
   to go on: `Need.DATA` more bytes, `Need.TURN` another call, when other tasks have run;
   `Need.APP` a message taken; `Need.END` nothing more.
2. Take messages: `ask(Wish.MESSAGE)` says that the app waits for one, `take(now)` returns it or
   None.  A close of the peer's takes effect when the app has taken what came before and asks.
3. Send: `send(value, compress=True)` while `is_open`, and if `outbox.has_space_for(size)`.
   `close(code, reason, now)` ends the conversation, `abort(why, now)` the connection.
4. Write.  While `next_batch(now)` returns something, write that (`bytes`, or a tuple of pieces),
   and call `note_sent(count, now)` with what the stream took, `note_sent(0, now)` before you wait
   for it to take the rest; `lose_writing(error, now)` if writing raised.
5. Keep time.  Call `tick(now)` when `deadline` has come, which every other call may move.
6. End.  Look at `ending` after each call: `Ending` says what to do with the stream, and which of
   `note_ours_ended(now)` and `note_closed(now)` to call when that is done.

A driver of several tasks calls `take_wakes()` after each of these and wakes the tasks that its
bits (`Wake`) name; one loop that does all in turn need not.  `outcome()` tells how it ended,
`outbox.dropped` how many bytes of messages never left, `statistics(now)` what went over it.
"""

from __future__ import annotations

from trio_wsendpoint.session.ending import How, Outcome
from trio_wsendpoint.session.inbox import Wish
from trio_wsendpoint.session.outbox import Batch
from trio_wsendpoint.session.phases import TRANSITIONS, Change, Phase
from trio_wsendpoint.session.pings import Ping, PingEnd
from trio_wsendpoint.session.session import Session
from trio_wsendpoint.session.signals import Ending, Need, Owner, Wake

__all__ = [
    "TRANSITIONS",
    "Batch",
    "Change",
    "Ending",
    "How",
    "Need",
    "Outcome",
    "Owner",
    "Phase",
    "Ping",
    "PingEnd",
    "Session",
    "Wake",
    "Wish",
]

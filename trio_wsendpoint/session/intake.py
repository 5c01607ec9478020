"""The peer's bytes, through the endpoint, into the inbox, within the rates that it is allowed."""

from __future__ import annotations

from collections.abc import Callable

from trio_wsendpoint.errors import PeerError, PolicyViolation, RateExceeded
from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol.endpoint import Endpoint
from trio_wsendpoint.protocol.message import Message
from trio_wsendpoint.protocol.receiver import Progress
from trio_wsendpoint.session.inbox import Inbox, Wish
from trio_wsendpoint.session.rates import PeerRate

__all__ = ["READ_SIZE", "Intake"]

#: A batch of frames ends when so many bytes were inflated.
INFLATED = 64 * 1024
#: Bytes asked of a stream at a time.  Four messages of 16 KiB and their headers are in it: at
#: 64 KiB every fourth message is cut, and they cost 1.7 times as much.  It is below the size from
#: which on memory comes from the system (128 KiB).
READ_SIZE = 72 * 1024
#: Bytes that are asked for at least.
LEAST_READ = 4096
#: Frames handled before other tasks get a turn.
BATCH = 64
#: Turns of other tasks that a pong may take to leave before the answer to a further ping
#: replaces it.
PONG_TURNS = 8
#: Bytes that a peer may send after its own Close frame before they are read no more.
MAX_AFTER_CLOSE = 65536


class Intake:
    """Handles what comes for one connection.

    `heard`: when the last bytes came, in seconds.  `bytes_received`: bytes that came.
    `is_drained`: the endpoint has handled all of them; set by what gives it bytes, or handles
    them, and read before more is read.
    """

    __slots__ = (
        "_control_frames",
        "_control_rate",
        "_endpoint",
        "_inbox",
        "_message_rate",
        "_passed",
        "_pong_turns",
        "_push",
        "_renew",
        "_renewed",
        "bytes_received",
        "heard",
        "is_drained",
    )

    def __init__(self, endpoint: Endpoint, inbox: Inbox, limits: Limits, now: float) -> None:
        self._endpoint = endpoint
        self._inbox = inbox
        self._control_rate = PeerRate(limits.control_rate)
        self._control_frames = 0  # how many of the endpoint's have been counted
        self._message_rate = None if limits.message_rate is None else PeerRate(limits.message_rate)
        self._pong_turns = 0  # that the pong which waits has been given
        # What an extension allows a peer in a time is renewed as time passes.
        self._renew: Callable[[float], object] | None = getattr(endpoint.extension, "renew", None)
        self._renewed = now
        # What takes the peer's bytes: the parser, unless the endpoint is to see them.
        overrides = type(endpoint).receive_data is not Endpoint.receive_data
        self._push = endpoint.receive_data if overrides else endpoint.parser.receive_data
        self._passed = 0  # bytes that came after the last frame that counts
        self.is_drained = endpoint.parser.is_drained
        self.heard = now
        self.bytes_received = 0

    # ---- bytes -------------------------------------------------------------------------------

    def note_bytes(self, count: int, now: float) -> None:
        """Note that `count` bytes came: any byte shows that the peer lives."""
        self.heard = now
        self.bytes_received += count
        self.is_drained = False
        if self._endpoint.has_asked:
            self._endpoint.reset_heartbeat()

    def take(self, data: bytes, now: float) -> None:
        """Give the endpoint the next bytes; `b""` is their end."""
        endpoint = self._endpoint
        if not data:
            endpoint.receive_eof()
            self.end()
            return
        if endpoint.is_open or endpoint.closing.expects_frames:
            self.note_bytes(len(data), now)
            endpoint.receive_data(data)
            return
        self._passed += len(data)
        if endpoint.closing.received is not None and self._passed > MAX_AFTER_CLOSE:
            self.end()

    @property
    def wanted(self) -> int:
        """Bytes to ask of the stream: for an app that is away, no more than the inbox may hold."""
        wish = self._inbox.wish
        if wish is Wish.MESSAGE or wish is Wish.POLLED:
            return READ_SIZE
        return min(READ_SIZE, max(self._inbox.room, LEAST_READ))

    def end(self) -> None:
        """Note that no more will be read."""
        self.is_drained = False
        self._endpoint.parser.receive_eof()

    @property
    def is_eof(self) -> bool:
        """Whether no more will be read.

        The peer's bytes have ended, the stream broke, or the peer sends on after its Close frame.
        """
        return self._endpoint.parser.is_eof

    def live(self, now: float) -> None:
        """Count the peer as alive, for time in which nothing of its bytes was read."""
        self.heard = now

    # ---- large messages ----------------------------------------------------------------------

    def get_room(self) -> memoryview | None:
        """Return where the next bytes may be put, if the rest of a large message is awaited.

        They are copied no more there.  `fill_room` tells how many came; release the view before.
        """
        endpoint = self._endpoint
        wish = self._inbox.wish
        if endpoint.parser.remaining <= READ_SIZE or not (
            wish is Wish.MESSAGE or wish is Wish.POLLED
        ):
            return None
        return endpoint.get_room()

    def fill_room(self, count: int, now: float) -> None:
        """Take the next `count` bytes, which were put into the room."""
        self.note_bytes(count, now)
        self._endpoint.receive_in_room(count)

    @property
    def is_in_large_payload(self) -> bool:
        """Whether the next bytes belong to a payload of which more is to come than a read."""
        return self._endpoint.parser.remaining > READ_SIZE

    # ---- messages ----------------------------------------------------------------------------

    def pump(self, now: float) -> Progress:
        """Handle frames that have come: a batch of them, and no more than the inbox has room for.

        A batch ends at a ping, so that its pong can leave before the next one replaces it.
        """
        endpoint, inbox, incoming = self._endpoint, self._inbox, self._endpoint.incoming
        if self._pong_turns and not endpoint.is_pong_waiting:
            self._pong_turns = 0
        if self.give_pong_a_turn():  # the step before was none of a batch
            return Progress.HANDLED
        enough = incoming.inflated + INFLATED
        is_full = self.is_full
        for _ in range(BATCH):
            if is_full or incoming.inflated >= enough:
                self.is_drained = False  # as far as is known
                endpoint.parser.trim()
                return Progress.HANDLED
            progress = self.step(now)
            if isinstance(progress, Message):
                inbox.put(progress)
                is_full = self.is_full
                self.is_drained = self.is_drained and not is_full
                if self.is_drained:
                    return Progress.NEED_DATA
            elif progress is not Progress.HANDLED or self.can_pong_leave:
                return progress
            else:
                is_full = self.is_full
        return Progress.HANDLED

    def step(self, now: float, data: bytes = b"") -> Message | Progress:
        """Handle one frame, or a part of one, within the rates; return what came of it.

        `data` is bytes that have come now, taken first as by `take`.
        """
        endpoint = self._endpoint
        if data:
            self.heard = now
            self.bytes_received += len(data)
            if endpoint.has_asked:
                endpoint.reset_heartbeat()
            self._push(data)
        if self._renew is not None:
            self._renew(now - self._renewed)
            self._renewed = now
        try:
            progress = endpoint.step()
        except PeerError:
            progress = Progress.ENDED
        if isinstance(progress, Message):
            if self._message_rate is None or self._is_in_rate(now):
                self.is_drained = endpoint.parser.is_drained
                return progress
            progress = Progress.HANDLED
        elif endpoint.control_frames != self._control_frames:
            self._control_frames = endpoint.control_frames
            self._check_control_rate(now)
        self.is_drained = progress is Progress.NEED_DATA
        return progress

    def _check_control_rate(self, now: float) -> None:
        # A Close frame that is one too many is the last in any case.
        if not self._control_rate.allow(now) and self._endpoint.held is None:
            self._endpoint.refuse(
                PolicyViolation(
                    f"more than {self._control_rate.limit} control frames in a second "
                    "(Limits.control_rate)"
                )
            )

    def _is_in_rate(self, now: float) -> bool:
        rate = self._message_rate
        if rate is None or rate.allow(now):
            return True
        self._endpoint.refuse(
            RateExceeded(f"more than {rate.limit} messages in a second (Limits.message_rate)")
        )
        return False

    def spare(self, seconds: float) -> None:
        """Allow the peer what it may have sent in `seconds` in which nothing was read."""
        for rate in (self._control_rate, self._message_rate):
            if rate is not None:
                rate.spare(seconds)

    @property
    def is_full(self) -> bool:
        """Whether reading stops until the app has taken something."""
        return self._inbox.is_full and self._endpoint.is_open

    # ---- pongs -------------------------------------------------------------------------------

    @property
    def can_pong_leave(self) -> bool:
        """Whether a pong waits that only needs the writer's turn, as far as is known."""
        return self._endpoint.is_pong_waiting and self._pong_turns < PONG_TURNS

    def give_pong_a_turn(self) -> bool:
        """Return whether other tasks are to run first so that a pong can leave; count the turn.

        That is not waiting for the peer: if it does not read, the turns are used up once, and
        then the latest pong wins.
        """
        if not self.can_pong_leave:
            return False
        self._pong_turns += 1
        return True

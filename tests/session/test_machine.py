"""A session that anything may happen to, in any order, against what must hold of it."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.protocol.wire import BINARY, CLOSE, MASK, PING, TEXT, frame_bytes
from tests.session.helpers import Told, joined, make
from trio_wsendpoint import Heartbeat, Limits, ServerEndpoint
from trio_wsendpoint.protocol import Parser
from trio_wsendpoint.session import TRANSITIONS, Ending, Need, Phase, Session, Wish

ACTIONS = ["nothing", "nothing", "nothing", "raise", "send", "close"]


class Machine(RuleBasedStateMachine):
    """Drives a session over a wire that cuts, stalls and breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.action = "nothing"
        self.stream = b""  # what the peer has sent and the session was not yet given
        self.came: list[bytes] = []  # messages in
        self.given: list[bytes] = []  # messages out
        self.is_noise = False
        self.in_flight = b""
        self.out = b""  # what the stream took
        self.committed: list[bytes] = []
        self.phase = Phase.OPEN
        self.is_read = True

        class Endpoint(ServerEndpoint):
            def on_ping(endpoint, frame: Any) -> None:  # noqa: N805
                super().on_ping(frame)
                self.call()

            def on_close(endpoint, frame: Any) -> None:  # noqa: N805
                self.call()

        self.session: Session = make(
            Endpoint,
            limits=Limits(receive_buffer=400, fragment_size=50),
            heartbeat=Heartbeat(interval=15),
            before_send_frame=lambda frame: self.call(),
            logger=Quiet(),
        )

    def call(self) -> None:
        """Do in a callback what was drawn."""
        action, self.action = self.action, "nothing"
        if action == "raise":
            raise Told("of the user's")
        if action == "send":
            self.send(b"within")
        if action == "close":
            self.session.close(4000, "", self.now)

    def send(self, payload: bytes) -> None:
        if self.session.is_open:
            self.session.send(payload, compress=True)
            self.committed.append(payload)

    # ---- the peer and the wire -------------------------------------------------------------------

    @rule(payload=st.binary(max_size=120), text=st.booleans())
    def peer_sends(self, payload: bytes, text: bool) -> None:
        payload = payload.hex().encode() if text else payload
        self.stream += frame_bytes(TEXT if text else BINARY, payload, mask=MASK)
        self.came.append(payload)

    @rule(kind=st.sampled_from([PING, PING, CLOSE]))
    def peer_controls(self, kind: int) -> None:
        self.stream += frame_bytes(kind, b"\x03\xe8", mask=MASK)

    @rule(noise=st.binary(min_size=1, max_size=20))
    def peer_sends_noise(self, noise: bytes) -> None:
        self.stream += noise
        self.is_noise = True

    @rule(size=st.integers(1, 300))
    def comes(self, size: int) -> None:
        data, self.stream = self.stream[:size], self.stream[size:]
        if data and not self.session.intake.is_eof and self.session.phase is not Phase.OVER:
            self.session.receive_data(data, self.now)
            self.advance()

    @rule()
    def advance(self) -> None:
        for _ in range(50):
            if self.session.advance(self.now) is not Need.TURN:
                return
        raise AssertionError("it never comes to an end")

    @rule(ends=st.booleans())
    @precondition(lambda self: self.session.phase is not Phase.OVER)
    def reading_ends(self, ends: bool) -> None:
        if ends:
            self.session.receive_data(b"", self.now)
            self.advance()
        else:
            self.session.lose(OSError("gone"), self.now)

    @rule(size=st.integers(0, 200))
    def takes(self, size: int) -> None:
        if not self.in_flight:
            self.in_flight = joined(self.session.next_batch(self.now) or b"")
        if not self.in_flight or self.session.outbox.end is not None:
            return
        taken, self.in_flight = self.in_flight[:size], self.in_flight[size:]
        self.out += taken
        self.session.note_sent(len(taken), self.now)

    @rule()
    @precondition(lambda self: self.session.phase is not Phase.OVER)
    def writing_breaks(self) -> None:
        self.session.lose_writing(OSError("gone"), self.now)

    @rule()
    def does_what_is_to_be_done(self) -> None:
        ending = self.session.ending
        if ending is Ending.END_OURS:
            self.session.note_ours_ended(self.now)
        elif ending in {Ending.CLOSE, Ending.ABORT}:
            self.session.note_closed(self.now)

    # ---- the app and the clock -------------------------------------------------------------------

    @rule(action=st.sampled_from(ACTIONS))
    def callback_will(self, action: str) -> None:
        self.action = action

    @rule(payload=st.binary(min_size=1, max_size=200))
    def app_sends(self, payload: bytes) -> None:
        self.send(payload)

    @rule()
    def app_receives(self) -> None:
        self.session.ask(Wish.MESSAGE)
        self.advance()
        message = self.session.take(self.now)
        if message is not None:
            payload = message.payload
            self.given.append(payload.encode() if isinstance(payload, str) else payload)

    @rule()
    def app_pings(self) -> None:
        if self.session.is_open:
            self.session.ping(self.now)

    @rule(is_abort=st.sampled_from([False, False, True]))
    def app_ends(self, is_abort: bool) -> None:
        if is_abort:
            self.session.abort("enough", self.now)
        else:
            self.session.close(1000, "", self.now)

    @rule(seconds=st.sampled_from([0.1, 1, 5, 15, 100]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.session.tick(self.now)
        assert self.session.deadline > self.now

    # ---- what must hold --------------------------------------------------------------------------

    @invariant()
    def the_phase_follows_the_table(self) -> None:
        reachable, before = {self.phase}, set[Phase]()
        while reachable != before:
            before = set(reachable)
            reachable |= {after for phase in before for after in TRANSITIONS[phase].values()}
        assert self.session.phase in reachable
        self.phase = self.session.phase

    @invariant()
    def messages_come_out_as_they_went_in(self) -> None:
        if not self.is_noise:
            assert self.given == self.came[: len(self.given)]

    @invariant()
    def whole_frames_leave_in_order(self) -> None:
        parser = Parser()
        parser.receive_data(self.out)
        messages, message, is_closed = [], b"", False
        while (frame := parser.get_next_frame()) is not None:
            assert not is_closed, "nothing follows our Close frame"
            is_closed = frame.type == "close"
            if not frame.is_control:
                message += frame.payload
                if frame.fin:
                    messages.append(message)
                    message = b""
        assert messages == self.committed[: len(messages)]
        if self.session.phase is Phase.OVER and len(messages) < len(self.committed):
            assert self.session.outbox.dropped

    @invariant()
    def after_the_end_nothing_wakes(self) -> None:
        if self.session.phase is Phase.OVER:
            self.session.take_wakes()
            self.session.tick(self.now)
            assert self.session.deadline == float("inf")
            assert self.session.take_wakes() == 0
            assert not self.session.pings.waiting
            assert self.session.next_batch(self.now) is None

    def teardown(self) -> None:
        """Bring it to its end, however late the peer is."""
        self.session.close(1000, "", self.now)
        for _ in range(20):
            self.does_what_is_to_be_done()
            if self.session.phase is Phase.OVER:
                return
            self.now += 30
            self.session.tick(self.now)
        raise AssertionError(f"it does not end: {self.session.phase}")


class Quiet:
    """Logs nothing."""

    def error(self, *_: Any, **__: Any) -> None:
        """Drop it."""


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=300, stateful_step_count=40)

"""Two endpoints on a wire, driven by hypothesis, beside a reference model.

The machine does what a user, an owner of an endpoint, a network and a bad peer can do, in any
order.  After every step each endpoint has to be as its `model.Side` is; at the end all that is
on its way is delivered, and both have to agree.

`STATE_MACHINE_EXAMPLES` is the number of conversations, `STATE_MACHINE_STEPS` their length.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.protocol.wire import CLOSE, MASK, PING, PONG, close_payload, frame_bytes
from trio_wsendpoint import Deflate, Limits
from trio_wsendpoint.errors import (
    EndpointClosed,
    LocalError,
    PeerError,
    PolicyViolation,
    UnexpectedEOF,
)
from trio_wsendpoint.protocol import (
    ClientEndpoint,
    CloseFrame,
    DataFrame,
    Endpoint,
    Frame,
    PingFrame,
    PongFrame,
    ServerEndpoint,
)

from .model import EOF, Boom, Item, Refused, Side

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "400"))
STEPS = int(os.environ.get("STATE_MACHINE_STEPS", "40"))

MESSAGE_SIZE = 2000
FRAGMENT_SIZE = 100
HEADER = 14
ENDLESS = 1 << 60

NAMES = st.sampled_from(["client", "server"])
TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(["", "é" * 30, "x" * 126, "€" * 100]))
MESSAGES = st.one_of(TEXTS, st.binary(max_size=12), st.sampled_from([b"", bytes(126), bytes(1000)]))
CLOSES = st.one_of(
    st.just((None, "")),
    st.tuples(
        st.sampled_from([1000, 1001, 1011, 1014, 3000, 4999]),
        st.sampled_from(["", "bye", "€" * 41]),
    ),
)
CALLBACKS = st.sampled_from(["on_ping", "on_close", "on_data_frame", "before_send_frame"])
VIOLATIONS = st.sampled_from(["reserved bit", "mask", "close code", "text", "size"])


class Callbacks(Endpoint):
    """Callbacks that raise when they are called next, if they are armed."""

    def __init__(self, *, looks_at_frames: bool, **options: Any) -> None:
        super().__init__(
            before_send_frame=self.see_control_frame,
            on_data_frame=self.see_data_frame if looks_at_frames else None,
            **options,
        )
        self.armed: set[str] = set()

    def fire(self, callback: str) -> None:
        if callback in self.armed:
            self.armed.remove(callback)
            raise Boom(callback)

    def see_control_frame(self, frame: Frame) -> None:
        assert isinstance(frame, (PingFrame, PongFrame, CloseFrame))
        self.fire("before_send_frame")

    def see_data_frame(self, frame: DataFrame) -> None:
        self.fire("on_data_frame")

    def on_ping(self, frame: PingFrame) -> None:
        self.fire("on_ping")
        super().on_ping(frame)

    def on_close(self, frame: CloseFrame) -> None:
        super().on_close(frame)
        self.fire("on_close")


class TestClient(Callbacks, ClientEndpoint):
    __test__ = False


class TestServer(Callbacks, ServerEndpoint):
    __test__ = False


class Player:
    """An endpoint, the model of it, and the bytes that are on their way to it."""

    def __init__(self, endpoint: Callbacks, model: Side, *, is_encoded: bool) -> None:
        self.endpoint = endpoint
        self.model = model
        # What may be compressed leaves in one frame, whose size nobody can foretell.
        self.is_encoded = is_encoded
        self.wire = bytearray()
        self.is_cut_off = False
        self.got: list[str | bytes] = []
        #: Messages that were sent, and the chunks of the one that has begun.
        self.sent: list[str | bytes] = []
        self.chunks: list[str] | None = None
        self.is_text = True
        self.is_partly_queued = False
        #: Whether what went to the other's wire last leaves a message open; Close frames there.
        self.is_in_message = False
        self.closes_written = 0

    @property
    def mask(self) -> bytes:
        """What masks the frames that come to this side."""
        return b"" if self.endpoint.masks else MASK

    def queue_data(self, data: str | bytes, message: str | bytes | None) -> None:
        """Tell the model of a payload that was queued, and of the message that it completes."""
        size = len(data.encode() if isinstance(data, str) else data)
        sizes = [min(FRAGMENT_SIZE, size - start) for start in range(0, size, FRAGMENT_SIZE)]
        if self.is_encoded or not sizes:
            sizes = [size]
        frames = [(size, None) for size in sizes[:-1]]
        self.model.queue.data.extend([*frames, (sizes[-1], message)])

    def read(self, most: int) -> None:
        """Take messages until `most` are there; after our close look for the peer's."""
        endpoint = self.endpoint
        if not endpoint.is_open:
            endpoint.get_peer_close()
            return
        for _ in range(most):
            message = endpoint.get_next_message()
            if message is None:
                return
            self.got.append(message.payload)


def run_both(model: Callable[[], Any], endpoint: Callable[[], Any]) -> Boom | None:
    """Run both, which have to end in the same way; return the `Boom` in which they did."""
    expected: Exception | None = None
    happened: Exception | None = None
    try:
        model()
    except (Boom, Refused) as error:
        expected = error
    try:
        endpoint()
    except (Boom, PeerError) as error:
        happened = error
    if isinstance(expected, Boom):
        assert isinstance(happened, Boom)
        assert happened.args == expected.args
        return happened
    if isinstance(expected, Refused):
        assert isinstance(happened, PeerError)
        assert happened.close_code == expected.code
        assert isinstance(happened, UnexpectedEOF) is (expected.code == EOF)
    else:
        assert happened is None
    return None


class Conversation(RuleBasedStateMachine):
    """A rule for each thing that can happen."""

    players: dict[str, Player]
    #: Who does more than talk: most conversations fail soon if all may.
    troubles: set[str]
    #: Whether somebody else has put bytes on the wire, or taken some away.
    is_disturbed = False

    @initialize(
        seed=st.integers(0, 1 << 16),
        is_encoded=st.booleans(),
        holder=st.sampled_from([None, "client", "server"]),
        closes_on_stray_pong=st.booleans(),
        looks_at_frames=st.booleans(),
        max_pings=st.integers(0, 3),
        troubles=st.sets(st.sampled_from(["owner", "network", "peer"]), max_size=1),
    )
    def begin(
        self,
        seed: int,
        is_encoded: bool,
        holder: str | None,
        closes_on_stray_pong: bool,
        looks_at_frames: bool,
        max_pings: int,
        troubles: set[str],
    ) -> None:
        self.troubles = troubles
        chance = random.Random(seed)
        extensions: dict[str, Any] = {"client": None, "server": None}
        if is_encoded:
            deflate = Deflate(threshold=20)
            accepted = deflate.accept_offer([])
            assert accepted is not None
            extensions["server"] = accepted[1]
            extensions["client"] = deflate.accept_answer(accepted[0])
        self.players = {}
        for name, make in (("client", TestClient), ("server", TestServer)):
            is_looking = looks_at_frames and name == "client"
            endpoint = make(
                looks_at_frames=is_looking,
                max_pings=max_pings,
                limits=Limits(
                    message_size=MESSAGE_SIZE,
                    fragment_size=1 << 20 if is_encoded else FRAGMENT_SIZE,
                ),
                extension=extensions[name],
                unrecognized_pong="close" if closes_on_stray_pong else "ignore",
                hold_end=name == holder,
                random_bytes=chance.randbytes,
            )
            model = Side(max_pings, name == holder, closes_on_stray_pong, is_looking)
            self.players[name] = Player(endpoint, model, is_encoded=is_encoded)

    def other(self, player: Player) -> Player:
        client, server = self.players["client"], self.players["server"]
        return server if player is client else client

    def is_refused(self, player: Player, call: Callable[[], Any]) -> bool:
        """Return False if the endpoint is open; else see to it that `call` is refused."""
        if player.model.is_open:
            return False
        with pytest.raises(EndpointClosed) as caught:
            call()
        assert str(caught.value) == player.endpoint.closing.explain()
        return True

    # ---- what a user does ----------------------------------------------------------------------

    @rule(name=NAMES, data=MESSAGES, compress=st.booleans())
    def send_message(self, name: str, data: str | bytes, compress: bool) -> None:
        player = self.players[name]

        def send() -> None:
            player.endpoint.send_message(data, compress=compress)

        if self.is_refused(player, send):
            return
        if player.chunks is not None:
            with pytest.raises(LocalError):
                send()
            return
        send()
        player.sent.append(data)
        player.queue_data(data, data)

    @rule(name=NAMES, is_text=st.booleans(), compress=st.booleans())
    def begin_message(self, name: str, is_text: bool, compress: bool) -> None:
        player = self.players[name]

        def begin() -> None:
            kind = "text" if is_text else "binary"
            player.endpoint.begin_message(kind, compress=compress)

        if self.is_refused(player, begin):
            return
        if player.chunks is not None:
            with pytest.raises(LocalError):
                begin()
            return
        begin()
        player.chunks, player.is_text, player.is_partly_queued = [], is_text, False

    @rule(name=NAMES, text=TEXTS, final=st.booleans())
    def send_chunk(self, name: str, text: str, final: bool) -> None:
        player = self.players[name]
        chunks = player.chunks
        if len("".join(chunks or []).encode()) > MESSAGE_SIZE - 500:
            text = ""

        def send() -> None:
            player.endpoint.send_chunk(text if player.is_text else text.encode(), final=final)

        if self.is_refused(player, send):
            return
        if chunks is None:
            with pytest.raises(LocalError):
                send()
            return
        send()
        chunks.append(text)
        message: str | bytes | None = None
        if final:
            message = "".join(chunks) if player.is_text else "".join(chunks).encode()
            player.sent.append(message)
            player.chunks = None
        if final or text:
            player.queue_data(text, message)
            player.is_partly_queued = not final

    @rule(name=NAMES)
    def cancel_message(self, name: str) -> None:
        player = self.players[name]
        if player.chunks is None:
            return
        assert player.endpoint.cancel_message() is not player.is_partly_queued
        if not player.is_partly_queued:
            player.chunks = None

    @rule(name=NAMES)
    def ping(self, name: str) -> None:
        player = self.players[name]
        if not self.is_refused(player, player.endpoint.ping):
            player.model.queue.pings.append(player.endpoint.ping())

    @rule(name=NAMES, close=CLOSES)
    def close(self, name: str, close: tuple[int | None, str]) -> None:
        player = self.players[name]
        if not self.is_refused(player, lambda: player.endpoint.close(*close)):
            run_both(lambda: player.model.close(*close), lambda: player.endpoint.close(*close))

    @rule(name=NAMES, which=st.integers(0, 4))
    def misuse(self, name: str, which: int) -> None:
        """Ask for what is refused, and must change nothing."""
        endpoint = self.players[name].endpoint
        if self.is_refused(self.players[name], endpoint.get_next_message):
            self.is_refused(self.players[name], lambda: endpoint.send_frame(PingFrame(b"late")))
            return
        calls: list[tuple[Callable[[], Any], type[Exception]]] = [
            (lambda: endpoint.close(1005), ValueError),
            (lambda: endpoint.close(1000, "x" * 124), ValueError),
            (lambda: endpoint.begin_message("ping"), ValueError),
            (endpoint.get_peer_close, LocalError),
            (lambda: endpoint.send_chunk(1), LocalError),  # type: ignore[arg-type]
        ]
        call, error = calls[which]
        with pytest.raises((error, TypeError)):
            call()

    # ---- what an owner does --------------------------------------------------------------------

    @rule(name=NAMES)
    def check_heartbeat(self, name: str) -> None:
        player = self.players[name]
        if not self.is_refused(player, player.endpoint.check_heartbeat):
            run_both(player.model.beat, player.endpoint.check_heartbeat)

    @rule(name=NAMES)
    def reset_heartbeat(self, name: str) -> None:
        player = self.players[name]
        player.endpoint.reset_heartbeat()
        player.model.beats = 0

    @rule(name=NAMES, most=st.sampled_from([1, 2, 1000]))
    def read(self, name: str, most: int) -> None:
        player = self.players[name]
        boom = run_both(lambda: player.model.drain(most), lambda: player.read(most))
        if boom is not None and boom.args == ("on_data_frame",):
            # The frame is lost, so the owner gives up.
            self.close(name, (1011, ""))

    @rule(name=NAMES, frames=st.integers(1, 5))
    def write(self, name: str, frames: int) -> None:
        player = self.players[name]
        for _ in range(frames):
            self.write_one(player)

    def write_one(self, player: Player) -> None:
        shifted: list[Frame | None] = []
        expected: list[tuple[str, Any] | None] = []
        boom = run_both(
            lambda: expected.append(player.model.shift()),
            lambda: shifted.append(player.endpoint.shift_write_queue()),
        )
        if boom is not None:
            return
        (frame,), (entry,) = shifted, expected
        if frame is None or entry is None:
            assert frame is None
            assert entry is None
            return
        assert not player.closes_written, "something follows a Close frame"
        self.put(self.other(player), frame.to_bytes(), self.make_item(player, frame, entry))

    def make_item(self, player: Player, frame: Frame, entry: tuple[str, Any]) -> Item:
        """Compare a frame with what the model has in its place, and return it as an item."""
        kind, value = entry
        assert bool(frame.mask) is player.endpoint.masks
        if isinstance(frame, DataFrame):
            assert kind == "data"
            size, value = value
            assert player.is_encoded or (frame.rsv == 0 and len(frame.payload) == size)
            assert (frame.type == "continuation") is player.is_in_message
            player.is_in_message = not frame.fin
        else:
            assert frame.type == kind
            assert frame.fin
            assert frame.rsv == 0
        if isinstance(frame, PingFrame):
            assert value is None or frame.payload == value
            assert frame.payload not in player.model.pings
            value = frame.payload
            player.model.pings.add(value)
        elif isinstance(frame, PongFrame):
            assert frame.payload == value
        elif isinstance(frame, CloseFrame):
            player.closes_written += 1
            assert frame.code == value[0]
            value = (frame.code, frame.reason)
        size = len(frame.to_bytes())
        return Item(kind, value, size, size)

    @rule(name=NAMES)
    def release_end(self, name: str) -> None:
        player = self.players[name]
        run_both(player.model.release, player.endpoint.release_end)

    @precondition(lambda self: "owner" in self.troubles)
    @rule(name=NAMES)
    def refuse(self, name: str) -> None:
        """Fail the connection for a reason of the owner's."""
        player = self.players[name]
        if player.model.is_over:
            return
        self.is_disturbed = True

        def refuse() -> None:
            if not player.endpoint.refuse(PolicyViolation("too much")):
                raise PolicyViolation("too much")

        run_both(lambda: player.model.refuse(1008), refuse)

    @precondition(lambda self: "owner" in self.troubles)
    @rule(name=NAMES)
    def lose(self, name: str) -> None:
        """Tell an endpoint that its bytes can no longer be written."""
        player = self.players[name]
        self.is_disturbed = True
        player.endpoint.fail(UnexpectedEOF("reset by peer"))
        player.model.fail(EOF)

    @precondition(lambda self: "owner" in self.troubles)
    @rule(name=NAMES, close=CLOSES)
    def lose_behind_a_close(self, name: str, close: tuple[int | None, str]) -> None:
        """Lose an endpoint that has the other's Close frame, held perhaps."""
        far = "server" if name == "client" else "client"
        self.close(far, close)
        self.carry(far)
        self.lose(name)

    @rule(name=NAMES, beats=st.integers(1, 3))
    def beat_and_answer(self, name: str, beats: int) -> None:
        far = "server" if name == "client" else "client"
        for _ in range(beats):
            self.check_heartbeat(name)
        self.carry(name)
        self.carry(far)

    @rule(name=NAMES, callback=CALLBACKS)
    def arm(self, name: str, callback: str) -> None:
        """Have a callback raise when it is called next."""
        player = self.players[name]
        player.endpoint.armed.add(callback)
        player.model.armed.add(callback)

    # ---- what a network and a bad peer do ------------------------------------------------------

    def put(self, player: Player, data: bytes, item: Item) -> None:
        """Put bytes on the wire to `player`."""
        if not player.is_cut_off:
            player.wire += data
            player.model.incoming.append(item)

    @rule(name=NAMES)
    def carry(self, name: str) -> None:
        """Write all, and have all of it arrive and handled."""
        player = self.players[name]
        self.write(name, len(player.model.queue) + 1)
        far = "server" if name == "client" else "client"
        self.deliver(far, 1 << 20)
        self.read(far, 1000)

    @rule(name=NAMES, reads=st.lists(st.booleans(), min_size=3, max_size=8))
    def trickle(self, name: str, reads: list[bool]) -> None:
        """Send messages, whose frames arrive one by one, and take one now and then."""
        far = "server" if name == "client" else "client"
        for number in range(3):
            self.send_message(name, f"message {number} of three", compress=False)
        for is_read in reads:
            self.write(name, 1)
            self.deliver_frame(far)
            if is_read:
                self.read(far, 1)

    @rule(name=NAMES)
    def deliver_frame(self, name: str) -> None:
        """Have what is left of one frame arrive by itself."""
        model = self.players[name].model
        end = 0
        for item in model.incoming:
            end += item.size
            if end > model.come:
                self.deliver(name, min(end - model.come, 1 << 20))
                break

    @rule(name=NAMES, size=st.one_of(st.integers(1, 20), st.just(1 << 20)))
    def deliver(self, name: str, size: int) -> None:
        player = self.players[name]
        piece = bytes(player.wire[:size])
        del player.wire[:size]
        if piece:
            player.endpoint.receive_data(piece)
        player.model.come += len(piece)
        if player.is_cut_off and not player.wire:
            player.endpoint.receive_eof()
            player.model.at_end = True

    @precondition(lambda self: "network" in self.troubles)
    @rule(name=NAMES, kept=st.one_of(st.integers(0, 20), st.just(1 << 20)))
    def cut_off(self, name: str, kept: int) -> None:
        """Lose what is on its way, but for a few bytes, and all that would follow."""
        player = self.players[name]
        self.is_disturbed = True
        player.is_cut_off = True
        del player.wire[kept:]

    @rule(name=NAMES, payload=st.binary(max_size=125), is_ping=st.booleans())
    def inject_control(self, name: str, payload: bytes, is_ping: bool) -> None:
        """Put a ping or a pong on the wire that no endpoint has sent."""
        player = self.players[name]
        data = frame_bytes(PING if is_ping else PONG, payload, mask=player.mask)
        self.put(player, data, Item("ping" if is_ping else "pong", payload, len(data), len(data)))

    @precondition(lambda self: "peer" in self.troubles)
    @rule(name=NAMES, violation=VIOLATIONS)
    def inject_violation(self, name: str, violation: str) -> None:
        player = self.players[name]
        self.is_disturbed = True
        mask = player.mask
        head = 2 + len(mask)
        item = Item("bad", None, ENDLESS, 1, 1002)
        if violation == "mask":
            data = frame_bytes(PING, mask=b"" if mask else MASK)
            item.shown = 2
        elif violation == "close code":
            data = frame_bytes(CLOSE, close_payload(1006), mask=mask)
            item.shown = len(data)
        elif violation == "reserved bit" or self.other(player).is_in_message:
            data = b"\x91"
        elif violation == "text":
            data = frame_bytes(1, b"ok \xff ko", mask=mask)
            item = Item("bad text", None, len(data), head + 4, 1007)
            if player.model.takes_whole_frames:
                item.shown = len(data)
        else:
            data = (
                b"\x82" + bytes([127 | (0x80 if mask else 0)]) + (1 << 40).to_bytes(8, "big") + mask
            )
            item = Item("bad size", None, ENDLESS, len(data), 1009)
        self.put(player, data, item)

    # ---- what holds ----------------------------------------------------------------------------

    @invariant()
    def endpoints_are_as_the_models(self) -> None:
        for player in self.players.values():
            endpoint, model = player.endpoint, player.model
            assert endpoint.state.value == model.state
            assert endpoint.is_open is model.is_open
            assert endpoint.is_closed() is not model.is_open
            assert (endpoint.held is not None) is (model.held is not None)
            assert endpoint.is_between_messages is (player.chunks is None)
            self.check_closing(endpoint, model)
            self.check_queue(player)

    def check_closing(self, endpoint: Endpoint, model: Side) -> None:
        closing = endpoint.closing
        assert (closing.sent is None) is (model.sent_close is None)
        if closing.sent is not None and model.sent_close is not None:
            assert closing.sent.code == model.sent_close[0]
        received = closing.received
        assert (None if received is None else (received.code, received.reason)) == (
            model.received_close
        )
        if model.received_close is None:
            assert closing.code == 1006
        else:
            assert closing.code == (model.received_close[0] or 1005)
        assert (closing.error is not None) is (model.state == "failed")

    def check_queue(self, player: Player) -> None:
        endpoint, queue = player.endpoint, player.model.queue
        assert endpoint.get_write_queue_size() == len(queue)
        assert endpoint.is_pong_waiting is (queue.pong is not None)
        assert len(queue) > 0 or endpoint.write_queue_bytes == 0
        # What is known of the payloads: not the pings of a heartbeat, the reasons of a violation.
        known = [*queue.pings, queue.pong]
        least = sum(len(payload) for payload in known if payload is not None)
        # A frame that `before_send_frame` holds up counts without its header.
        least += HEADER * (len(queue) - (queue.stuck is not None))
        if not player.is_encoded:
            least += sum(size for size, _ in queue.data)
        if queue.close is not None and queue.close[0] is not None:
            least += 2 + len(queue.close[1].encode())
        assert endpoint.write_queue_bytes >= least

    @invariant()
    def messages_arrive_in_order_and_intact(self) -> None:
        for player in self.players.values():
            assert player.got == player.model.received
            assert player.got == self.other(player).sent[: len(player.got)]

    def teardown(self) -> None:
        if not hasattr(self, "players"):
            return
        for name, player in self.players.items():
            player.endpoint.armed.clear()
            player.model.armed.clear()
            if player.chunks is not None and player.model.is_open:
                self.send_chunk(name, "", final=True)
        for _ in range(10):
            for name in self.players:
                self.write(name, len(self.players[name].model.queue) + 1)
                self.deliver(name, 1 << 20)
                self.read(name, 1000)
                self.release_end(name)
        self.endpoints_are_as_the_models()
        self.messages_arrive_in_order_and_intact()
        client, server = self.players.values()
        for player in (client, server):
            assert len(player.model.queue) == 0
            assert player.closes_written == (player.model.sent_close is not None)
        if self.is_disturbed:
            return
        assert client.model.state == server.model.state
        assert client.model.state in {"open", "closed"}
        for player, far in ((client, server), (server, client)):
            if player.model.is_open:
                assert player.got == far.sent
                continue
            assert player.endpoint.closing.received is not None
            assert far.endpoint.closing.sent is not None
            assert player.endpoint.closing.received.code == far.endpoint.closing.sent.code
            assert player.endpoint.closing.received.reason == far.endpoint.closing.sent.reason


TestConversation = Conversation.TestCase
TestConversation.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

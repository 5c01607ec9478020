"""Two endpoints on a wire that cuts their bytes anywhere."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_wsendpoint.options import Limits
from trio_wsendpoint.protocol import ClientEndpoint, Endpoint, Parser, ServerEndpoint, State

from .fake_extension import Doubling
from .wire import StatusFrame, client, close_facts, examples, server, state_of

data = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=20),
    st.sampled_from([b"x" * 125, b"x" * 126, "é" * 200, b"\x01" * 65535, b"\x02" * 65536]),
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("send"), data),
        st.tuples(st.just("ping"), st.none()),
        st.tuples(st.just("beat"), st.none()),
    ),
    max_size=8,
)


class Side:
    """One endpoint, what it was sent, and the bytes on their way to it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.sent: list[str | bytes] = []
        self.received: list[str | bytes] = []
        self.incoming = bytearray()
        self.closes_written = 0

    def act(self, action: tuple[str, Any]) -> None:
        if not self.endpoint.is_open:
            return
        word, argument = action
        if word == "send":
            self.endpoint.send_message(argument)
            self.sent.append(argument)
        elif word == "ping":
            self.endpoint.ping()
        else:
            self.endpoint.check_heartbeat()

    def write(self, other: Side, frames: int) -> None:
        """Put at most `frames` of the queue on the wire."""
        for _ in range(frames):
            frame = self.endpoint.shift_write_queue()
            if frame is None:
                return
            assert not self.closes_written, "something follows a close frame"
            self.closes_written += frame.type == "close"
            other.incoming += frame.to_bytes()

    def read(self, size: int) -> None:
        """Take at most `size` bytes from the wire."""
        self.endpoint.receive_data(self.incoming[:size])
        del self.incoming[:size]
        while self.endpoint.is_open:
            message = self.endpoint.get_next_message()
            if message is None:
                break
            self.received.append(message.payload)
        if not self.endpoint.is_open:
            self.endpoint.get_peer_close()


def run(sides: tuple[Side, Side], chance: random.Random) -> None:
    """Move frames and bytes both ways, in portions of any size, until nothing moves."""
    one, other = sides
    while (
        one.incoming
        or other.incoming
        or one.endpoint.get_write_queue_size()
        or other.endpoint.get_write_queue_size()
    ):
        for side, far in ((one, other), (other, one)):
            side.write(far, chance.randint(0, 3))
            side.read(chance.choice([0, 1, 2, 7, 100, 100_000]))
            if len(side.incoming) > 5000:
                side.read(len(side.incoming) - chance.randint(0, 300))


def make(seed: int, *, is_encoded: bool = False) -> tuple[Side, Side, random.Random]:
    chance = random.Random(seed)

    def options() -> dict[str, Any]:
        return {
            "limits": Limits(fragment_size=chance.choice([7, 1000, 1 << 20]), fragments=20_000),
            "max_pings": 100,
            "random_bytes": chance.randbytes,
            "extension": Doubling(smallest=3) if is_encoded else None,
        }

    return Side(client(**options())), Side(server(**options())), chance


@examples(40)
@given(actions, actions, st.integers(0, 1 << 30))
def test_what_is_sent_arrives(ours: Any, theirs: Any, seed: int):
    one, other, chance = make(seed)
    for side, plan in ((one, ours), (other, theirs)):
        for action in plan:
            side.act(action)
    run((one, other), chance)
    assert one.endpoint.is_open
    assert other.endpoint.is_open
    assert other.received == one.sent
    assert one.received == other.sent


@examples(25)
@given(
    st.lists(st.one_of(st.text(max_size=20), st.binary(max_size=20)), max_size=5),
    st.integers(0, 1 << 30),
)
def test_what_is_sent_through_an_extension_arrives(messages: list[str | bytes], seed: int):
    # A coded zero cannot be decoded by the fake: 0xFF is kept out of the messages.
    plan = [
        message for message in messages if not isinstance(message, bytes) or b"\xff" not in message
    ]
    one, other, chance = make(seed, is_encoded=True)
    for message in plan:
        one.act(("send", message))
        other.act(("send", message))
    run((one, other), chance)
    assert other.received == one.received == plan


@examples(60)
@given(
    actions,
    actions,
    st.sampled_from([(True, False), (False, True), (True, True)]),
    st.integers(0, 1 << 30),
)
def test_to_the_end(ours: Any, theirs: Any, closers: tuple[bool, bool], seed: int):  # E93
    one, other, chance = make(seed)
    sides = (one, other)
    for side, plan, closes, code in zip(sides, (ours, theirs), closers, (4001, 4002), strict=True):
        for action in plan:
            side.act(action)
        if closes:
            side.endpoint.close(code, "the end")
    run(sides, chance)
    for side, far in ((one, other), (other, one)):
        assert state_of(side.endpoint) is State.CLOSED
        assert side.closes_written == 1
        # A prefix arrives, and all of it if the receiver did not close itself.
        assert side.received == far.sent[: len(side.received)]
    if not closers[0]:
        assert one.received == other.sent
        assert close_facts(other.endpoint.get_peer_close()) == (4002, "the end")
    if not closers[1]:
        assert other.received == one.sent
        assert close_facts(one.endpoint.get_peer_close()) == (4001, "the end")
    if all(closers):
        assert one.endpoint.closing.code == 4002
        assert other.endpoint.closing.code == 4001


def test_an_extension_of_both_sides():
    class Ours(ClientEndpoint):
        status = b""

        def on_status(self, frame: StatusFrame) -> None:
            self.status = frame.payload

    class Theirs(ServerEndpoint):
        def on_status(self, frame: StatusFrame) -> None:
            self.send_frame(StatusFrame(frame.payload[::-1]))

    one = Side(Ours(parser=Parser(frame_types=[StatusFrame])))
    other = Side(Theirs(parser=Parser(frame_types=[StatusFrame])))
    one.endpoint.send_frame(StatusFrame(b"abc"))
    run((one, other), random.Random(0))
    assert isinstance(one.endpoint, Ours)
    assert one.endpoint.status == b"cba"


@pytest.mark.parametrize("is_relayed_whole", [False, True])
def test_a_proxy_relays_messages(is_relayed_whole: bool):
    limits = Limits(fragment_size=256 * 1024)
    source, proxy_in = client(limits=limits), server()
    proxy_out, target = client(limits=limits), server()
    source.send_message("first")
    source.send_message(b"x" * 300_000)
    while (frame := source.shift_write_queue()) is not None:
        proxy_in.receive_data(frame.to_bytes())
        while (message := proxy_in.get_next_message()) is not None:
            proxy_out.send_message(message if is_relayed_whole else message.payload)
    count = 0
    while (frame := proxy_out.shift_write_queue()) is not None:
        target.receive_data(frame.to_bytes())
        count += 1
    assert count == 3
    assert [message.payload for message in iter(target.get_next_message, None)] == [
        "first",
        b"x" * 300_000,
    ]

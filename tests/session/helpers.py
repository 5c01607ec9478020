"""A `Session` and a peer made by hand, with the time as a number."""

from __future__ import annotations

from typing import Any

from tests.protocol.wire import MASK, frame_bytes
from trio_wsendpoint import Limits, Timeouts
from trio_wsendpoint.protocol import ClientEndpoint, Endpoint, Parser, ServerEndpoint
from trio_wsendpoint.session import Ending, Need, Phase, Ping, PingEnd, Session, Wish

#: Each of a length of its own, so that none can be taken for another.
TIMEOUTS = Timeouts(write=20, answer=1, ping=7, drain=60, close=5, linger=2)


class Told(ValueError):
    """What a callback of the tests raises."""


def make(
    endpoint_class: type[Endpoint] = ServerEndpoint,
    *,
    limits: Limits | None = None,
    timeouts: Timeouts = TIMEOUTS,
    heartbeat: Any = None,
    half_closes: bool = True,
    logger: Any = None,
    **options: Any,
) -> Session:
    """Return a session at the time 0; `options` are those of the endpoint."""
    options.setdefault("unrecognized_pong", "ignore")
    endpoint = endpoint_class(hold_end=True, limits=limits or Limits(), **options)
    return Session(
        endpoint,
        now=0.0,
        limits=limits,
        timeouts=timeouts,
        heartbeat=heartbeat,
        half_closes=half_closes,
        logger=logger,
    )


def give(session: Session, opcode: int, payload: bytes = b"", now: float = 0, **how: Any) -> Need:
    """Give a session one frame of its peer's."""
    mask = b"" if isinstance(session.endpoint, ClientEndpoint) else MASK
    session.receive_data(frame_bytes(opcode, payload, mask=mask, **how), now)
    return session.advance(now)


def joined(batch: Any) -> bytes:
    """Return a batch as bytes."""
    return b"".join(batch) if isinstance(batch, tuple) else batch


def written(session: Session, now: float = 0) -> bytes:
    """Write all that waits, and return it."""
    data = b""
    while (batch := session.next_batch(now)) is not None:
        data += joined(batch)
        session.note_sent(len(joined(batch)), now)
    return data


def frames(data: bytes) -> list[tuple[str, bytes]]:
    """Return type and payload of the whole frames in `data`, which must be all of it."""
    parser = Parser()
    parser.receive_data(data)
    found: list[tuple[str, bytes]] = []
    while (frame := parser.get_next_frame()) is not None:
        found.append((frame.type, frame.payload))
    assert parser.is_drained
    return found


def sent(session: Session, now: float = 0) -> list[tuple[str, bytes]]:
    """Write all that waits, and return its frames."""
    return frames(written(session, now))


def wait(session: Session, now: float = 0) -> None:
    """Let the app wait for a message."""
    session.ask(Wish.MESSAGE)
    session.advance(now)


def end(session: Session, now: float = 0) -> None:
    """Do with the stream what the session asks for, of a peer that ends its bytes."""
    while session.phase is not Phase.OVER:
        if session.ending is Ending.NOTHING:
            written(session, now)
        ending = session.ending
        if ending is Ending.END_OURS:
            session.note_ours_ended(now)
        elif ending is Ending.READ:
            session.receive_data(b"", now)
            session.advance(now)
        elif ending is Ending.NOTHING:
            raise AssertionError(f"it does not end: {session.phase}")
        else:
            session.note_closed(now)


# To a type checker an attribute that was looked at stays as it was.


def is_open(session: Session) -> bool:
    """Whether a session is open now."""
    return session.is_open


def phase_of(session: Session) -> Phase:
    """Return the phase that a session is in now."""
    return session.phase


def ending_of(session: Session) -> Ending:
    """Return what is to be done with the stream now."""
    return session.ending


def outcome_of(ping: Ping) -> PingEnd:
    """Return what has become of a ping by now."""
    return ping.end

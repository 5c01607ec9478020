"""`trio_wsendpoint` reads a stream."""

from __future__ import annotations

from collections.abc import Iterable

from trio_wsendpoint import Limits
from trio_wsendpoint.errors import PeerError
from trio_wsendpoint.extensions import Deflate, PerMessageDeflate
from trio_wsendpoint.protocol import ClientEndpoint, CloseFrame, Endpoint, PongFrame, ServerEndpoint

from .outcome import EMPTY_CLOSE, FRAGMENTS, MESSAGE_SIZE, Case, Outcome

__all__ = ["run_ours"]

LIMITS = Limits(message_size=MESSAGE_SIZE, fragments=FRAGMENTS)


def make_extension(case: Case) -> PerMessageDeflate | None:
    if not case.deflate:
        return None
    options = Deflate(threshold=0, peer_window_bits=15, peer_context_takeover=case.takeover)
    if case.is_server:
        accepted = options.accept_offer([])
        assert accepted is not None
        return accepted[1]
    return options.accept_answer(
        [] if case.takeover else [("server_no_context_takeover", None)],
    )


def make_endpoint(case: Case) -> Endpoint:
    """Return an endpoint after its handshake.

    The peers ignore pongs that nobody asked for, as RFC 6455 section 5.5.3 allows, and as our
    connections do.
    """
    return (ServerEndpoint if case.is_server else ClientEndpoint)(
        limits=LIMITS,
        extension=make_extension(case),
        unrecognized_pong="ignore",
        random_bytes=bytes,
    )


def run_ours(case: Case, pieces: Iterable[bytes]) -> Outcome:
    endpoint = make_endpoint(case)
    messages: list[str | bytes] = []
    pongs: list[bytes] = []
    refused: PeerError | None = None
    sent: int | None = None
    offset: int | None = None
    read = 0
    for piece in pieces:
        read += len(piece)
        endpoint.receive_data(piece)
        try:
            while endpoint.is_open:
                message = endpoint.get_next_message()
                # One pong waits at most (section 5.5.3), so each is taken as soon as it is there.
                if message is None:
                    break
                messages.append(message.payload)
        except PeerError as error:
            refused = error
        while (frame := endpoint.shift_write_queue()) is not None:
            assert sent is None, "something follows our Close frame"
            if isinstance(frame, PongFrame):
                pongs.append(frame.payload)
            else:
                assert isinstance(frame, CloseFrame)
                sent = EMPTY_CLOSE if frame.code is None else frame.code
                offset = read
    if refused is not None:
        assert not endpoint.is_open
        assert sent == refused.close_code
    received = endpoint.closing.received
    return Outcome(
        tuple(messages),
        tuple(pongs),
        None if received is None else (received.code or EMPTY_CLOSE, received.reason),
        sent,
        offset,
    )

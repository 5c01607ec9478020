"""What can go wrong without any I/O, as one tree of typed errors.

Three families, told apart by who has to act:

* `PeerError`: the peer broke a rule.  Each carries the `close_code` to tell it with, so the one
  place that fails a connection needs no table of its own.
* `LocalError`: our own caller asked for something that may not go on the wire.  They are
  `ValueError` or `RuntimeError` as well, and change nothing: the endpoint is as it was.
* `HandshakeError`: the opening handshake did not lead to a WebSocket connection.

How a *connection* ends is told by `trio_wsendpoint.connection.closed`, in Trio's own terms.
This module imports nothing of ours.
"""

from __future__ import annotations

__all__ = [
    "BadResponse",
    "EndpointClosed",
    "HandshakeError",
    "InvalidCloseCode",
    "InvalidFrame",
    "InvalidPayload",
    "InvalidURL",
    "LocalError",
    "MessageTooBig",
    "PeerError",
    "PeerTooSlow",
    "PolicyViolation",
    "ProtocolError",
    "RateExceeded",
    "TLSFailed",
    "UnexpectedEOF",
    "WebSocketError",
]


class WebSocketError(Exception):
    """The base of every error that this library raises for a reason of its own.

    Each of them can be pickled and copied, a subclass with a constructor of its own too: type,
    text, notes and attributes survive.  `__cause__` and the traceback do not, as in all of Python.
    """

    def __reduce__(self) -> tuple[object, ...]:
        # Python's own way calls the constructor with `args`, which are the text alone here.
        return _restore, (type(self), self.args), self.__dict__ or None


def _restore(made: type[WebSocketError], args: tuple[object, ...]) -> WebSocketError:
    """Make an exception without calling its constructor; its attributes are set afterwards."""
    error = made.__new__(made, *args)
    error.args = args  # which an `OSError` leaves to its constructor
    return error


# ---- the peer's mistakes ---------------------------------------------------------------------


class PeerError(WebSocketError):
    """The peer did what it must not; `close_code` is what the connection is failed with.

    RFC 6455 section 7.1.7: an endpoint that fails a connection SHOULD say why in a Close frame.
    """

    close_code: int = 1002


class ProtocolError(PeerError):
    """The peer broke RFC 6455 (close code 1002)."""

    close_code = 1002


class InvalidPayload(PeerError):
    """Text that is not UTF-8, or data that does not inflate (close code 1007)."""

    close_code = 1007


class PolicyViolation(PeerError):
    """The peer passed a limit other than one of size, as too many fragments (close code 1008)."""

    close_code = 1008


class RateExceeded(PeerError):
    """More messages in a second than the owner of this side takes (close code 1013)."""

    close_code = 1013


class MessageTooBig(PeerError):
    """A frame or a message over the size limit (close code 1009)."""

    close_code = 1009


class UnexpectedEOF(PeerError):
    """The peer's bytes ended without a Close frame, perhaps inside a frame (1006, never sent)."""

    close_code = 1006


class PeerTooSlow(UnexpectedEOF):
    """The peer took too little of what was written, in too long a time (1006, never sent)."""


# ---- our caller's mistakes -------------------------------------------------------------------


class LocalError(WebSocketError):
    """Our own caller asked for what the protocol does not allow; nothing was done."""


class InvalidFrame(LocalError, ValueError):
    """A frame that must not exist: a control payload over 125 bytes, a bad mask, bad RSV bits."""


class InvalidCloseCode(InvalidFrame):
    """A close code or reason that must not go on the wire (RFC 6455 section 7.4)."""


class EndpointClosed(LocalError, RuntimeError):
    """I/O was asked of an endpoint that has already sent (or queued) its Close frame."""


# ---- the opening handshake -------------------------------------------------------------------


class HandshakeError(WebSocketError):
    """The opening handshake failed; there is no connection."""


class InvalidURL(HandshakeError, ValueError):
    """Not a `ws://` or `wss://` URL that can be connected to."""


class BadResponse(HandshakeError):
    """The server's answer is not a correct one to our opening request (RFC 6455 section 4.1)."""


class TLSFailed(HandshakeError):
    """The TLS handshake failed; `__cause__` is TLS's own error."""

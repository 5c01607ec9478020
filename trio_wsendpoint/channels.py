"""Messages with types, and bytes without messages: other forms of one connection.

`MessageChannel` is a `trio.abc.Channel[T]`: a `Codec` makes messages of values and values of
messages.  `MessageByteStream` is a `trio.abc.Stream` over binary messages.  Both take a
`Connection`, or anything like it, as a channel that reconnects; closing one of them closes that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Generic, Literal, NoReturn, Protocol, TypeVar

import trio

from trio_wsendpoint.errors import WebSocketError
from trio_wsendpoint.protocol.opcodes import CloseCode
from trio_wsendpoint.transport.one_task import OneTask

__all__ = [
    "Codec",
    "JSONCodec",
    "MessageByteStream",
    "MessageChannel",
    "Messages",
    "UndecodableMessage",
    "UnexpectedText",
    "WithOtherForms",
]

T = TypeVar("T")

#: Bytes of a stream that go into one message at most.
CHUNK = 64 * 1024
#: Characters of a codec's error that ours shows.
SHOWN = 200


class Messages(Protocol):
    """What carries the messages: a `Connection`, or a channel that reconnects."""

    async def send(self, value: str | bytes, /) -> None:
        """Send a message."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next message."""
        ...

    async def aclose(self, code: int | None = ..., reason: str = ...) -> None:
        """Close in order."""
        ...


class Codec(Protocol[T]):
    """Two functions: `encode` makes a message of a value, `decode` a value of a message.

    A `str` is a text message, `bytes` a binary one.  Either may raise what it likes: see
    `MessageChannel`.
    """

    def encode(self, value: T, /) -> str | bytes:
        """Return the message that stands for `value`."""
        ...

    def decode(self, message: str | bytes, /) -> T:
        """Return the value that `message` stands for."""
        ...


class JSONCodec:
    """JSON (RFC 8259) as the standard library has it, in text messages.

    `NaN` and the infinities, which are no JSON, are refused both ways unless `allow_nan`.
    `default` is given what JSON has no form for, and returns what it has one for; `object_hook`
    is given each object, and returns what takes its place: as for `json.dumps` and `json.loads`.

    >>> JSONCodec().encode({"price": 1.08})
    '{"price":1.08}'
    """

    def __init__(
        self,
        *,
        allow_nan: bool = False,
        default: Callable[[Any], Any] | None = None,
        object_hook: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self._encoder = json.JSONEncoder(
            allow_nan=allow_nan, default=default, ensure_ascii=False, separators=(",", ":")
        )
        self._decoder = json.JSONDecoder(
            parse_constant=None if allow_nan else _refuse_constant, object_hook=object_hook
        )

    def encode(self, value: Any) -> str:
        """Return JSON text; raises `ValueError` or `TypeError` for what has no form in it."""
        return self._encoder.encode(value)

    def decode(self, message: str | bytes) -> Any:
        """Return the value; raises `ValueError` for what is no JSON, or no UTF-8."""
        text = message if isinstance(message, str) else message.decode()
        try:
            return self._decoder.decode(text)
        except RecursionError:  # a peer can nest as deep as a message is long
            raise ValueError("it is nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class UndecodableMessage(WebSocketError, ValueError):
    """A message that the codec did not understand; `message` is that message.

    `__cause__` is the codec's own error.
    """

    def __init__(self, message: str | bytes, error: Exception) -> None:
        kind = "text" if isinstance(message, str) else "binary"
        size = len(message.encode() if isinstance(message, str) else message)
        # A codec's error may quote the peer.
        why = ascii(f"{type(error).__name__}: {error}")[1:-1][:SHOWN]
        super().__init__(f"a {kind} message of {size} bytes does not decode: {why}")
        self.message = message


class UnexpectedText(WebSocketError, trio.BrokenResourceError):
    """The peer sent a text message where bytes were expected; it has been told 1003."""


class MessageChannel(trio.abc.Channel[T], Generic[T]):
    """A channel of values: `MessageChannel(connection, JSONCodec())`.

    `on_undecodable`: after a message that does not decode, "raise" leaves the connection open,
    so that the next `receive` returns the next message; "close" closes it with 1007.  Either
    way `receive` raises `UndecodableMessage`.
    """

    def __init__(
        self,
        connection: Messages,
        codec: Codec[T],
        *,
        on_undecodable: Literal["raise", "close"] = "raise",
    ) -> None:
        if on_undecodable not in {"raise", "close"}:
            raise ValueError(f'on_undecodable is "raise" or "close", not {on_undecodable!r}')
        self.connection = connection
        self._codec = codec
        self._closes = on_undecodable == "close"

    async def send(self, value: T) -> None:
        """Encode a value and send it.

        If cancelled: nothing of the message was or will be sent.
        Raises: what the codec raises, before anything is sent; as the connection's `send`.
        """
        await self.connection.send(self._codec.encode(value))

    async def receive(self) -> T:
        """Return the next value.

        If cancelled: nothing was taken.
        Raises: `UndecodableMessage`, and then that message is gone; as the connection's `receive`.
        """
        message = await self.connection.receive()
        try:
            return self._codec.decode(message)
        except Exception as error:
            if self._closes:
                await self.connection.aclose(CloseCode.INVALID_PAYLOAD, "it does not decode")
            raise UndecodableMessage(message, error) from error

    async def aclose(self) -> None:
        """Close the connection in order.

        If cancelled: the stream is closed at once.
        Raises: as the connection's `aclose`.
        """
        await self.connection.aclose()


class MessageByteStream(trio.abc.Stream):
    """A stream of bytes over binary messages; where one begins and ends means nothing.

    The end of the stream is the peer's orderly close.  It is no `HalfCloseableStream`: a
    WebSocket's Close ends both directions (RFC 6455 section 7.1.1).
    """

    def __init__(self, connection: Messages) -> None:
        self.connection = connection
        self._rest = b""
        self._sending = OneTask("sending over this stream")
        self._receiving = OneTask("receiving from this stream")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, in messages of at most 64 KiB.

        If cancelled: some whole messages of it may have been sent.
        Raises: `trio.BrokenResourceError` after another end; `trio.ClosedResourceError` after our
            `aclose()`; `trio.BusyResourceError` if another task is sending.
        """
        with self._sending, memoryview(data) as view, view.cast("B") as octets:
            await trio.lowlevel.checkpoint()
            self._sending.check()
            for start in range(0, len(octets), CHUNK):
                await self.connection.send(bytes(octets[start : start + CHUNK]))

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: a message is taken whole, so a connection has no better guess.

        If cancelled: nothing has changed.
        Raises: as `send_all`.
        """
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._sending.check()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return 1 to `max_bytes` bytes, `b""` after the peer's orderly close.

        If cancelled: nothing was taken.
        Raises: `trio.BrokenResourceError` after another end, which is `UnexpectedText` for a text
            message; `trio.ClosedResourceError` after our `aclose()`; `trio.BusyResourceError` if
            another task is receiving; `TypeError` and `ValueError` for `max_bytes`.
        """
        if max_bytes is not None:
            if isinstance(max_bytes, bool) or not isinstance(max_bytes, int):
                raise TypeError(f"max_bytes must be an int or None, not {max_bytes!r}")
            if max_bytes < 1:
                raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            self._receiving.check()
            while not self._rest:
                message = await self._next_message()
                if message is None:
                    return b""
                self._rest = message
        size = len(self._rest) if max_bytes is None else max_bytes
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    async def _next_message(self) -> bytes | None:
        """Return the next message, None at the peer's orderly end, of which each call is told."""
        try:
            message = await self.connection.receive()
        except trio.EndOfChannel:
            return None
        if isinstance(message, str):
            await self.connection.aclose(CloseCode.INVALID_DATA_TYPE, "bytes were expected")
            raise UnexpectedText("the peer sent text where bytes were expected")
        return message

    async def aclose(self) -> None:
        """Close the connection in order.

        If cancelled: the stream below is closed at once.
        Raises: as the connection's `aclose`.
        """
        self._sending.close()
        self._receiving.close()
        self._rest = b""
        await self.connection.aclose()


class WithOtherForms:
    """Gives what carries messages its other forms."""

    __slots__ = ()

    def as_channel(
        self: Messages, codec: Codec[T], *, on_undecodable: Literal["raise", "close"] = "raise"
    ) -> MessageChannel[T]:
        """Return a channel of values over this connection: see `MessageChannel`.

        Closing the channel closes the connection.  Raises `ValueError` for another
        `on_undecodable`.
        """
        return MessageChannel(self, codec, on_undecodable=on_undecodable)

    def as_stream(self: Messages) -> MessageByteStream:
        """Return a stream over the binary messages of this connection: see `MessageByteStream`.

        Closing the stream closes the connection.
        """
        return MessageByteStream(self)

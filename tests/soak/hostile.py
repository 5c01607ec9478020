"""The peers that break every rule: each attack is one connection, made by hand.

An attack returns when it is over, and raises `Unexpected` if it did not end as it should.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

import trio

from tests.soak.load import HOSTILE, Pace

__all__ = ["ATTACKS", "Unexpected", "attack"]

REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"\0\0\0\0"
#: How long a hostile peer waits, at most, for the server to be done with it; seconds.  One that is
#: silent is given up after three beats of 10 s, and then has 30 s to answer the Close frame.
PATIENCE = 120

Attack = Callable[[trio.SocketStream, str, Pace], Awaitable[None]]


class Unexpected(Exception):
    """An attack ended otherwise than it should."""


def masked(opcode: int, payload: bytes = b"", *, announced: int | None = None) -> bytes:
    """Return a client's frame; `announced` is the length that it says."""
    size = len(payload) if announced is None else announced
    if size < 126:
        return bytes([0x80 | opcode, 0x80 | size]) + MASK + payload
    return bytes([0x80 | opcode, 0xFF]) + size.to_bytes(8, "big") + MASK + payload


async def _open(stream: trio.SocketStream, name: str) -> None:
    await stream.send_all(REQUEST % f"/hostile/{name}".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = await stream.receive_some(4096)
        if not more:
            raise Unexpected(f"{name}: the opening ended with {answer!r}")
        answer += bytes(more)
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise Unexpected(f"{name}: {answer[:60]!r}")


async def _rest(stream: trio.SocketStream) -> bytes:
    """Return what comes until the server ends it."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while more := await stream.receive_some(65536):
            data += bytes(more)
    return data


async def _expect_close(stream: trio.SocketStream, name: str, *codes: int) -> None:
    """Read to the end, which must be a Close frame with a code of these, or lost to a reset."""
    data = await _rest(stream)
    if data and not any(struct.pack("!H", code) in data for code in codes):
        raise Unexpected(f"{name}: no Close frame with {codes} in {data[-80:]!r}")


def _sends(*frames: bytes, codes: tuple[int, ...]) -> Attack:
    async def run(stream: trio.SocketStream, name: str, pace: Pace) -> None:
        await _open(stream, name)
        with contextlib.suppress(trio.BrokenResourceError):
            for frame in frames:
                await stream.send_all(frame)
        await _expect_close(stream, name, *codes)

    return run


async def _silent(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    await _open(stream, name)
    await _expect_close(stream, name, 1002)


async def _deaf(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    """Read nothing of what the server sends, for longer than it allows."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await _open(stream, name)
    await trio.sleep(4 * pace.write)


async def _vanish(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    await _open(stream, name)
    await stream.send_all(masked(1, b"hello"))
    await stream.receive_some(100)


async def _torn(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    await _open(stream, name)
    await stream.send_all(masked(2, b"half", announced=70_000))


async def _reset(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    await _open(stream, name)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _half_request(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    """Send half of a request, and wait for what the server does about it."""
    await stream.send_all(REQUEST[:40] % b"/x")
    data = await _rest(stream)
    if data and not data.startswith(b"HTTP/1.1 408 "):
        raise Unexpected(f"{name}: {data[:60]!r}")


async def _no_request(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    await trio.sleep(0.1)


async def _not_http(stream: trio.SocketStream, name: str, pace: Pace) -> None:
    await stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n")
    data = await _rest(stream)
    if data and not data.startswith(b"HTTP/1.1 400 "):
        raise Unexpected(f"{name}: {data[:60]!r}")


ATTACKS: dict[str, Attack] = {
    "opcode": _sends(masked(3), codes=(1002,)),
    "unmasked": _sends(b"\x81\x05hello", codes=(1002,)),
    "utf8": _sends(masked(1, b"\xff\xfe"), codes=(1007,)),
    "oversize": _sends(masked(2, announced=1 << 40), codes=(1009,)),
    "pings": _sends(masked(9, b"p") * 5000, codes=(1008, 1002)),
    "silent": _silent,
    "deaf": _deaf,
    "vanish": _vanish,
    "torn": _torn,
    "reset": _reset,
    "half-request": _half_request,
    "no-request": _no_request,
    "not-http": _not_http,
}
assert set(ATTACKS) == set(HOSTILE)


async def attack(name: str, port: int, pace: Pace) -> None:
    """Make one attack; raise `Unexpected` if it does not end as it should."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        with trio.fail_after(PATIENCE):
            await ATTACKS[name](stream, name, pace)
    except trio.TooSlowError:
        raise Unexpected(f"{name}: not over after {PATIENCE} s") from None
    except trio.BrokenResourceError as error:
        raise Unexpected(f"{name}: {error!r}") from error
    finally:
        await trio.aclose_forcefully(stream)

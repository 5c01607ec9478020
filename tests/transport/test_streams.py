"""`StreamMethods`: a stream's methods that wait, over those that do not."""

from __future__ import annotations

import pytest
import trio

from trio_wsendpoint.transport.streams import StreamMethods


class Slow(StreamMethods):
    """Takes 2 bytes at a time, and has a byte to read after each wait."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.asked: list[int] = []
        self.waits: list[str] = []

    def receive_nowait(self, max_bytes: int) -> bytes | None:
        self.asked.append(max_bytes)
        return b"a" if "read" in self.waits else None

    def send_nowait(self, data: bytes | memoryview) -> int:
        if len(self.waits) % 2 == 0 and len(self.sent) % 4:
            return 0
        self.sent += data[:2]
        return len(data[:2])

    async def wait_readable(self) -> None:
        self.waits.append("read")

    async def wait_writable(self) -> None:
        self.waits.append("write")
        await trio.lowlevel.checkpoint()

    def interrupt(self) -> None:
        raise AssertionError

    async def aclose(self) -> None:
        self._sending = None


async def test_it_waits_until_something_has_come() -> None:
    stream = Slow()
    assert await stream.receive_some() == b"a"
    assert stream.waits == ["read"]
    assert await stream.receive_some(7) == b"a"
    assert stream.asked == [65536, 65536, 7]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        await stream.receive_some(0)


async def test_it_waits_only_when_nothing_was_taken() -> None:
    stream = Slow()
    await stream.send_all(bytearray(b"abcdefgh"))
    assert stream.sent == b"abcdefgh"
    assert stream.waits == ["write"]


async def test_one_task_sends_at_a_time_and_none_after_the_end() -> None:
    stream = Slow()
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(stream.wait_send_all_might_not_block)
    assert caught.group_contains(trio.BusyResourceError)
    await stream.aclose()
    for send in (stream.wait_send_all_might_not_block, lambda: stream.send_all(b"")):
        with pytest.raises(trio.ClosedResourceError, match="already ended"):
            await send()

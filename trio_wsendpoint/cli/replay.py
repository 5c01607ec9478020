"""`trio-wsendpoint replay`: sends again what a client has sent, at the same times."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from trio_wsendpoint.cli.conversation_file import Recorded

__all__ = ["send_again", "unlike"]


async def send_again(
    recorded: Sequence[Recorded], messages: trio.MemorySendChannel[str | bytes], speed: float
) -> None:
    """Send what was sent, `speed` times as fast as it was, and close `messages` at the end."""
    began = trio.current_time()
    async with messages:
        for one in recorded:
            if one.direction == "sent":
                await trio.sleep_until(began + one.seconds / speed)
                await messages.send(one.message)


def unlike(recorded: Sequence[Recorded], received: Sequence[str | bytes]) -> str | None:
    """Say where the answers differ from those recorded, None if they do not."""
    expected = [one.message for one in recorded if one.direction == "received"]
    for number, (was, now) in enumerate(zip(expected, received, strict=False), 1):
        if was != now:
            return f"message {number} differs from the recorded one"
    if len(expected) != len(received):
        return f"{len(received)} messages came, {len(expected)} were recorded"
    return None

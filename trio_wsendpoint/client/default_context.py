"""The `ssl.SSLContext` of a client that is given none.

To load the system's certificates takes 20 to 50 ms and some hundred KiB, so it is made once in a
process, in a thread, and only when a first connection needs it.
"""

from __future__ import annotations

import functools
import ssl
import threading

import trio

__all__ = ["default_client_context"]


class _Lazy:
    """A context that is made when it is first asked for; threads may ask at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.context: ssl.SSLContext | None = None  # once it is made

    def make(self) -> ssl.SSLContext:
        with self._lock:
            if self.context is None:
                self.context = ssl.create_default_context()
            return self.context


# Remembered by the function, not in a variable of the module: nobody can put another one in its
# place, and a test can forget it.  It cannot remember the context itself, because `cache` calls
# the function twice for two threads that come together.
@functools.cache
def _lazy() -> _Lazy:
    return _Lazy()


async def default_client_context(*, in_thread: bool = True) -> ssl.SSLContext:
    """Return the context that verifies servers against the certificates of the system.

    It is the same one for the whole process, as the system's certificates were when it was made.
    `in_thread`: make it there, so that no other task waits; a test's clock does not wait for a
    thread.  Raises what `ssl.create_default_context` raises; then the next call tries again.  If
    cancelled while it is made, it is made nevertheless.
    """
    lazy = _lazy()
    if lazy.context is not None or not in_thread:
        return lazy.make()
    return await trio.to_thread.run_sync(lazy.make)

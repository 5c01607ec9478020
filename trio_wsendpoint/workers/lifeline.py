"""Ends a worker when its parent is gone, however that ended and whatever the worker does.

The parent holds the only writing end of a pipe, the lifeline.  A thread waits for its end, from
before the app is imported.  A thread needs the interpreter, which a stopped or stuck process does
not give: on Linux the kernel sends SIGKILL in addition.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

__all__ = ["die_with_parent", "hold_lifeline"]

#: PR_SET_PDEATHSIG of <linux/prctl.h>.
_PARENT_DEATH_SIGNAL = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; does nothing but on Linux.

    A parent that has ended before is not noticed: `hold_lifeline` does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)


def hold_lifeline(descriptor: int) -> None:
    """Start the thread that ends this process as soon as the pipe `descriptor` has an end."""
    threading.Thread(target=_wait, args=(descriptor,), name="lifeline", daemon=True).start()


def _wait(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    finally:
        # No goodbye: the parent had no time for any, and its port is to be free at once.
        os.kill(os.getpid(), signal.SIGKILL)

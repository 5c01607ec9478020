"""The loops of `native/load.c`, for a load whose messages are all the same and in the clear."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.figures import BUCKETS


class Job(ctypes.Structure):
    """`struct job` of `native/load.c`."""

    _fields_ = (
        ("fds", ctypes.POINTER(ctypes.c_int)),
        ("count", ctypes.c_int),
        ("in_flight", ctypes.c_int),
        ("frame", ctypes.c_char_p),
        ("size", ctypes.c_size_t),
        ("echo", ctypes.c_size_t),
        ("nanoseconds", ctypes.c_int64),
        ("histogram", ctypes.POINTER(ctypes.c_uint64)),
    )


class Engine:
    """The compiled loops, loaded from `path`."""

    def __init__(self, path: Path) -> None:
        self._run = ctypes.CDLL(str(path)).run
        self._run.argtypes = [ctypes.POINTER(Job), ctypes.c_int]
        self._run.restype = ctypes.c_long

    def run(
        self,
        fds: Sequence[int],
        *,
        frame: bytes,
        echo: int,
        in_flight: int,
        seconds: float,
        is_broadcast: bool,
    ) -> tuple[int, list[int]]:
        """Keep the connections busy for `seconds`; return how many messages came back, and when.

        The second is a histogram of latencies.  Raises `OSError` if the server went away, or
        answered nothing for 20 s.
        """
        numbers = (ctypes.c_int * len(fds))(*fds)
        histogram = (ctypes.c_uint64 * BUCKETS)()
        job = Job(
            fds=numbers,
            count=len(fds),
            in_flight=in_flight,
            frame=frame,
            size=len(frame),
            echo=echo,
            nanoseconds=int(seconds * 1e9),
            histogram=histogram,
        )
        done = self._run(ctypes.byref(job), is_broadcast)
        if done < 0:
            raise OSError(-done, os.strerror(-done))
        return done, list(histogram)

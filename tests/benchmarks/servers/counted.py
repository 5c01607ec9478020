"""trio_wsendpoint, counting what it runs: bytecodes by whose they are, and system calls.

It tells what it has counted so far where another server tells its resident bytes.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import trio

import trio_wsendpoint
from tests.benchmarks.servers.common import read_options
from tests.benchmarks.servers.ours import main

OURS, TRIO, REST = "ours", "Trio", "the rest"
#: Whose code is in which folder; all other code is the rest: the app, and the standard library.
FOLDERS = {
    Path(module.__file__).parent: owner
    for module, owner in ((trio_wsendpoint, OURS), (trio, TRIO))
    if module.__file__
}
#: Methods of sockets, and functions of `os`, that ask the system for nothing.
NO_CALLS = frozenset({"fileno", "gettimeout", "fspath", "getpid", "register_at_fork"})


class Counts:
    """What this thread has run since `start`.

    `bytecodes`: how many, by whose code it was.  What is compiled has none.  `system_calls`: how
    many, by the name of the method.
    """

    def __init__(self) -> None:
        self.bytecodes = Counter[str]()
        self.system_calls = Counter[str]()
        self._tracers: dict[CodeType, Callable[..., Any]] = {}
        self._by_owner = {owner: self._make(owner) for owner in (OURS, TRIO, REST)}

    def start(self) -> None:
        sys.setprofile(self._note)
        sys.settrace(self._enter)

    def to_json(self) -> dict[str, dict[str, int]]:
        return {"bytecodes": dict(self.bytecodes), "system_calls": dict(self.system_calls)}

    def _make(self, owner: str) -> Callable[..., Any]:
        """Return what counts each bytecode of a frame for `owner`."""
        bytecodes = self.bytecodes

        def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
            if event == "opcode":
                bytecodes[owner] += 1
            return count

        return count

    def _enter(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        code = frame.f_code
        if code not in self._tracers:
            self._tracers[code] = self._by_owner[owner_of(code)]
        return self._tracers[code]

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and is_system_call(argument):
            self.system_calls[argument.__name__.lstrip("_")] += 1


def owner_of(code: CodeType) -> str:
    path = Path(code.co_filename)
    return next((FOLDERS[folder] for folder in path.parents if folder in FOLDERS), REST)


def is_system_call(function: Any) -> bool:
    """Return whether a built-in function is a method of a socket or an epoll, or one of `os`."""
    owner = getattr(function, "__self__", None)
    is_of_system = isinstance(owner, (socket.SocketType, select.epoll)) or owner is POSIX
    return is_of_system and function.__name__ not in NO_CALLS


POSIX = sys.modules[os.read.__module__]

if __name__ == "__main__":
    counts = Counts()
    counts.start()
    trio.run(main, read_options(), counts.to_json)

"""Which function a worker runs: named in the parent, found again in the worker's process."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

__all__ = ["Target", "WorkerMain"]

#: What a worker runs: `async def main(worker, *arguments)`.
WorkerMain = Callable[..., Awaitable[object]]

#: The name of the module that a program has in its workers, where it was `__main__`.
PROGRAM = "__worker_main__"


@dataclass(frozen=True, slots=True)
class Target:
    """A function of a module, or of a program that is a file: one of `module` and `file` is ""."""

    name: str
    module: str = ""
    file: str = ""

    @classmethod
    def of(cls, main: object) -> Target:
        """Return how a worker finds `main`: an async function, or a text as `"app:main"`.

        Raises `TypeError` or `ValueError` for what no other process can find.
        """
        if isinstance(main, str):
            module, _, name = main.partition(":")
            if not module or not name:
                raise ValueError(f'expected "MODULE:FUNCTION", as "app:main", not {main!r}')
            return cls(name, module)
        name = getattr(main, "__qualname__", "")
        module = getattr(main, "__module__", None) or ""
        if not callable(main) or not name:
            raise TypeError(f'main is an async function of a module, or "app:main", not {main!r}')
        if "<" in name:
            raise ValueError(f"{name} cannot be found by a worker: put it at the top of a module")
        if module != "__main__":
            return cls(name, module)
        program = sys.modules["__main__"]
        spec = getattr(program, "__spec__", None)
        if spec is not None:  # python -m app
            return cls(name, spec.name)
        file = getattr(program, "__file__", None)
        if file is None:
            raise ValueError(f"{name} is in no file, so no worker can find it")
        return cls(name, file=str(file))

    def to_message(self) -> dict[str, str]:
        """Return it as an object for JSON, whose entries are the arguments of `Target`."""
        return {"name": self.name, "module": self.module, "file": self.file}

    def load(self) -> WorkerMain:
        """Import the module, and return the function; raises what the import raises.

        A program that is a file is run under another name than `__main__`, so that what it does
        `if __name__ == "__main__"` is the parent's alone.
        """
        found: Any
        first, *rest = self.name.split(".")
        if self.file:
            found = getattr(_load_program(self.file), first)
        else:
            found = getattr(importlib.import_module(self.module), first)
        for part in rest:
            found = getattr(found, part)
        if not callable(found):
            raise TypeError(f"{self.name} of {self.module or self.file} is no function")
        return cast("WorkerMain", found)


def _load_program(file: str) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader(PROGRAM, file)
    spec = importlib.util.spec_from_loader(PROGRAM, loader, origin=file)
    if spec is None:
        raise ImportError(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[PROGRAM] = module
    loader.exec_module(module)
    return module

"""Makes the inventories that `make docs` links to: it reads these files, and no network.

Run it: python docs/inventories/make.py [objects.inv of Python's documentation]

`python.inv` is that file with the objects of Python alone: Debian's `python3-doc` has it.
`trio.inv` is made from the Trio that is installed: each name with the page that describes it.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import trio
import trio.abc
import trio.lowlevel
import trio.testing

HERE = Path(__file__).parent
HEAD = """\
# Sphinx inventory version 2
# Project: {}
# Version: {}
# The remainder of this file is compressed using zlib.
"""

#: What of `trio` itself is described on the page of input and output; the rest is on the core's.
ABOUT_IO = ("open_", "serve_", "Socket", "SSL", "Stapled", "aclose_", "socket", "Path", "Need")
#: What of `trio.abc` is described elsewhere.
ABC_PAGES = {"Channel": "core", "Clock": "core", "Instrument": "lowlevel", "HostnameResolver": "io"}


def lines_of_trio() -> Iterator[str]:
    """Yield a line of the inventory for each public name of Trio."""
    for module in (trio, trio.abc, trio.lowlevel, trio.testing):
        for name in sorted(vars(module)):
            value = getattr(module, name)
            if name.startswith("_") or isinstance(value, ModuleType):
                continue
            role = "class" if isinstance(value, type) else "function"
            if isinstance(value, type) and issubclass(value, BaseException):
                role = "exception"
            page = page_of(module.__name__, name)
            yield f"{module.__name__}.{name} py:{role} 1 reference-{page}.html#$ -"


def page_of(module: str, name: str) -> str:
    """Return the page of the reference that describes a name of Trio."""
    if module == "trio":
        return "io" if name.startswith(ABOUT_IO) else "core"
    if module == "trio.abc":
        return next((page for end, page in ABC_PAGES.items() if name.endswith(end)), "io")
    return module.removeprefix("trio.")


def lines_of_python(inventory: bytes) -> Iterator[str]:
    """Yield the lines of Python's inventory that are about objects of Python."""
    body = inventory.split(b"\n", 4)[4]
    for line in zlib.decompress(body).decode().splitlines():
        if " py:" in line:
            yield line


def write(name: str, project: str, version: str, lines: Iterable[str]) -> None:
    """Write an inventory of version 2, as Sphinx reads it."""
    text = "".join(f"{line}\n" for line in lines)
    packed = zlib.compress(text.encode(), 9)
    (HERE / name).write_bytes(HEAD.format(project, version).encode() + packed)


if __name__ == "__main__":
    write("trio.inv", "Trio", trio.__version__, lines_of_trio())
    if sys.argv[1:]:
        found = Path(sys.argv[1]).read_bytes()
        write("python.inv", "Python", "3.11", lines_of_python(found))

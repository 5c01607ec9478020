"""Reads the docstrings of the library for Sphinx: what stands in single backticks is code.

The docstrings are written for `help()`.  A name of the public API, or of Trio, becomes a link to
where it is described; anything else in backticks is shown as code.  A paragraph whose lines begin
with `` `name`: `` is a list of options; one that begins with "Raises:" or "If cancelled:" is a
field of its own.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Protocol

import trio

import trio_wsendpoint


class Sphinx(Protocol):
    """What is used of Sphinx."""

    def connect(self, event: str, callback: Callable[..., object]) -> int:
        """Have `callback` called at each `event`."""
        ...


HERE = Path(__file__).parent
#: The public packages whose classes are described.
PACKAGES = (
    "trio_wsendpoint",
    "trio_wsendpoint.testing",
    "trio_wsendpoint.asgi",
    "trio_wsendpoint.http",
)
REPOSITORY = "https://github.com/trio-wsendpoint/trio_wsendpoint/blob/main/"
#: What a class of a private module says of where it is.
PRIVATE = "trio_wsendpoint."
#: One name or several, which a line begins with: `name`: or `name`, `name`:
OPTION = re.compile(r"^(``\w+``(?:, ``\w+``)*): ", re.MULTILINE)
FIELD = re.compile(r"^(If cancelled|Raises): ", re.MULTILINE)
CODE = re.compile(r"(?<![`\w:])`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Let Sphinx call what is below."""
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", hide_private_signature)
    app.connect("autodoc-process-bases", hide_private_bases)
    app.connect("source-read", link_to_repository)
    app.connect("builder-inited", read_the_sources)
    return {"parallel_read_safe": True}


def read_the_sources(_app: object) -> None:
    """Tell Sphinx where the members of public classes stand, so that it keeps their order.

    It looks into the module that a class names, which for ours only imports it.
    """
    # Not at the top: the checks of types run without Sphinx as well.
    analyzer: Any = importlib.import_module("sphinx.pycode").ModuleAnalyzer
    for package in PACKAGES:
        folder = HERE.parent.joinpath(*package.split("."))
        sources = [path.read_text() for path in sorted(folder.rglob("*.py"))]
        source = "\n".join(sources).replace("from __future__ import annotations", "")
        analyzer.cache["module", package] = analyzer.for_string(source, package)


def process(  # noqa: D103 - Sphinx's own signature
    _app: object, _what: str, name: str, _value: object, _options: object, lines: list[str]
) -> None:
    lines[:] = translated("\n".join(lines), owner=name).split("\n")


def hide_private_signature(
    _app: object,
    what: str,
    _name: str,
    _value: object,
    _options: object,
    signature: str | None,
    _returns: str | None,
) -> tuple[str, str] | None:
    """Hide how a class is made that the library makes itself: of what no app imports."""
    if what in {"class", "exception"} and re.search(r"trio_wsendpoint\.[a-z]", signature or ""):
        return "", ""
    return None


def hide_private_bases(
    _app: object, _name: str, _value: object, _options: object, bases: list[type]
) -> None:
    """Hide the bases that no app imports."""
    shown = [one for one in bases if not getattr(one, "__module__", "").startswith(PRIVATE)]
    bases[:] = shown or [object]


def link_to_repository(_app: object, _page: str, content: list[str]) -> None:
    """Lead a page's links to files that are not of this folder to where they can be read."""
    content[0] = content[0].replace("](../", f"]({REPOSITORY}")


def translated(text: str, owner: str) -> str:
    """Return a docstring as reStructuredText; `owner` is whose it is."""
    paragraphs = re.split(r"\n{2,}", text)
    return "\n\n".join(
        one if one.startswith((" ", "..")) else _paragraph(one, owner) for one in paragraphs
    )


def _paragraph(text: str, owner: str) -> str:
    """Return one paragraph, in which an option or a field begins a line of a list."""
    text = CODE.sub(lambda found: _code(found[1], owner), text)
    text = OPTION.sub(r"\n* \1: ", text)
    text = FIELD.sub(lambda found: f"\n* **{found[1]}:** ", text)
    first, *items = f"\n{text}".split("\n\n* ")
    return "\n\n* ".join([first.lstrip("\n"), *(re.sub(r"\n\s*", "\n  ", one) for one in items)])


def _code(text: str, owner: str) -> str:
    """Return a link for a name that is described somewhere, or else code."""
    flat = " ".join(text.split())
    name = flat.removesuffix("()").removeprefix("await ")
    if re.fullmatch(r"[A-Za-z_][\w.]*", name):
        first, _, rest = name.partition(".")
        if first in trio_wsendpoint.__all__ and first != owner.rpartition(".")[2]:
            member: object = getattr(getattr(trio_wsendpoint, first), rest, None)
            is_told = isinstance(member, (property, FunctionType))
            return f":py:obj:`{flat} <trio_wsendpoint.{name if is_told else first}>`"
        if first == "trio" and _has_page(rest):
            return f":py:obj:`{flat} <{name}>`"
    return f"``{flat}``"


def _has_page(rest: str) -> bool:
    value: object = trio
    for part in rest.split("."):
        value = getattr(value, part, None)
    return rest != "" and value is not None and rest.count(".") < 2

"""The docstrings of functions that take options: each option, its default, and what it is for.

The text of an option is written once, in the docstring of the `...Options` that has it; its
default once, in the `...Settings`.  `tell_options` puts both under the docstring of a function,
so that `help()` shows what may be passed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from trio_wsendpoint._words import unknown_options

__all__ = ["check_options", "option_texts", "tell_options"]

_F = TypeVar("_F", bound=Callable[..., object])
#: The beginning of an option's text: `name`: ...
_BEGINNING = re.compile(r"^ *`(\w+)`: ", re.MULTILINE)


def option_texts(options: type) -> dict[str, str]:
    """Return what the docstring of `options` says of each option, on lines without indentation."""
    parts = _BEGINNING.split(options.__doc__ or "")
    # Before the first option is what the class is; then names and texts follow in turn.
    return {
        name: "\n".join(line.strip() for line in text.strip().splitlines())
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def tell_options(settings: type, *options: type) -> Callable[[_F], _F]:
    """Return a decorator that tells, in a function's docstring, of each of its `options`.

    `settings` is the dataclass of the same options, which has their defaults.
    """
    fields = dataclasses.fields(settings)
    texts = {name: text for one in options for name, text in option_texts(one).items()}

    def tell(function: _F) -> _F:
        if function.__doc__ is not None:  # which python -OO leaves out
            entries = [_entry(field, texts[field.name]) for field in fields]
            told = "\n\n".join(["Options, with their defaults:", *entries])
            indented = "\n".join(f"    {line}".rstrip() for line in told.splitlines())
            function.__doc__ = f"{function.__doc__.rstrip()}\n\n{indented}\n    "
        return function

    return tell


def _entry(field: dataclasses.Field[Any], text: str) -> str:
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    return f"{field.name}={_spell_default(field)}\n{lines}"


def _spell_default(field: dataclasses.Field[Any]) -> str:
    if "default" in field.metadata:
        return str(field.metadata["default"])
    made: object = field.default_factory
    if made is not dataclasses.MISSING:
        return f"{getattr(made, '__name__', '...')}()"
    return repr(field.default)


def check_options(
    owner: str,
    options: Mapping[str, object],
    settings: type,
    words: Mapping[str, str],
    *others: str,
) -> None:
    """Raise `TypeError` for options that `settings` does not have.

    `owner`: what was given them, as `serve_endpoint()`.  `words`: what to write instead of the
    words of other libraries.  `others`: keywords of the owner that are not among its `settings`.
    """
    known = [*others, *(field.name for field in dataclasses.fields(settings))]
    fault = unknown_options(owner, options, known, words)
    if fault is not None:
        raise TypeError(fault)

"""The names of what is public: each is told with the path that it is imported from.

`repr()`, tracebacks, pickles and the documentation show where a class is defined.  An app imports
it from elsewhere, from a public package, and a private path may change with each version.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from types import FunctionType
from typing import Any

__all__ = ["publish"]


def publish(namespace: dict[str, Any], names: Iterable[str]) -> None:
    """Say of each class and function among `names` that the package of `namespace` defines it.

    Called at the end of a public package, with its `globals()`.  What another package has
    defined, outside of this one, is left alone.
    """
    package: str = namespace["__name__"]
    for name in names:
        value = namespace[name]
        if not isinstance(value, (type, FunctionType)):
            continue
        if not value.__module__.startswith(f"{package}."):
            continue
        if isinstance(value, type) and "__annotations__" in vars(value):
            # They are texts, which `typing` evaluates among the names of `__module__`.
            hints = typing.get_type_hints(value, include_extras=True)
            own = value.__annotations__
            value.__annotations__ = {one: hints.get(one, text) for one, text in own.items()}
        value.__module__ = package

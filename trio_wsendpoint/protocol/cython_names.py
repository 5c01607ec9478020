"""Stands in for the names of Cython and C that `codec` uses, where `codec` is not compiled.

`codec` is written in Cython's pure-Python mode: annotations and branches use `cython.x`, and
functions of C.  For the interpreter this module has `compiled`, which is False, and decorators
that do nothing; for the type checkers it has all the names.  Cython need not be installed to run,
and its own stand-in takes longer to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

__all__ = ["ccall", "cclass", "cfunc", "compiled", "exceptval"]

_Class = TypeVar("_Class", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Cython says True when it compiles.
compiled: bool = False

if TYPE_CHECKING:
    __all__ += [  # for `import *`
        "PyBUF_WRITABLE",
        "PyBuffer_Release",
        "PyBytes_AsString",
        "PyBytes_FromStringAndSize",
        "PyObject_GetBuffer",
        "Py_buffer",
        "memcpy",
    ]

    # Types, and what is never reached uncompiled.  What C calls a pointer to bytes is bytes.
    Py_ssize_t = int
    uchar = int
    ulonglong = int
    bint = bool
    p_uchar = Any
    void: TypeAlias = None
    NULL: Any
    Py_buffer = Any
    PyBUF_WRITABLE: int

    def address(value: Any) -> Any: ...
    def declare(type: Any, visibility: str = ...) -> Any: ...
    def cast(type: Any, value: Any) -> Any: ...
    def memcpy(target: Any, source: Any, size: int) -> None: ...  # noqa: D103
    def PyBuffer_Release(view: Any) -> None: ...  # noqa: D103, N802
    def PyObject_GetBuffer(value: Any, view: Any, flags: int) -> None: ...  # noqa: D103, N802
    def PyBytes_AsString(value: bytes) -> Any: ...  # noqa: D103, N802
    def PyBytes_FromStringAndSize(data: Any, size: int) -> bytes: ...  # noqa: D103, N802


def cclass(kind: _Class) -> _Class:
    """Mark a class whose attributes are those of C."""
    return kind


def cfunc(function: _Function) -> _Function:
    """Mark a function of C, which only functions of C call."""
    return function


def ccall(function: _Function) -> _Function:
    """Mark a function of C that Python may call as well."""
    return function


def exceptval(check: bool) -> Callable[[_Function], _Function]:
    """Say whether callers of a function of C must check for an exception."""
    del check
    return lambda function: function

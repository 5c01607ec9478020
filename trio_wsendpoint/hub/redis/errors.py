"""Errors of coredis, told as ours: groups are flattened, and passwords kept out."""

from __future__ import annotations

from typing import cast

import coredis.exceptions

from trio_wsendpoint.hub.errors import BackplaneDown, BackplaneError, BackplaneRefused

__all__ = ["REFUSED_LOGINS", "LinkStale", "flatten", "is_passing", "tell"]

#: Answers to a login that no second try makes better.
REFUSED_LOGINS = (
    coredis.exceptions.AuthenticationError,
    coredis.exceptions.AuthorizationError,
)


class LinkStale(BackplaneDown):
    """The server answers, and is not the one any more that this attempt began with."""


def flatten(error: BaseException) -> BaseException:
    """Return the one error that tells most of a group, however deep.

    Ours before those of coredis, these before those of the system.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    leaves = [flatten(one) for one in group.exceptions]
    for kind in (BackplaneError, coredis.exceptions.RedisError, OSError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def tell(error: BaseException, where: object) -> BackplaneError:
    """Return an error of ours for what ended an attempt; its cause is the error itself."""
    first = flatten(error)
    if isinstance(first, BackplaneError):
        return first
    kind = BackplaneRefused if isinstance(first, REFUSED_LOGINS) else BackplaneDown
    told = kind(f"Redis at {where}: {_text(first)}")
    told.__cause__ = first
    return told


def is_passing(error: BaseException) -> bool:
    """Tell whether a command's refusal passes with the server's state: a replica, loading.

    The command has not been executed.
    """
    if isinstance(error, (coredis.exceptions.ReadOnlyError, coredis.exceptions.BusyLoadingError)):
        return True
    return str(error).startswith(("MASTERDOWN", "UNBLOCKED", "LOADING", "READONLY"))


def _text(error: BaseException) -> str:
    """Return what an error says, on one line and escaped: a server's words are in it."""
    text = ascii(str(error))[1:-1][:200]
    cause = error.__cause__
    if cause is not None and not isinstance(cause, BaseExceptionGroup):
        text += f" ({type(cause).__name__}: {ascii(str(cause))[1:-1][:200]})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

"""A client that stays connected: `async with reconnecting_endpoint(url) as channel`.

Every way of leaving the block is legal; when it has been left, nothing of the channel runs.
"""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal, Unpack

import trio

from trio_wsendpoint.client.backoff import Backoff
from trio_wsendpoint.client.keeper import Keeper
from trio_wsendpoint.client.reconnect_settings import (
    ConnectHook,
    Credentials,
    GiveUp,
    ReconnectSettings,
    RetryHook,
)
from trio_wsendpoint.client.reconnecting_connection import ReconnectingConnection
from trio_wsendpoint.client.settings import ConnectOptions
from trio_wsendpoint.connection.closed import ConnectionClosed
from trio_wsendpoint.entries.block_use import BlockUse
from trio_wsendpoint.entries.nurseries import BlockNursery, raise_beside
from trio_wsendpoint.protocol.opcodes import CloseCode

__all__ = ["reconnecting_endpoint"]


def reconnecting_endpoint(
    url: str,
    *,
    backoff: Backoff | None = None,
    credentials: Credentials | None = None,
    on_connect: ConnectHook | None = None,
    on_retry: RetryHook | None = None,
    give_up: GiveUp | None = None,
    max_age: float | None = None,
    max_failures: int | None = None,
    max_elapsed: float | None = None,
    when_away: Literal["wait", "raise"] = "wait",
    waiting_bytes: int = 1024 * 1024,
    hook_timeout: float = 20.0,
    ssl_context: ssl.SSLContext | None = None,
    **options: Unpack[ConnectOptions],
) -> AbstractAsyncContextManager[ReconnectingConnection]:
    """Stay connected to `url` for the length of an `async with` block.

    Entering does not wait for a connection: `wait_connected()` does.  What is worth a retry is
    the table in docs/reconnecting.md; anything else ends the channel with `GaveUp`.

    `backoff`: how long to wait before a try; see `Backoff`.
    `credentials`: `await credentials(attempt)` returns the URL and the headers of each try,
    before it; the headers replace those of the same name in `headers`.
    `on_connect`: `await on_connect(connection, attempt)` runs after each opening, before messages
    flow: to log in, to subscribe, to send again what was not acknowledged.
    `on_retry`: `on_retry(retry)` is called before each wait.
    `give_up`: what goes before the table: `Codes({4000: "later"})` for close codes, or a function
    of the last error, which returns a word of `Codes`, or True (stop), False (later), or None.
    `max_age`: seconds after which a connection is replaced, up to a tenth earlier at random: the
    next one is opened, and has run `on_connect`, before the old one is closed.  Off by default,
    because the peer sends over both for a moment.
    `max_failures`: failures in a row after which it gives up; `max_elapsed`: seconds without a
    healthy connection.  Both are off by default.
    `when_away`: whether `send` waits for a connection or raises `NotConnected`; `waiting_bytes`:
    bytes that calls of `send` may hold while they wait: one more raises `NotConnected`.
    `hook_timeout`: seconds that `credentials`, and `on_connect`, may take.
    `ssl_context` and the other options are as for `connect_endpoint`, `proxy`, `address` and
    `open_stream` among them; the whole of a try takes `Timeouts.open`, `hook_timeout` not counted.

    Raises `InvalidURL`, `ValueError` and `TypeError` for options that make no sense, at once.
    Leaving the block closes the connection as `connect_endpoint` does: with 1000; with 1011 after
    an `Exception`; with 1001, as far as that takes no waiting, if the block was cancelled.  An
    exception of `credentials`, `on_connect`, `on_retry` or `give_up` that says nothing about the
    connection cancels the block and is raised by it.
    """
    return _ReconnectingContext(
        ReconnectSettings(
            url=url,
            backoff=Backoff() if backoff is None else backoff,
            credentials=credentials,
            on_connect=on_connect,
            on_retry=on_retry,
            give_up=give_up,
            max_age=max_age,
            max_failures=max_failures,
            max_elapsed=max_elapsed,
            when_away=when_away,
            waiting_bytes=waiting_bytes,
            hook_timeout=hook_timeout,
            ssl_context=ssl_context,
            options=options,
        )
    )


class _ReconnectingContext(AbstractAsyncContextManager[ReconnectingConnection]):
    """The block of a channel: its tasks live in a nursery that is this block's."""

    def __init__(self, settings: ReconnectSettings) -> None:
        self._settings = settings
        self._block = BlockNursery()
        self._body = trio.CancelScope()
        self._use = BlockUse("a channel is opened once: call the function again for another")
        self._keeper: Keeper

    # A Ctrl-C between the nursery and its tasks would leave it open.
    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> ReconnectingConnection:
        self._use.check_new()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._use.begin()
        nursery = await self._block.enter()
        self._keeper = Keeper(self._settings, nursery, self._body.cancel)
        channel = ReconnectingConnection(self._keeper, self._settings)
        nursery.start_soon(self._keeper.run, name="trio_wsendpoint keeper")
        self._body.__enter__()
        return channel

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        leaving, error = exc, None
        try:
            if self._body.__exit__(exc_type, exc, traceback):
                leaving = None  # it was nothing but the cancellation by a function that failed
        except BaseException as rest:  # noqa: BLE001 - it is raised when the tasks have ended
            leaving = rest
        try:
            await self._end(leaving)
        except BaseException as raised:  # noqa: BLE001 - likewise
            error = raised
        error = await self._block.leave() or error
        raise_beside(leaving, error)
        if leaving is not None and leaving is not exc:
            raise leaving
        return leaving is None

    async def _end(self, leaving: BaseException | None) -> None:
        """Close, and raise what is to leave the block with, or without, `leaving`."""
        keeper = self._keeper
        if leaving is not None and not isinstance(leaving, Exception):
            keeper.abandon()
            return
        try:
            await keeper.close(
                CloseCode.SUCCESS if leaving is None else CloseCode.INTERNAL_ERROR, ""
            )
        except ConnectionClosed:
            # An error says more than the messages that could not be sent.
            if leaving is None and keeper.app_error is None:
                raise
        if keeper.app_error is not None:
            raise keeper.app_error
        end = keeper.untold_end
        if leaving is None and end is not None:
            raise end

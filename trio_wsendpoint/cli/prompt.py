"""The prompt: lines that a user types, with editing and a history, while messages come in.

prompt_toolkit runs an asyncio loop of its own, so the prompt lives in a worker thread.  What the
command writes meanwhile stands above it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import trio
from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

__all__ = ["Prompt", "history_path", "private_file"]


def history_path(environment: dict[str, str] | None = None) -> Path:
    """Return where the history is kept, as the XDG directories have it."""
    found = dict(os.environ) if environment is None else environment
    base = found.get("XDG_STATE_HOME") or str(Path(found.get("HOME", "~")) / ".local" / "state")
    return Path(base).expanduser() / "trio-wsendpoint" / "history"


def private_file(path: Path) -> Path | None:
    """Make `path`, which only its owner may read or write; None if that cannot be."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # one that was there may have been open to others
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return path


class Prompt:
    """Asks for lines until it is cancelled, or the user ends it.

    `on_line` is called in the Trio thread with each line, `on_interrupt` when Ctrl-C was typed
    on an empty line.
    """

    def __init__(
        self,
        history: Path | None,
        *,
        on_line: Callable[[str], object],
        on_interrupt: Callable[[], object],
    ) -> None:
        kept: History = InMemoryHistory() if history is None else FileHistory(str(history))
        self._session: PromptSession[str] = PromptSession(
            "> ", history=kept, key_bindings=_bindings(), erase_when_done=False
        )
        self._on_line = on_line
        self._on_interrupt = on_interrupt
        self._is_over = False  # set by `_stop`, read by the thread

    async def run(self) -> None:
        """Ask until Ctrl-D, or Ctrl-C on an empty line; the terminal is as before afterwards.

        If cancelled, the prompt is taken away first.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stop_when_cancelled)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._ask)
            nursery.cancel_scope.cancel()

    async def _stop_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._stop()

    def _stop(self) -> None:
        self._is_over = True
        loop = self._session.app.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._exit)

    def _exit(self) -> None:
        """Take the prompt away; in its own thread."""
        app = self._session.app
        if app.future is not None and not app.future.done():
            app.exit(exception=EOFError())

    def _ask(self) -> None:
        with patch_stdout(raw=True):
            while not self._is_over:
                try:
                    line = self._session.prompt(pre_run=self._check, handle_sigint=False)
                except EOFError:
                    return
                except KeyboardInterrupt:
                    trio.from_thread.run_sync(self._on_interrupt)
                    return
                trio.from_thread.run_sync(self._on_line, line)

    def _check(self) -> None:
        if self._is_over:
            self._exit()


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("c-c")
    def _interrupt(event: KeyPressEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        buffer = event.app.current_buffer
        if buffer.text:
            buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    return bindings

"""What a server listens on, as it tells."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from trio_wsendpoint.server.listening import addresses, texts_of, urls_of

__all__ = ["Bound"]


class Bound:
    """Listens: `listeners` are what it was given.  Raises `OSError` once they are closed."""

    def __init__(self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]) -> None:
        self.listeners = tuple(listeners)

    @property
    def port(self) -> int:
        """The TCP port that it listens on; raises `ValueError` if no listener has one."""
        for address in addresses(self.listeners):
            return address[1]
        raise ValueError("this server does not listen on a TCP port")

    @property
    def urls(self) -> tuple[str, ...]:
        """A URL for each TCP port it listens on, as `ws://127.0.0.1:8765/`."""
        return urls_of(self.listeners)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each address it listens on, as `tcp:127.0.0.1:8765` or `unix:/run/app.sock`."""
        return texts_of(self.listeners)

    def tell_where(self) -> str:
        """Return where it listens, in few words."""
        try:
            paths = [text for text in self.addresses if text.startswith("unix:")]
            return " ".join([*self.urls, *paths]) or f"{len(self.listeners)} listener(s)"
        except OSError:  # a listener was closed from outside
            return "a listener that is closed"

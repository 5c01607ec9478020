"""One log for the parent and its workers: stderr, or a file that each process appends to."""

from __future__ import annotations

import logging
import logging.handlers

__all__ = ["set_up_log"]


def set_up_log(file: str | None, name: str) -> None:
    """Write records from INFO on to `file`, or to stderr; `name` tells which process writes.

    Does nothing if the app has set up its log: the root logger has a handler.  A record is
    written at once, at the end of the file, so that those of several processes do not mix.  A
    file that was moved or removed is opened anew with the next record.
    """
    if logging.getLogger().handlers:
        return
    form = f"%(asctime)s %(levelname)s {name} (%(process)d) %(name)s: %(message)s"
    handler = logging.StreamHandler() if file is None else logging.handlers.WatchedFileHandler(file)
    logging.basicConfig(format=form, level=logging.INFO, handlers=[handler])

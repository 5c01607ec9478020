"""Draws docs/options.md from the classes that hold the options, and the pictures of the pages.

Run it: python docs/generated.py          (rewrites them)
        python docs/generated.py --check  (only says which are out of date)

Types, defaults and ranges come from the classes, and so do the texts of the keywords.  What happens
at each limit stands in options.toml.  An option without a text is an error.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ForwardRef

import pictures

from trio_wsendpoint import (
    AcceptOptions,
    Backoff,
    Connection,
    ConnectOptions,
    Deflate,
    EndpointServer,
    Heartbeat,
    HttpLimits,
    HttpRequest,
    Limits,
    MessageByteStream,
    MessageChannel,
    Opening,
    ReconnectingConnection,
    SendStream,
    ServeOptions,
    ServerLimits,
    Timeouts,
    __version__,
    connect_endpoint,
    open_listeners,
    reconnecting_endpoint,
    run_endpoint,
    serve_endpoint,
)
from trio_wsendpoint.asgi.settings import AsgiOptions, AsgiSettings
from trio_wsendpoint.client.settings import ConnectSettings
from trio_wsendpoint.entries.option_texts import option_texts
from trio_wsendpoint.hub import Block, Close, DropNewest, DropOldest, History, Hub, Latest, open_hub
from trio_wsendpoint.hub.redis import RedisBackplane
from trio_wsendpoint.opening.settings import ConnectionOptions
from trio_wsendpoint.server.settings import ServeSettings
from trio_wsendpoint.workers import WorkersOptions, serve_workers
from trio_wsendpoint.workers.settings import WorkersSettings

HERE = Path(__file__).parent
PAGE = HERE / "options.md"
TEXTS: dict[str, dict[str, dict[str, str]]] = tomllib.loads((HERE / "options.toml").read_text())

#: Each group, and what it is for.
GROUPS: dict[type, str] = {
    Limits: "How much one connection may hold. Pass `limits=Limits(...)` to any function.",
    Timeouts: "How long a connection waits. Pass `timeouts=Timeouts(...)` to any function.",
    Heartbeat: "When a silent peer is pinged, and given up. Pass `heartbeat=Heartbeat(...)`.",
    Deflate: "Compression, if the peer agrees; off unless you pass `deflate=Deflate(...)`.",
    ServerLimits: "How much a server takes on. Pass `server_limits=ServerLimits(...)` to it.",
    HttpLimits: "How much a plain request may bring. Pass `http=HttpLimits(...)` to a server.",
    Backoff: "How long a client waits before it connects again. Pass `backoff=Backoff(...)`.",
    History: "How much of each topic a hub keeps. Pass `history=History(...)`.",
    Block: "A hub's publisher waits for this subscriber. Pass `policy=Block(...)`.",
    DropOldest: "A slow subscriber of a hub loses what has waited longest. The default policy.",
    DropNewest: "A slow subscriber of a hub loses what comes. Pass `policy=DropNewest(...)`.",
    Latest: "A slow subscriber of a hub gets the newest of each key. Pass `policy=Latest(...)`.",
    Close: "A slow subscriber of a hub is cut. Pass `policy=Close(...)`.",
}
#: What an app calls and may cancel.
CANCELLED: tuple[Any, ...] = (
    *(Connection, SendStream, MessageChannel, MessageByteStream, ReconnectingConnection),
    *(EndpointServer, Opening, HttpRequest, Hub, run_endpoint, open_listeners),
)
#: Each class of keywords, what takes them, and the class that has their defaults.
KEYWORDS: dict[type, tuple[str, type]] = {
    ConnectionOptions: ("Every function takes these.", ServeSettings),
    AcceptOptions: (
        "`accept_endpoint`, `serve_endpoint` and `run_endpoint` take these in addition.",
        ServeSettings,
    ),
    ServeOptions: ("`serve_endpoint` and `run_endpoint` take these in addition.", ServeSettings),
    ConnectOptions: (
        "`connect_endpoint` and `reconnecting_endpoint` take these in addition.",
        ConnectSettings,
    ),
    AsgiOptions: (
        "`AsgiApp` takes these; `serve_asgi` and `run_asgi` take them, and those of a server.",
        AsgiSettings,
    ),
    WorkersOptions: (
        "`serve_workers` takes these; `worker.serve` takes those of `serve_endpoint`.",
        WorkersSettings,
    ),
}
TITLES: dict[type, str] = {
    ConnectionOptions: "Keywords of every connection",
    AcceptOptions: "Keywords of a server",
    ServeOptions: "Keywords of a server that listens",
    ConnectOptions: "Keywords of a client",
    AsgiOptions: "Keywords of an ASGI application",
    WorkersOptions: "Keywords of several processes",
}
HEAD = """\
# Options

Every option of the library, on one page. Sizes are bytes, times are seconds. The
groups are frozen classes that check themselves when they are made: a value out of range raises
`ValueError`, an unknown name `TypeError` with what to write instead.

`docs/generated.py` draws this page from the classes; a test compares them. [limits.md](limits.md)
explains the limits, and what they cost in memory.

```python
from trio_wsendpoint import Heartbeat, Limits, Timeouts, serve_endpoint


async def handler(connection):
    await connection.wait_closed()


server = serve_endpoint(
    handler,
    8765,
    limits=Limits(message_size=65536),
    timeouts=Timeouts(write=5),
    heartbeat=Heartbeat(interval=25),
)
```
"""


def type_of(annotation: object) -> str:
    """Return a type as it is written, without the modules of its names."""
    text = str(annotation)
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        text = annotation.__qualname__
    elif isinstance(annotation, ForwardRef):
        text = annotation.__forward_arg__
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=\w)", "", text.replace("NoneType", "None"))


def default_of(field: dataclasses.Field[Any]) -> str:
    """Return the default of an option as an app would write it."""
    if "default" in field.metadata:
        return str(field.metadata["default"])
    made: object = field.default_factory
    if made is not dataclasses.MISSING:
        return f"{getattr(made, '__name__', '...')}()"
    return repr(int(field.default) if isinstance(field.default, enum.IntEnum) else field.default)


def range_of(group: type, name: str) -> str:
    """Return the least and the most whole number that an option takes, by trying."""

    def is_taken(value: float) -> bool:
        try:
            group(**{name: value})
        except (TypeError, ValueError):
            return False
        return True

    if not any(is_taken(value) for value in (100, 8, 12)) or is_taken_as_bool(group, name):
        return ""
    whole = [value for value in range(-1, 200) if is_taken(value)]
    least = f"more than {max(0, whole[0] - 1)}" if is_taken(whole[0] - 0.5) else f"{whole[0]}"
    return (
        f"{least} to {whole[-1]}"
        if whole[-1] < 199
        else f"{least} or more".replace("more than 0 or more", "more than 0")
    )


def is_taken_as_bool(group: type, name: str) -> bool:
    """Tell whether an option is a flag."""
    return isinstance(getattr(group(), name), bool)


def rows_of_group(group: type) -> Iterator[str]:
    """Yield the rows of a group: a missing text is a `KeyError`."""
    texts = TEXTS[group.__name__]
    yield "| option | default; type | unit | at the limit, the peer sees | the app gets |"
    yield "|---|---|---|---|---|"
    types = inspect.get_annotations(group) or inspect.get_annotations(group.__mro__[1])
    for field in dataclasses.fields(group):
        text = texts[field.name]
        values = f"`{type_of(types[field.name])}`, {range_of(group, field.name)}".rstrip(", ")
        cells = (
            f"`{field.name}`",
            f"`{default_of(field)}`; {values}",
            *(text[name] for name in ("unit", "peer", "app")),
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def rows_of_keywords(options: type, settings: type) -> Iterator[str]:
    """Yield the rows of a class of keywords: a missing text is a `KeyError`."""
    texts = option_texts(options)
    defaults = {field.name: default_of(field) for field in dataclasses.fields(settings)}
    yield "| option | type | default | |"
    yield "|---|---|---|---|"
    told = {name for one in KEYWORDS for name in option_texts(one)}
    for name, annotation in options.__annotations__.items():
        # What it inherits is told where it comes from.
        if name in texts or name not in told:
            default = defaults[name].replace(__version__, "VERSION")
            yield row(name, type_of(annotation), default, texts[name])


def rows_of_function(function: Any, *skipped: str) -> Iterator[str]:
    """Yield the rows of the keywords that a function has itself."""
    told = {name: one["text"] for name, one in TEXTS.get(function.__name__, {}).items()}
    texts = told or {
        name: text.partition("\n\n")[0] for name, text in option_texts(function).items()
    }
    yield "| option | type | default | |"
    yield "|---|---|---|---|"
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD or name in skipped:
            continue
        default = "" if parameter.default is parameter.empty else repr(parameter.default)
        yield row(name, str(parameter.annotation), default, texts[name])


def row(name: str, kind: str, default: str, text: str) -> str:
    """Return one row, with what a table does not allow taken care of."""
    cells = [f"`{name}`", f"`{kind}`", f"`{default}`" if default else "", " ".join(text.split())]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def render() -> str:
    """Return the page."""
    parts = [HEAD]
    for group, purpose in GROUPS.items():
        parts += [f"## `{group.__name__}`", "", purpose, ""]
        parts += [*rows_of_group(group), ""]
    for options, (purpose, settings) in KEYWORDS.items():
        parts += [
            f"## {TITLES[options]}",
            "",
            purpose,
            "",
            *rows_of_keywords(options, settings),
            "",
        ]
    parts += ["## Arguments of `serve_endpoint` and `run_endpoint`", ""]
    parts += [*rows_of_function(serve_endpoint), ""]
    parts += ["## Arguments of `connect_endpoint`", ""]
    parts += [*rows_of_function(connect_endpoint, "url"), ""]
    parts += ["## Arguments of `reconnecting_endpoint`", ""]
    parts += [*rows_of_function(reconnecting_endpoint, "url"), ""]
    parts += ["## Argument of `serve_workers`", ""]
    parts += [*rows_of_function(serve_workers), ""]
    parts += ["## Arguments of `open_hub`", ""]
    parts += [*rows_of_function(open_hub), ""]
    parts += ["## Arguments of `RedisBackplane`", ""]
    parts += [*rows_of_function(RedisBackplane), ""]
    return "\n".join(parts)


def put_in(page: str, name: str, content: str) -> str:
    """Return a page with something in the place that it has for it."""
    before, begin, rest = page.partition(f"<!-- generated: {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if not begin or not end:
        raise ValueError(f"there is no place for the {name}")
    return f"{before}{begin}{content}{end}{after}"


def table_of_cancelled() -> str:
    """Return what each async call says that it does if it is cancelled."""
    rows = ["| call | if cancelled |", "|---|---|"]
    for owner in CANCELLED:
        for name, value in vars(owner).items() if inspect.isclass(owner) else [("", owner)]:
            function = inspect.unwrap(value) if callable(value) else None
            if name.startswith("_") or not inspect.iscoroutinefunction(function):
                continue
            docstring = inspect.getdoc(function) or ""
            told = re.search(r"^If cancelled: (.*?)^Raises: ", docstring, re.MULTILINE | re.DOTALL)
            if told is None:
                raise ValueError(f"{owner.__name__}.{name} does not say what happens")
            called = f"{owner.__name__}.{name}".rstrip(".")
            rows.append(f"| `{called}()` | {' '.join(told[1].split())} |")
    return "\n".join([*rows, ""])


def main(arguments: list[str]) -> str | None:
    """Rewrite what is drawn, or check it; return what is wrong."""
    made = {PAGE: render()}
    for name, of, content in (
        ("closing.md", "table", pictures.table_of_closing()),
        ("cancellation.md", "cancelled", table_of_cancelled()),
    ):
        made[HERE / name] = put_in((HERE / name).read_text(), of, content)
    made |= {HERE / name: drawn for name, drawn in pictures.pictures().items()}
    stale = [path for path, content in made.items() if read(path) != content]
    if arguments == ["--check"]:
        names = ", ".join(path.name for path in stale)
        return f"out of date: {names}: run python {__file__}" if stale else None
    for path in stale:
        path.write_text(made[path])
    return None


def read(path: Path) -> str:
    """Return what a file holds, if there is one."""
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

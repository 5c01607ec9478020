"""Draws the pictures of the pages, as SVG: two tables of states, the layers, a connection.

`generated.py` writes and compares them.  The closing tables are those that the library runs by;
the layers are those that tests/test_layers.py holds the imports to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from html import escape
from typing import TypeVar

from trio_wsendpoint.protocol import closing
from trio_wsendpoint.session import phases

_State = TypeVar("_State", bound=Enum)
_Event = TypeVar("_Event", bound=Enum)

STYLE = """\
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.name { font-weight: 600 } .soft { fill: #57606a; font-size: 12px }
.page { fill: #ffffff } .box { fill: #f3f5f7; stroke: #9aa7b4 }
.task { fill: #e3f4f1; stroke: #0a7d6e } .line { fill: none; stroke: #57606a; stroke-width: 1.3 }
.dashed { stroke-dasharray: 4 3 } .head { fill: #57606a }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .soft { fill: #9da7b3 }
.page { fill: #0d1117 } .box { fill: #1b222b; stroke: #6b7785 }
.task { fill: #10302c; stroke: #2fc4ad } .line { stroke: #9da7b3 } .head { fill: #9da7b3 }
}"""
HEAD = (
    '<marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
    '<path class="head" d="M0 0L9 4L0 8z"/></marker>'
)
#: Room of a row, and of the way that one arrow takes beside the others.
ROW, LANE = 24, 14
#: The layers, the highest first, and whether a part of them imports Trio.
LAYERS: list[tuple[list[str], bool]] = [
    (["cli"], True),
    (["workers"], True),
    (["testing", "tls", "metrics", "asgi", "hub"], True),
    (["server", "client"], True),
    (["opening"], True),
    (["connection"], True),
    (["entries", "channels"], True),
    (["session", "transport", "http", "addressing"], False),
    (["extensions", "handshake"], False),
    (["protocol"], False),
    (["errors", "options"], False),
]


def picture(title: str, width: float, height: float, parts: list[str]) -> str:
    """Return an SVG that is readable on a light page and on a dark one."""
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
                f'role="img">'
            ),
            f"<title>{escape(title)}</title>",
            f"<style>\n{STYLE}\n</style>",
            f"<defs>{HEAD}</defs>",
            f'<rect class="page" width="{width:g}" height="{height:g}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Return one line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "box") -> str:
    """Return a box; a task is one with round ends."""
    radius = min(height / 2, 16) if kind == "task" else 5
    return (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'rx="{radius:g}"/>'
    )


def arrow(*points: tuple[float, float], kind: str = "line") -> str:
    """Return an arrow along some points."""
    way = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline class="{kind}" points="{way}" marker-end="url(#head)"/>'


# ---- a table of states -------------------------------------------------------------------------


def arrows_of(
    transitions: Mapping[_State, Mapping[_Event, _State]],
) -> list[tuple[_State, _State, str]]:
    """Return each arrow of a table: one for all the events that lead to the same state."""
    found: list[tuple[_State, _State, str]] = []
    for state, row in transitions.items():
        for target in dict.fromkeys(row.values()):
            events = [event.value for event, other in row.items() if other is target]
            found.append((state, target, ", or ".join(events)))
    return found


def draw_states(title: str, transitions: Mapping[_State, Mapping[_Event, _State]]) -> str:
    """Return the picture of a table: the states in a column, the first is where it begins.

    An arrow leaves its state to the right, with its events written on it, and comes back below.
    """
    arrows = arrows_of(transitions)
    places = list(transitions)
    left, right, words = 20, 150, 310
    tops: dict[_State, float] = {}
    y = 20.0
    for state in places:
        tops[state] = y
        arrows_here = sum((one is state) + (other is state) for one, other, _ in arrows)
        y += ROW * max(2, arrows_here) + ROW * 0.75
    parts = [box(left, tops[one], right - left, heights(one, arrows)) for one in places]
    for state in places:
        middle = tops[state] + heights(state, arrows) / 2 + 4
        parts.append(text((left + right) / 2, middle, state.value, "name", "middle"))
    # The longest arrows take the ways at the edge.
    ordered = sorted(arrows, key=lambda one: places.index(one[1]) - places.index(one[0]))
    lanes = {arrow: right + words + LANE * number for number, arrow in enumerate(ordered)}
    # Arrows that come take the upper rows of a state, those that leave it the lower ones.
    rows = dict.fromkeys(places, 0)
    ends: dict[tuple[_State, _State, str], float] = {}
    for one in arrows:
        ends[one] = tops[one[1]] + ROW * (rows[one[1]] + 0.5)
        rows[one[1]] += 1
    for one in arrows:
        start = tops[one[0]] + ROW * (rows[one[0]] + 0.5)
        rows[one[0]] += 1
        lane = lanes[one]
        parts.append(arrow((right, start), (lane, start), (lane, ends[one]), (right, ends[one])))
        parts.append(text(right + 10, start - 6, one[2], "soft"))
    return picture(title, right + words + LANE * len(arrows) + 10, y, parts)


def heights(state: _State, arrows: list[tuple[_State, _State, str]]) -> float:
    """Return the height of a state's box: a row for each arrow that comes or leaves."""
    return ROW * max(2, sum((one is state) + (other is state) for one, other, _ in arrows))


def table_of_closing() -> str:
    """Return the closing table as text: a row for each state, a column for each event."""
    events = list(closing.Event)
    lines = ["| state | " + " | ".join(event.value for event in events) + " |"]
    lines.append("|---" * (len(events) + 1) + "|")
    for state, row in closing.TRANSITIONS.items():
        # What an event does in a state without an entry for it: rule 3 of the module.
        nothing = {closing.Event.WE_CLOSE: "`EndpointClosed`"}
        cells = [
            f"**{row[event].value}**" if event in row else nothing.get(event, "nothing")
            for event in events
        ]
        lines.append(f"| **{state.value}** | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


# ---- the layers --------------------------------------------------------------------------------


def draw_layers() -> str:
    """Return the picture of the layers: imports point down."""
    height, width, left = 40, 620, 20
    parts: list[str] = []
    for number, (units, imports_trio) in enumerate(LAYERS):
        y = 20 + number * (height + 8)
        step = (width - 130) / len(units)
        for place, unit in enumerate(units):
            x = left + place * step
            kind = "task" if imports_trio or unit == "transport" else "box"
            parts.append(box(x, y, step - 8, height, kind).replace('rx="16"', 'rx="5"'))
            parts.append(text(x + (step - 8) / 2, y + 25, unit, "name", "middle"))
    bottom = 20 + len(LAYERS) * (height + 8)
    x = left + width - 100
    parts.append(arrow((x, 20), (x, bottom - 12)))
    parts += [text(x + 12, 40, "imports", "soft"), text(x + 12, 56, "point down", "soft")]
    parts.append(box(left, bottom + 4, 16, 14, "task").replace('rx="7"', 'rx="3"'))
    parts.append(text(left + 24, bottom + 16, "imports Trio", "soft"))
    parts.append(box(left + 130, bottom + 4, 16, 14))
    parts.append(text(left + 154, bottom + 16, "runs without Trio: no I/O, no waiting", "soft"))
    return picture("The layers of the library", width + 40, bottom + 34, parts)


# ---- a connection ------------------------------------------------------------------------------


def draw_connection() -> str:
    """Return the picture of a connection: what it holds, and which task moves it."""
    parts = [
        box(20, 30, 90, 250),
        text(65, 145, "the stream", "name", "middle"),
        text(65, 163, "and the peer", "soft", "middle"),
        box(640, 30, 90, 250),
        text(685, 145, "the app", "name", "middle"),
        text(685, 163, "your tasks", "soft", "middle"),
    ]
    rows: Iterator[tuple[float, str, str, str, str, str, bool]] = iter(
        [
            (30, "reader task", "reads", "inbox", "Limits.receive_buffer", "receive()", True),
            (210, "writer task", "writes", "write queue", "Limits.send_buffer", "send()", False),
        ]
    )
    for y, task, does, queue, bound, call, comes in rows:
        parts += [
            box(190, y, 130, 44, "task"),
            text(255, y + 27, task, "name", "middle"),
            box(400, y, 150, 44),
            text(475, y + 19, queue, "name", "middle"),
            text(475, y + 36, bound, "soft", "middle"),
            text(150, y + 14, does, "soft", "middle"),
            text(595, y + 14, call, "soft", "middle"),
            text(360, y + 14, "messages" if comes else "frames", "soft", "middle"),
        ]
        for start, end in ((110, 190), (320, 400), (550, 640)):
            first, last = ((start, y + 22), (end, y + 22))
            parts.append(arrow(first, last) if comes else arrow(last, first))
    parts += [
        box(190, 120, 130, 44, "task"),
        text(255, 147, "heartbeat task", "name", "middle"),
        box(400, 120, 150, 44),
        text(475, 139, "deadlines", "name", "middle"),
        text(475, 156, "Timeouts, Heartbeat", "soft", "middle"),
        arrow((400, 142), (320, 142)),
        arrow((255, 164), (255, 210)),
        text(263, 191, "pings, closes", "soft"),
        arrow((290, 74), (400, 210), kind="line dashed"),
        text(352, 112, "pongs", "soft"),
        box(190, 270, 130, 30, "task"),
        text(255, 290, "finisher task", "name", "middle"),
        arrow((190, 285), (110, 270)),
        text(334, 290, "ends and closes the stream", "soft"),
    ]
    return picture("A connection: its tasks and its queues", 750, 320, parts)


def pictures() -> dict[str, str]:
    """Return each picture by the name of its file."""
    return {
        "closing-states.svg": draw_states("How an endpoint closes", closing.TRANSITIONS),
        "closing-phases.svg": draw_states("What becomes of the stream", phases.TRANSITIONS),
        "layers.svg": draw_layers(),
        "connection.svg": draw_connection(),
    }

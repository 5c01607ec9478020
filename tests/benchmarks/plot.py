"""Results as an SVG: a panel of bars for each work, and two of lines for many connections.

It brings its own background, light or dark as the reader's system is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from tests.benchmarks.peers import FLOORS, PEERS, TITLES
from tests.benchmarks.report import number
from tests.benchmarks.results import Results
from tests.benchmarks.works import REGIMES, SCALING, WORKS, Regime, Work

COLUMNS = 3
WIDTH, PAD = 380, 20  # of a panel, and around it
LABEL, VALUE = 178, 48  # room for a server's name, and for its figure
BAR, SPACE, GAP, HEAD = 9, 2, 8, 38  # a bar's height, what is between two, between servers
TOP = 70
HEIGHT = 260  # of a panel of lines

#: Its height, and its lines of SVG.
Panel = tuple[int, list[str]]

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
.value { font-size: 10px } .soft { fill: #57606a }
.title { font-weight: 600 } .head { font-size: 17px; font-weight: 600 }
.page { fill: #ffffff } .grid { stroke: #d0d7de } line, polyline { fill: none; stroke-width: 1 }
.ours { fill: #0a7d6e } .peer { fill: #9aa7b4 } .floor { fill: #d3dae1 }
.two { fill-opacity: 0.5 } text.ours { font-weight: 600 }
.s-ours { stroke: #0a7d6e; stroke-width: 2.5 } .s-peer { stroke: #9aa7b4; stroke-width: 2 }
.s-floor { stroke: #b4bec8; stroke-width: 2; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .soft { fill: #9da7b3 }
.page { fill: #0d1117 } .grid { stroke: #30363d }
.ours { fill: #2fc4ad } .peer { fill: #6b7785 } .floor { fill: #414a55 }
.s-ours { stroke: #2fc4ad } .s-peer { stroke: #7d8996 } .s-floor { stroke: #5a6572 }
}
"""


def draw(results: Results) -> str:
    """Return the plot; a work, or a server, that was not measured is not on it."""
    panels = [_bars(results, work) for work in WORKS if results.works.get(work.key)]
    panels += [_lines(results, regime) for regime in REGIMES if _scaling(results, regime)]
    body: list[str] = []
    y = TOP
    for first in range(0, len(panels), COLUMNS):
        row = panels[first : first + COLUMNS]
        for column, (_, lines) in enumerate(row):
            x = PAD + column * (WIDTH + PAD)
            body += [f'<g transform="translate({x} {y})">', *lines, "</g>"]
        y += max(height for height, _ in row) + PAD
    width = COLUMNS * (WIDTH + PAD) + PAD
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" role="img">',
        "<title>Server CPU for one message, by work and server</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{y}" rx="8"/>',
        _text(PAD, 32, "Server CPU for one message, in µs: shorter is better", "head"),
        _text(PAD, 52, "medians; dark: server and load on one core, light: on two", "soft"),
    ]
    return "\n".join([*head, *body, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text {place} class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _kind(peer: str) -> str:
    if peer.startswith("ours"):
        return "ours"
    return "floor" if peer in FLOORS else "peer"


def _emphasis(peer: str) -> str:
    return "ours" if peer == "ours" else ""


# ---- bars ----------------------------------------------------------------------------------------


def _bars(results: Results, work: Work) -> Panel:
    """Draw a server below the other, with a bar for each regime."""
    name = "kib" if work.is_memory else "cpu"
    figures = {
        peer.key: {
            regime: value
            for regime in REGIMES
            if (value := results.median(work.key, regime, peer.key, name)) is not None
        }
        for peer in PEERS
    }
    most = max((value for found in figures.values() for value in found.values()), default=0.0)
    title = f"{_short(work.title)}, KiB" if work.is_memory else work.title
    lines = [_text(0, 22, title, "title")]
    y = HEAD
    for peer, found in figures.items():
        if not found:
            continue
        lines.append(_text(LABEL - 8, y + 10, TITLES[peer], _emphasis(peer), "end"))
        for regime, value in found.items():
            length = max((WIDTH - LABEL - VALUE) * value / (most or 1.0), 1.5)
            lines.append(
                f'<rect class="{_kind(peer)} {regime}" x="{LABEL}" y="{y}"'
                f' width="{length:.1f}" height="{BAR}" rx="2"/>'
            )
            lines.append(_text(LABEL + length + 5, y + BAR - 0.5, number(max(value, 0)), "value"))
            y += BAR + SPACE
        y += GAP
    return y, lines


def _short(title: str) -> str:
    return title if len(title) < 50 else "stays of 1,000 closed connections"


# ---- lines ---------------------------------------------------------------------------------------


def _scaling(results: Results, regime: Regime) -> dict[str, list[float]]:
    """Return the CPU of the servers that were measured with each number of connections."""
    lines = {
        peer: [
            value for work in SCALING if (value := results.median(work, regime, peer)) is not None
        ]
        for peer in TITLES
    }
    return {peer: values for peer, values in lines.items() if len(values) == len(SCALING)}


def _lines(results: Results, regime: Regime) -> Panel:
    """Draw the cost against the number of connections, both in powers of ten."""
    return HEIGHT, list(_draw_lines(results, regime))


def _draw_lines(results: Results, regime: Regime) -> Iterator[str]:
    counts = [work.connections for work in WORKS if work.key in SCALING]
    lines = _scaling(results, regime)
    most = max(max(values) for values in lines.values()) * 1.2
    least = min(min(values) for values in lines.values()) / 1.3
    left, right, top, bottom = 40, WIDTH - 128, HEAD, HEIGHT - 30

    def x_of(count: float) -> float:
        return left + (right - left) * math.log(count) / math.log(counts[-1])

    def y_of(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / least) / math.log(most / least)

    yield _text(0, 22, f"125 B by number of connections, {REGIMES[regime]}", "title")
    for value in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if least < value < most:
            y = y_of(value)
            yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield _text(left - 6, y + 4, str(value), "soft", "end")
    for count in counts:
        yield _text(x_of(count), bottom + 18, f"{count:,}", "soft", "middle")
    for peer, values in lines.items():
        points = " ".join(
            f"{x_of(count):.1f},{y_of(value):.1f}"
            for count, value in zip(counts, values, strict=True)
        )
        yield f'<polyline class="s-{_kind(peer)}" points="{points}"/>'
    ends = sorted((y_of(values[-1]), peer) for peer, values in lines.items())
    lowest = -math.inf
    for y, peer in ends:  # names that would overlap move down
        lowest = max(y + 4, lowest + 14)
        yield _text(right + 6, lowest, TITLES[peer], _emphasis(peer))

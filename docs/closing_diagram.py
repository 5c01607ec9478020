"""Draws the pictures and the table of docs/closing.md from the tables that the library runs by.

Run it: python docs/closing_diagram.py          (rewrites the page)
        python docs/closing_diagram.py --check  (only says whether the page is up to date)
"""

import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TypeVar

from trio_wsendpoint.protocol.closing import TRANSITIONS, Event
from trio_wsendpoint.session import phases

PAGE = Path(__file__).with_name("closing.md")
BEGIN, END = "<!-- generated: {} -->\n", "<!-- end of {} -->\n"


_State = TypeVar("_State", bound=Enum)
_Event = TypeVar("_Event", bound=Enum)


def draw(transitions: Mapping[_State, Mapping[_Event, _State]]) -> str:
    """Return the diagram of a table, as Mermaid draws it; the first state is where it begins."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {state.name}: {state.value}" for state in transitions]
    lines += [f"    [*] --> {next(iter(transitions)).name}"]
    for state, row in transitions.items():
        # One arrow for all the events that lead to the same place.
        events: dict[_State, list[str]] = {}
        for event, following in row.items():
            events.setdefault(following, []).append(event.value)
        lines += [
            f"    {state.name} --> {following.name}: {', or '.join(names)}"
            for following, names in events.items()
        ]
        if not row:
            lines += [f"    {state.name} --> [*]"]
    return "\n".join([*lines, "```", ""])


def table() -> str:
    """Return the table: a row for each state, a column for each event."""
    lines = [
        "| state | " + " | ".join(event.value for event in Event) + " |",
        "|---" * (len(Event) + 1) + "|",
    ]
    for state, row in TRANSITIONS.items():
        cells = [f"**{row[event].value}**" if event in row else refusal(event) for event in Event]
        lines.append(f"| **{state.value}** | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def refusal(event: Event) -> str:
    """Say what an event does in a state that has no entry for it: rule 3 of the module."""
    return "`EndpointClosed`" if event is Event.WE_CLOSE else "nothing"


def render(page: str) -> str:
    """Return the page with what is generated in its places."""
    for name, content in (
        ("diagram", draw(TRANSITIONS)),
        ("table", table()),
        ("phases", draw(phases.TRANSITIONS)),
    ):
        before, begin, rest = page.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        if not begin or not end:
            raise ValueError(f"{PAGE.name} has no place for the {name}")
        page = f"{before}{begin}{content}{end}{after}"
    return page


def main(arguments: list[str]) -> str | None:
    """Rewrite the page, or check it; return what is wrong."""
    page = PAGE.read_text()
    if arguments == ["--check"]:
        return None if page == render(page) else f"{PAGE.name} is out of date: run {__file__}"
    PAGE.write_text(render(page))
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

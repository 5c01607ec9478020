"""Draws the pictures and tables of docs/closing.md from the tables that the library runs by.

Run it: python docs/closing_diagram.py          (rewrites the page)
        python docs/closing_diagram.py --check  (only says whether the page is up to date)
"""

import sys
from pathlib import Path

from trio_wsendpoint.protocol.closing import TRANSITIONS, Event, State
from trio_wsendpoint.session import phases
from trio_wsendpoint.session.phases import Change

PAGE = Path(__file__).with_name("closing.md")
BEGIN, END = "<!-- generated: {} -->\n", "<!-- end of {} -->\n"


def diagram() -> str:
    """Return the state diagram, as Mermaid draws it."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {state.name}: {state.value}" for state in State]
    lines += [f"    [*] --> {State.OPEN.name}"]
    for state, row in TRANSITIONS.items():
        # One arrow for all the events that lead to the same place.
        events: dict[State, list[str]] = {}
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


def phase_diagram() -> str:
    """Return the picture of the phases of a connection, as Mermaid draws it."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> open"]
    for phase, row in phases.TRANSITIONS.items():
        lines += [
            f"    {phase.value} --> {after.value}: {change.value}" for change, after in row.items()
        ]
        if not row:
            lines += [f"    {phase.value} --> [*]"]
    return "\n".join([*lines, "```", ""])


def phase_table() -> str:
    """Return the table: a row for each phase, a column for each change."""
    lines = [
        "| phase | " + " | ".join(change.value for change in Change) + " |",
        "|---" * (len(Change) + 1) + "|",
    ]
    for phase, row in phases.TRANSITIONS.items():
        cells = [f"**{row[change].value}**" if change in row else "nothing" for change in Change]
        lines.append(f"| **{phase.value}** | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def render(page: str) -> str:
    """Return the page with what is generated in its places."""
    drawn = {
        "diagram": diagram(),
        "table": table(),
        "phase diagram": phase_diagram(),
        "phase table": phase_table(),
    }
    for name, content in drawn.items():
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

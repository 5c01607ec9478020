"""What the doctor finds: a grade, a subject, what was seen, why, and what to change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trio_wsendpoint.cli.escaping import escaped
from trio_wsendpoint.cli.outcome import Status

__all__ = ["SUBJECTS", "Finding", "Grade"]

#: What is looked at, in this order; `--only` takes these words.
SUBJECTS = (
    "name",
    "TCP",
    "TLS",
    "opening",
    "subprotocol",
    "compression",
    "ping",
    "close",
    "idle",
    "size",
    "load",
    "rules",
)


class Grade(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; its texts may hold a peer's.  `status` is that of a failure."""

    grade: Grade
    subject: str
    text: str
    why: str | None = None
    change: str | None = None
    status: Status = Status.DONE

    def lines(self) -> list[str]:
        """Return it for a screen: one line, and one each for why and what to change."""
        rows = [(self.grade.value, self.subject, self.text)]
        rows += [
            ("", word, text) for word, text in (("why", self.why), ("change", self.change)) if text
        ]
        return [f"{grade:<5} {word:<12} {escaped(text)}" for grade, word, text in rows]

    def facts(self) -> dict[str, object]:
        """Return it for an event."""
        return {
            "grade": self.grade.value,
            "subject": self.subject,
            "text": self.text,
            "why": self.why,
            "change": self.change,
        }

"""The corpus: a text file for each target, an input a line, in base64 and sorted."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def load(target: str) -> list[bytes]:
    """Return the inputs of `target`."""
    path = CORPUS / f"{target}.txt"
    lines = path.read_text().split() if path.exists() else []
    return [base64.b64decode(line) for line in lines]


def save(target: str, inputs: Iterable[bytes]) -> None:
    """Write the inputs of `target`, each once, the short ones first."""
    unique = sorted(set(inputs), key=lambda data: (len(data), data))
    lines = [base64.b64encode(data).decode() for data in unique]
    (CORPUS / f"{target}.txt").write_text("".join(line + "\n" for line in lines))

"""Runs the programs of the pages and writes what they print below them.

python -m tests.pages          (rewrites the blocks of text)
python -m tests.pages --check  (only says which are out of date)
"""

from __future__ import annotations

import logging
import sys

from tests.pages.blocks import BLOCKS, ROOT, is_shown


def main(arguments: list[str]) -> str | None:
    """Rewrite the pages, or check them; return what is wrong."""
    logging.getLogger().addHandler(logging.NullHandler())  # no `basicConfig` of a page adds one
    wrong: list[str] = []
    # Backwards, so that no block moves before its turn.
    for block in reversed([one for one in BLOCKS if one.is_run_here]):
        printed = block.prints()
        if is_shown(block.shown, printed):
            continue
        wrong.append(f"{block} prints {printed!r}")
        if arguments != ["--check"]:
            path = ROOT / block.page
            start = block.example.region.end
            end = block.output.end() if block.output else start
            text = path.read_text()
            path.write_text(f"{text[:start]}\n\n```text\n{printed}```{text[end:]}")
    return "\n".join(wrong) if arguments == ["--check"] and wrong else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The scenarios by name, and what each is struck with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.torture import closing, opening, receiving, sending, serving
from trio_wsendpoint.testing import KINDS, Kind, Report, cancel_at_every_checkpoint
from trio_wsendpoint.testing.runs import Scenario

SCENARIOS: dict[str, Scenario] = {
    name: getattr(module, name)
    for module in (sending, receiving, closing, opening, serving)
    for name in module.__all__
}

#: A server's connections are its own: there is none of which an internal task could be cancelled.
SERVERS = {"serve_and_leave", "shutdown_under_load", "close_a_server", "handler_is_struck"}


def kinds(name: str) -> tuple[Kind, ...]:
    """Return what a scenario is struck with."""
    return KINDS[:4] if name in SERVERS else KINDS


def torture(
    name: str,
    seed: int,
    *,
    nonblocking: bool,
    inject: Sequence[Kind] | None = None,
    keep_going: bool = False,
) -> Report:
    """Strike one scenario everywhere, in the schedule of one seed; with everything by default."""
    return cancel_at_every_checkpoint(
        SCENARIOS[name],
        seeds=[seed],
        inject=kinds(name) if inject is None else inject,
        nonblocking=nonblocking,
        keep_going=keep_going,
    )


def all_runs(seeds: Iterable[int]) -> Iterator[tuple[str, int, bool]]:
    """Yield name, seed and form of everything there is to do."""
    for seed in seeds:
        for name in SCENARIOS:
            for nonblocking in (False, True):
                yield name, seed, nonblocking

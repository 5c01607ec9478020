"""The same bytes to three implementations; what differs has to be on the list of divergences."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
from hypothesis import given

from tests.protocol.wire import cut, cut_places, examples

from .divergences import DIVERGENCES, Divergence, Peer, explain
from .ours import run_ours
from .outcome import Case, Outcome, Run
from .strategies import arbitrary_cases, deflate_cases, mutated_cases, valid_cases
from .table import TABLE, Row
from .theirs_websockets import run_websockets
from .theirs_wsproto import run_wsproto

pytestmark = pytest.mark.peer

PEERS: dict[Peer, Run] = {"websockets": run_websockets, "wsproto": run_wsproto}

#: Streams of each kind; set the variable for more.
EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "200"))


def by_byte(case: Case) -> Iterable[bytes]:
    return (case.stream[place : place + 1] for place in range(len(case.stream)))


def without_offset(outcome: Outcome) -> tuple[object, ...]:
    return outcome.messages, outcome.pongs, outcome.received, outcome.sent


def compare(case: Case) -> Outcome:
    """Compare what each makes of `case`, byte by byte, and return what we do."""
    ours = run_ours(case, by_byte(case))
    for peer, run in PEERS.items():
        theirs = run(case, by_byte(case))
        if ours != theirs:
            assert explain(peer, case, ours, theirs), f"{peer}: {theirs}\nours: {ours}"
    return ours


def check_cuts(case: Case, ours: Outcome, places: list[int]) -> None:
    """What we make of a stream does not depend on how its bytes were cut."""
    for pieces in ([case.stream], cut(case.stream, places)):
        other = run_ours(case, pieces)
        # Of the pings in one piece only the last need be answered (section 5.5.3).
        assert (other.messages, other.received) == (ours.messages, ours.received)
        # Of a compressed message that is wrong in two ways, zlib may show the later one first.
        assert other.sent == ours.sent or (case.deflate and {other.sent, ours.sent} == {1007, 1009})
        assert set(other.pongs) <= set(ours.pongs)
        assert other.pongs[-1:] == ours.pongs[-1:]
        assert other.offset is None or other.offset >= (ours.offset or 0)


# ---- what is fixed -----------------------------------------------------------------------------


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TABLE])
def test_table(row: Row) -> None:
    ours = compare(row.case)
    assert ours.messages == row.messages
    assert ours.sent == row.sent
    assert row.offset is None or ours.offset == row.offset
    check_cuts(row.case, ours, [1, 2, 3, 5, 8, 13, 21])


@pytest.mark.parametrize(
    "divergence",
    [
        pytest.param(divergence, id=f"{divergence.peer}: {divergence.name}")
        for divergence in DIVERGENCES
    ],
)
def test_divergence(divergence: Divergence) -> None:
    case = divergence.example
    ours = run_ours(case, by_byte(case))
    theirs = PEERS[divergence.peer](case, by_byte(case))
    assert ours != theirs, "they no longer differ: take it off the list"
    assert explain(divergence.peer, case, ours, theirs) == [divergence.name]
    assert "ection" in divergence.reason
    check_cuts(case, ours, [1, 2, 3, 5, 8, 13, 21])


def test_a_difference_that_is_not_listed_is_not_explained() -> None:
    case = TABLE[0].case
    ours = run_ours(case, by_byte(case))
    for peer in PEERS:
        for wrong in (
            Outcome(("hi",), (), None, ours.sent, ours.offset),
            Outcome((), (b"p",), None, ours.sent, ours.offset),
            Outcome((), (), None, 1011, ours.offset),
            Outcome((), (), None, ours.sent, (ours.offset or 0) + 1),
            Outcome(),
        ):
            assert explain(peer, case, ours, wrong) == []


# ---- what is generated -------------------------------------------------------------------------


@examples(EXAMPLES)
@given(valid_cases(), cut_places)
def test_valid_streams(case: Case, places: list[int]) -> None:
    check_cuts(case, compare(case), places)


@examples(EXAMPLES)
@given(mutated_cases(), cut_places)
def test_mutated_streams(case: Case, places: list[int]) -> None:
    check_cuts(case, compare(case), places)


@examples(EXAMPLES)
@given(arbitrary_cases(), cut_places)
def test_arbitrary_streams(case: Case, places: list[int]) -> None:
    check_cuts(case, compare(case), places)


@examples(EXAMPLES)
@given(deflate_cases(), cut_places)
def test_compressed_streams(case: Case, places: list[int]) -> None:
    check_cuts(case, compare(case), places)

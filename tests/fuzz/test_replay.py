"""The corpus of the fuzz targets, replayed without atheris, its memory measured."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.fuzz import corpus_files
from tests.fuzz.targets import TARGETS, Broken, expect, same_however_cut

#: Bytes that a target may take beside a multiple of its input: limits, results, bookkeeping.
BUDGET = 512 * 1024


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_breaks_nothing(target):
    inputs = corpus_files.load(target)
    assert len(inputs) >= 2
    for data in inputs:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_memory_stays_within_a_multiple_of_the_input_and_the_budget(target):
    for data in corpus_files.load(target)[::4]:
        tracemalloc.start()
        try:
            TARGETS[target](data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak <= 64 * len(data) + BUDGET


def test_a_broken_promise_is_seen():
    with pytest.raises(Broken, match="what"):
        expect(0, "what")
    with pytest.raises(Broken, match="cut"):
        same_however_cut(b"\x00abcdef", lambda pieces: len(list(pieces)))

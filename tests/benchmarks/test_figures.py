"""Statistics, each with figures that can be checked by hand."""

from __future__ import annotations

import pytest

from tests.benchmarks.figures import BUCKETS, bucket, least, paired, quantile, quartiles


def test_quartiles():
    assert quartiles([5, 1, 4, 2, 3]) == (2, 3, 4)
    assert quartiles([7]) == (7, 7, 7)
    assert quartiles([]) is None


def test_a_round_that_was_slow_for_both_changes_no_ratio():
    ratio = paired([10, 100, 11], [10, 100, 10])
    assert ratio is not None
    assert ratio.median == 1
    assert ratio.third == pytest.approx(1.05)


def test_without_a_figure_there_is_no_ratio():
    assert paired([], [1]) is None
    assert paired([1], [0]) is None


@pytest.mark.parametrize("value", [0, 1, 63, 64, 65, 127, 128, 1000, 123_456, 10**9, 2**63])
def test_a_bucket_holds_what_is_counted_in_it(value):
    number = bucket(value)
    assert number < BUCKETS
    assert least(number) <= value < least(number + 1)
    assert least(number + 1) - least(number) <= max(value / 32, 1)


def test_buckets_follow_each_other():
    numbers = [bucket(value) for value in range(5000)]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(numbers[-1] + 1))


def test_a_clock_that_went_back_is_counted_as_no_time():
    assert bucket(-5) == 0


def test_quantiles():
    histogram = [0] * BUCKETS
    for nanoseconds in [1000] * 98 + [50_000, 900_000]:
        histogram[bucket(nanoseconds)] += 1
    assert quantile(histogram, 0.5) == pytest.approx(1, rel=0.03)
    assert quantile(histogram, 0.99) == pytest.approx(50, rel=0.03)
    assert quantile(histogram, 1) == pytest.approx(900, rel=0.03)
    assert quantile([0] * BUCKETS, 0.5) == 0

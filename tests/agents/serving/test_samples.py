"""Quantiles read off buckets, against quantiles of the values themselves."""

import math
from bisect import bisect_left
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from agents.observability.metric_list import LATENCY_SECONDS
from agents.serving.samples import bucket_counts, quantile

BOUNDS = (*LATENCY_SECONDS.buckets, math.inf)


def counted(values: list[float]) -> list[tuple[float, float]]:
    counts = [0.0] * len(BOUNDS)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    return list(zip(BOUNDS, counts, strict=True))


@given(values=st.lists(st.floats(0, 20), min_size=1), q=st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_of_the_value_it_stands_for(
    values: list[float], q: float
) -> None:
    value = sorted(values)[math.ceil(q * len(values) * (1 - 1e-12)) - 1]
    bucket = bisect_left(BOUNDS, value)
    lower = BOUNDS[bucket - 1] if bucket else 0.0
    upper = min(BOUNDS[bucket], BOUNDS[-2])

    estimate = quantile(counted(values), q)

    assert estimate is not None
    assert lower * (1 - 1e-9) <= estimate <= max(lower, upper) * (1 + 1e-9)


@given(values=st.lists(st.floats(0, 20)))
def test_cumulative_buckets_in_any_order_become_counts(values: list[float]) -> None:
    expected = counted(values)
    cumulative = accumulate(count for _, count in expected)
    told = [(str(bound), total) for bound, total in zip(BOUNDS, cumulative, strict=True)]

    assert bucket_counts(reversed(told)) == expected


def test_nothing_has_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile(counted([]), 0.5) is None

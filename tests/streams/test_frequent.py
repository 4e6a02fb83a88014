"""Laws of the summaries of frequent values, held against counters."""

from collections import Counter
from functools import reduce
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.frequent import (
    CAPACITY,
    LONGEST_VALUE,
    WITHIN,
    Summary,
    combined,
    evict,
    known_as,
    most_frequent,
    summary_of,
)

VALUES = st.lists(st.integers(0, 3 * CAPACITY), max_size=200)
FEW_VALUES = st.lists(st.integers(1, CAPACITY), max_size=100)


def summary(values: list[int]) -> Summary:
    return reduce(combined, map(summary_of, values), {})


@given(VALUES, st.lists(st.integers(0, 200), max_size=8))
def test_a_count_is_never_too_large_and_too_small_by_no_more_than_is_said(values, cuts):
    """However the values were cut into summaries that were merged."""
    parts = [summary(values[a:b]) for a, b in pairwise(sorted({0, *cuts, len(values)}))]
    one_by_one: Summary = reduce(combined, reversed(parts), summary([]))
    counts = Counter(map(known_as, values))

    for merged in (one_by_one, evict({}, [], parts)):
        assert len(merged) <= CAPACITY
        for value, n in counts.items():
            assert n - len(values) * WITHIN <= merged.get(value, 0) <= n


@given(VALUES, VALUES)
def test_what_is_told_to_be_the_most_frequent_is_within_what_is_said(some, others):
    value, n = most_frequent(summary(some), summary(others))
    counts = Counter(map(known_as, some + others))
    error = counts.total() * WITHIN

    assert n <= counts[value] <= n + error
    assert n >= max(counts.values(), default=0) - error


@given(FEW_VALUES, FEW_VALUES)
def test_few_values_are_counted_exactly_in_any_order(some, others):
    before = summary(some), summary(others)
    counts = Counter(map(known_as, some + others))

    assert combined(*before) == combined(*reversed(before)) == counts
    assert before == (summary(some), summary(others))


@given(FEW_VALUES.filter(bool))
def test_the_most_frequent_value_does_not_depend_on_the_order(values):
    half = len(values) // 2
    value, n = most_frequent(summary(values[:half]), summary(values[half:]))
    counts = Counter(map(known_as, values))

    assert (value, n) == min(counts.items(), key=lambda each: (-each[1], each[0]))
    assert most_frequent(summary(values[::-1]), {}) == (value, n)


@given(st.text())
def test_a_value_takes_no_more_room_than_the_longest(text):
    longer = text + "x" * LONGEST_VALUE

    assert len(known_as(longer)) <= LONGEST_VALUE
    assert known_as(longer) != known_as(longer + "x")

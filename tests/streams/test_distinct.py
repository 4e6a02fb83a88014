"""Laws of sketched sets, held against sets."""

import math
from functools import reduce

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.distinct import (
    N_REGISTERS,
    STANDARD_ERROR,
    Sketch,
    cardinality,
    cardinality_of_union,
    evict,
    sketch_of,
    union,
)

VALUES = st.lists(st.text() | st.integers(), max_size=30)


def sketch(values: list[str | float]) -> Sketch:
    return reduce(union, map(sketch_of, values), {})


@given(VALUES, VALUES)
def test_the_sketch_of_a_union_is_the_union_of_the_sketches(some, others):
    before = sketch(some), sketch(others)

    assert union(*before) == union(*reversed(before)) == sketch(some + others)
    assert before == (sketch(some), sketch(others))


@given(VALUES)
def test_what_came_before_counts_once(values):
    assert cardinality(sketch(values * 2)) == cardinality(sketch(values))


@pytest.mark.parametrize("n", [0, 1, 2, 10, 50, 1_000, 20_000])
def test_the_estimate_is_as_near_as_is_said(n):
    estimates = [cardinality(sketch([f"{turn}-{k}" for k in range(n)])) for turn in range(5)]

    assert sum(estimates) / 5 == pytest.approx(n, rel=3 * STANDARD_ERROR / 5**0.5)


@given(st.dictionaries(st.integers(0, N_REGISTERS - 1), st.integers(1, 57)))
@example(dict.fromkeys(range(N_REGISTERS - 1), 1))
@example(dict.fromkeys(range(N_REGISTERS), 1))
@example(dict.fromkeys(range(182), 57))
@example(dict.fromkeys(range(183), 57))
def test_the_shorter_way_to_the_estimate_leads_to_the_same(registers):
    """Flajolet et al., figure 3, without its correction for hashes of 32 bits."""
    ranks = [registers.get(register, 0) for register in range(N_REGISTERS)]
    n_empty = ranks.count(0)
    raw = 0.7213 / (1 + 1.079 / N_REGISTERS) * N_REGISTERS**2 / sum(2.0**-rank for rank in ranks)
    is_few = raw <= 2.5 * N_REGISTERS and n_empty > 0

    expected = N_REGISTERS * math.log(N_REGISTERS / n_empty) if is_few else raw
    assert cardinality(registers) == pytest.approx(expected, rel=1e-12)


@given(
    st.dictionaries(st.integers(0, N_REGISTERS - 1), st.integers(1, 57)),
    st.dictionaries(st.integers(0, N_REGISTERS - 1), st.integers(1, 57)),
)
@example(dict.fromkeys(range(182), 57), {181: 1, 182: 57})
@example(dict.fromkeys(range(N_REGISTERS - 1), 1), {N_REGISTERS - 1: 1})
def test_two_sets_together_have_as_many_as_their_union(one, other):
    assert cardinality_of_union(one, other) == cardinality(union(one, other))


@pytest.mark.parametrize("value", ["a", "x" * 1_000, 1, 1.0, True, "\ud800"])
def test_a_value_that_was_seen_before_is_sketched_the_same(value):
    """Equal keys of a dictionary may read differently: 1, 1.0 and True are three values."""
    assert sketch_of(value) == sketch_of(value) != sketch_of(f"{value}.")
    assert len(sketch([1, 1.0, True])) == 3


def test_no_set_takes_more_than_its_registers():
    assert len(sketch([str(k) for k in range(20_000)])) == N_REGISTERS


RANKS = st.dictionaries(st.integers(0, 5), st.integers(1, 4))


@given(st.lists(RANKS, max_size=4), st.lists(RANKS, max_size=4))
def test_what_left_is_taken_out_of_a_union_as_if_it_had_never_been_in(left, inside):
    merged = reduce(union, left + inside, sketch([]))
    before = merged.copy()

    assert evict(merged, left, inside) == reduce(union, inside, sketch([]))
    assert merged == before

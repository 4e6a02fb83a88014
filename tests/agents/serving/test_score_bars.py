"""Sketches as shares of steps."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.observability.metric_list import SCORE_BUCKETS
from agents.serving.score_bars import amount_range, amount_shares, score_shares
from online_models.sketch import Sketch, score_bounds, score_cell, value_bounds, value_cell

scores = st.floats(0.0, 1.0)
amounts = st.floats(-1e6, 1e6)


def sketch(cell: Callable[[float], int], values: list[float]) -> Sketch:
    return Sketch.of(Counter(map(cell, values)), squares=len(values))


@given(st.lists(scores, min_size=1, max_size=300))
def test_of_scores_each_step_has_the_share_of_its_values_to_a_cell_at_its_ends(
    values: list[float],
) -> None:
    made = sketch(score_cell, values)
    shares = score_shares(made)

    assert sum(shares) == pytest.approx(1.0)
    cells = [score_bounds(cell, made.level) for cell in made.counts]
    for step in range(1, SCORE_BUCKETS):
        edge = step / SCORE_BUCKETS
        below = sum(value <= edge for value in values) / len(values)
        at_edge = sum(
            n
            for (low, high), n in zip(cells, made.counts.values(), strict=True)
            if low <= edge <= high
        )
        assert sum(shares[:step]) == pytest.approx(below, abs=at_edge / len(values) + 1e-9)


@given(st.lists(amounts, min_size=1, max_size=200))
def test_of_amounts_all_are_counted_and_nearly_all_lie_within_the_range(
    values: list[float],
) -> None:
    made = sketch(value_cell, values)
    low, high = amount_range(made)
    shares = amount_shares(made, low, high)

    assert low < high
    assert sum(shares) == pytest.approx(1.0)
    width = max(1e-9, 0.1 * max(map(abs, (low, high))))
    beyond = sum(not low - width <= value <= high + width for value in values)
    assert beyond <= 0.02 * len(values) + 1e-9


@given(amounts, st.integers(0, 4))
def test_a_value_lies_within_the_bounds_of_its_cell(value: float, level: int) -> None:
    low, high = value_bounds(value_cell(value) >> level, level)

    slack = 1e-9 * abs(value) + 2**-32
    assert low - slack <= value <= high + slack


@given(scores, st.integers(0, 4))
def test_a_score_lies_within_the_bounds_of_its_cell(score: float, level: int) -> None:
    low, high = score_bounds(score_cell(score) >> level, level)

    assert low - 1e-9 <= score <= high + 1e-9

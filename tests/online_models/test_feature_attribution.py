"""Features that moved are named, and others are not."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.feature_attribution import attribute
from online_models.sketch import Sketch, value_cell

N_FEATURES = 36
N_TIMES = 100
ALPHA = 0.05


def sketches(draw, n, *, moved=()) -> dict[str, Sketch]:
    """Sketch values of many kinds: amounts, counts that are mostly 0, indicators."""
    found = {}
    for feature in range(N_FEATURES):
        by = 2.0 if feature in moved else 1.0
        values = (
            by * draw.lognormal(2, 1, n),
            draw.poisson(0.3 * by, n).astype(float),
            (draw.random(n) < 0.3 * by).astype(float),
        )[feature % 3]
        cells, counts = np.unique([value_cell(value) for value in values], return_counts=True)
        pairs = zip(cells.tolist(), counts.tolist(), strict=True)
        found[f"f{feature:02}"] = Sketch.of(dict(pairs), squares=n)
    return found


def test_where_nothing_moved_any_is_named_no_more_often_than_promised():
    draw = np.random.default_rng(8)
    before = [sketches(draw, 700) for _ in range(10)]
    since = [sketches(draw, 100) for _ in range(10)]
    named = sum(bool(attribute(a, b, error=ALPHA).moves) for a in before for b in since)

    # 100 pairs of 10 and 10: some resemble each other.
    assert named / N_TIMES <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / N_TIMES) ** 0.5


@pytest.mark.parametrize("n", [100, 1_000])
def test_what_moved_is_named_first_and_nothing_else(n):
    draw = np.random.default_rng(n)
    moved = (0, 5, 10)
    found = attribute(sketches(draw, 3_000), sketches(draw, n, moved=moved))
    named = [move.feature for move in found.moves]

    assert set(named) <= {f"f{feature:02}" for feature in moved}
    assert len(named) == 3 if n == 1_000 else named
    assert found.n_compared == N_FEATURES
    for move in found.moves:
        assert move.mean_since > 1.3 * move.mean_before
    sizes = [move.comparison.moved for move in found.moves]
    assert sizes == sorted(sizes, reverse=True)


def test_of_too_few_users_nothing_is_said():
    draw = np.random.default_rng(1)
    found = attribute(sketches(draw, 3_000), sketches(draw, 40, moved=range(N_FEATURES)))

    assert found == (0, [])


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=80))
def test_the_mean_of_a_sketch_is_that_of_its_values_to_a_cell(values):
    cells = [value_cell(float(value)) for value in values]
    sketch = Sketch.of({cell: cells.count(cell) for cell in cells}, squares=len(cells))
    true = sum(values) / len(values)

    assert sketch.level == 0
    assert true / 2 ** (1 / 16) - 1e-9 <= sketch.mean_value <= true + 1e-9


def test_the_mean_of_values_on_both_sides_of_zero_is_between_them():
    draw = random.Random(3)
    values = [draw.choice((-1, 1)) * 2.0 ** draw.uniform(-20, 20) for _ in range(2_000)]
    cells = [value_cell(value) for value in values]
    sketch = Sketch.of({cell: cells.count(cell) for cell in set(cells)}, squares=len(cells))

    assert sketch.level > 0
    assert min(values) < sketch.mean_value < max(values)
    mirrored = Sketch.of({value_cell(-value): 1 for value in (1.0, 2.0)}, squares=2)
    assert mirrored.mean_value == -1.5

"""Sketches add up, in whatever order, to the sketch of all values."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.sketch import (
    MAX_BYTES,
    MAX_CELLS,
    Sketch,
    UnreadableSketch,
    score_cell,
    value_cell,
)

finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def sketches(draw) -> Sketch:
    """Draw sketches, of many cells more often than Hypothesis alone would."""
    generator = random.Random(draw(st.integers(0, 1_000)))
    spread = draw(st.sampled_from([2, 200, 2_000]))
    values = draw(st.integers(0, 300))
    counts: dict[int, int] = {}
    for _ in range(values):
        cell = generator.randint(-spread // 2, spread // 2)
        counts[cell] = counts.get(cell, 0) + generator.randint(1, 9)
    return Sketch.of(counts, squares=sum(counts.values()))


@given(sketches(), sketches(), sketches())
def test_sketches_add_up_in_any_order(a: Sketch, b: Sketch, c: Sketch) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + Sketch() == a
    assert (a + b).n == a.n + b.n


@given(st.lists(st.lists(finite, max_size=120), max_size=4))
def test_the_sum_is_the_sketch_of_all_values(parts: list[list[float]]) -> None:
    def of(values: list[float]) -> Sketch:
        cells = [value_cell(value) for value in values]
        return Sketch.of({cell: cells.count(cell) for cell in cells}, squares=len(cells))

    assert sum(map(of, parts), Sketch()) == of([value for part in parts for value in part])


@given(sketches())
def test_a_sketch_is_read_as_it_was_written_in_few_bytes(sketch: Sketch) -> None:
    encoded = sketch.encode()

    assert Sketch.decode(encoded) == sketch
    assert len(sketch.counts) <= MAX_CELLS
    assert len(encoded) <= MAX_BYTES


def test_two_million_values_all_over_the_grid_need_no_more_bytes_than_are_allowed() -> None:
    cells = range(-1_024, 1_025)
    fullest = Sketch.of(dict.fromkeys(cells, 2_000_000 // len(cells)), squares=2_000_000**2)

    assert len(fullest.encode()) <= MAX_BYTES


@given(finite, finite)
def test_a_larger_value_has_no_lower_cell(a: float, b: float) -> None:
    low, high = sorted((a, b))

    assert value_cell(low) <= value_cell(high)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_score_has_no_lower_cell(a: float, b: float) -> None:
    low, high = sorted((a, b))

    assert score_cell(low) <= score_cell(high)


@given(st.floats(1e-6, 1e6))
def test_a_cell_is_a_few_percent_wide(value: float) -> None:
    assert value_cell(value * 1.05) > value_cell(value)
    assert value_cell(value * 1.05) - value_cell(value) <= 2


@given(st.lists(st.integers(1, 50), min_size=1))
def test_values_of_one_user_count_for_no_more_than_users_do(per_user: list[int]) -> None:
    sketch = Sketch.of({0: sum(per_user)}, squares=sum(n * n for n in per_user))

    assert 1.0 <= sketch.effective_n <= len(per_user) + 1e-9
    if len(set(per_user)) == 1:
        assert math.isclose(sketch.effective_n, len(per_user))


@given(sketches(), st.data())
def test_of_changed_bytes_nothing_is_read_that_could_not_be_written(
    sketch: Sketch, data: st.DataObject
) -> None:
    """A level, or a count, that cannot be would spoil the sum of all days to come."""
    encoded = bytearray(sketch.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Sketch.decode(bytes(encoded))
    except UnreadableSketch:
        return

    assert (
        Sketch.decode(found.encode())
        == found
        == Sketch.of(found.counts, found.squares, level=found.level)
    )
    assert found.effective_n <= found.n == sum(found.counts.values()) < 2**63
    assert found.at(11).keys() <= {-1, 0}


@pytest.mark.parametrize("encoded", [b"", b"\x00", b"\x00\x00\x01", b"\x80", b"\x00\x01\x80"])
def test_what_is_no_sketch_is_refused(encoded: bytes) -> None:
    with pytest.raises(UnreadableSketch):
        Sketch.decode(encoded)

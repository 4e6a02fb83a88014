"""What is remembered of all sketches, day by day."""

import random

import pytest

from agents.monitoring.drift_view import REFERENCE_DAYS
from agents.monitoring.shift_history import KEPT_DAYS, THRESHOLD, ShiftHistory
from agents.monitoring.sketch_fold import DAY_MS
from online_models.sketch import Sketch, UnreadableSketch, score_cell
from schemas.sketches import SCORE, SketchMinute
from tests.agents.monitoring.records import USE_CASE, day_of

DRAW = random.Random(11)
MODEL = "binary_logistic_v1"


def scored(day: int, mean: float, n: int = 300) -> SketchMinute:
    cells: dict[int, int] = {}
    for _ in range(n):
        cell = score_cell(min(max(DRAW.gauss(mean, 0.05), 0.0), 1.0))
        cells[cell] = cells.get(cell, 0) + 1
    sketch = Sketch.of(cells, squares=n).encode()
    return SketchMinute("u", day * DAY_MS, 0, MODEL, [SCORE], [sketch])


def test_each_day_after_the_reference_has_one_point_and_a_shift_is_beyond_the_threshold() -> None:
    history = ShiftHistory(USE_CASE)
    for day in range(15):
        history.fold(scored(day, 0.7 if day >= 12 else 0.2))
    points = history.of(SCORE, MODEL)

    # The last two are not over: of each an hour more is waited for.
    assert [point.day for point in points] == list(range(REFERENCE_DAYS, 13))
    assert [point.day for point in points if point.evidence >= THRESHOLD] == [12]
    assert (history.begins_at, history.reached) == (0, 14 * DAY_MS)


def test_the_reference_is_the_first_week_and_the_newest_day_is_beside_it() -> None:
    history = ShiftHistory(USE_CASE)
    for day in range(3, 13):
        history.fold(scored(day, 0.2, n=100))
        history.fold(scored(day, 0.2, n=50))
    reference, newest = history.reference(MODEL), history.newest(MODEL)

    assert reference is not None
    assert newest is not None
    assert (reference.first, reference.last, reference.days) == (3, 9, REFERENCE_DAYS)
    assert reference.sketch.n == REFERENCE_DAYS * 150
    assert (newest.day, newest.sketch.n) == (12, 150)
    assert (history.reference("another"), history.newest("another")) == (None, None)


def test_days_without_end_take_no_memory_without_end() -> None:
    history = ShiftHistory(USE_CASE)
    record = day_of(0, {"amount": [0, 1] * 30})
    for day in range(KEPT_DAYS + 20):
        record.event_at = day * DAY_MS
        history.fold(record)

    assert [point.day for point in history.of("amount")][:: KEPT_DAYS - 1] == [18, KEPT_DAYS + 17]


def test_a_record_whose_signals_have_no_sketches_is_none() -> None:
    """It ended the thread of the page that reads `sketches`."""
    history = ShiftHistory(USE_CASE)
    with pytest.raises(UnreadableSketch, match="0 sketches of 1 signals"):
        history.fold(SketchMinute(USE_CASE, 0, 0, "m", [SCORE], []))

    assert history.begins_at is None
    assert history.readings() == []
